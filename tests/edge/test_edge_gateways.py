"""Gateways: which is chosen, when the next is tried, credentials, and how numbers and callers are shown."""

from __future__ import annotations

import re

import pytest

from sip_config.model import CallerIdRule, Gateway, Number, NumberFormat
from tests.edge.world import (
    ACCOUNT,
    CARRIER,
    CARRIER2,
    DOMAIN,
    NUMBER,
    PBX,
    SDP,
    Agent,
    Dialog,
    World,
    directory,
    gateway,
    with_credentials,
)
from voice.records import CallEnded, LegChanged, LegStarted, LegStatus
from voice.sip.message import Request

FIRST = gateway("first", CARRIER, priority=10, attempt_seconds=3.0)
SECOND = gateway("second", CARRIER2, priority=20)


def calling(*gateways: Gateway, numbers: tuple[Number, ...] = ()) -> tuple[World, Agent, Agent, Agent]:
    """A world, its PBX, and the two carriers; the PBX's INVITE is on its way."""
    world = World(directory(gateways=gateways, numbers=numbers))
    return world, world.agent(PBX), world.agent(CARRIER), world.agent(CARRIER2)


def test_the_longest_prefix_wins_over_priority() -> None:
    world, pbx, first, second = calling(
        gateway("cheap", CARRIER, priority=1, prefixes=("",)),
        gateway("dutch", CARRIER2, priority=99, prefixes=("31",)),
    )
    pbx.send(pbx.invite())
    first.gets_nothing()
    second.gets_request("INVITE")
    assert world.said(LegStarted)[-1].gateway == "dutch"


@pytest.mark.parametrize("status", [500, 502, 503, 580])
def test_a_server_failure_leads_to_the_next_gateway(status: int) -> None:
    world, pbx, first, second = calling(FIRST, SECOND)
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    first.answer(first.gets_request("INVITE"), status)
    first.gets_request("ACK")
    second.answer(second.gets_request("INVITE"), 200, body=SDP)
    assert pbx.gets_response(200).body == SDP
    pbx.gets_nothing()
    failed, answered = world.said(LegStarted)[1:]
    assert [leg.status for leg in world.said(LegChanged) if leg.leg_id == failed.leg_id] == [LegStatus.FAILED]
    assert [leg.status for leg in world.said(LegChanged) if leg.leg_id == answered.leg_id] == [
        LegStatus.ONGOING
    ]


@pytest.mark.parametrize("status", [403, 404, 408, 480, 486, 488, 600, 603])
def test_any_other_refusal_is_the_last_word(status: int) -> None:
    _, pbx, first, second = calling(FIRST, SECOND)
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    first.answer(first.gets_request("INVITE"), status)
    pbx.gets_response(status)
    second.gets_nothing()


def test_silence_leads_to_the_next_gateway_after_its_attempt_seconds() -> None:
    world, pbx, first, second = calling(FIRST, SECOND)
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    world.wait(2.9)
    second.gets_nothing()
    world.wait(0.2)
    second.answer(second.gets_request("INVITE"), 200, body=SDP)
    pbx.gets_response(200)
    count = len(first.inbox)
    world.wait(30)
    assert len(first.inbox) == count, "a gateway that was given up is still being asked"


def test_a_gateway_that_wakes_up_too_late_gets_cancel() -> None:
    world, pbx, first, second = calling(FIRST, SECOND)
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    world.wait(3.1)
    late = first.gets_request("INVITE")
    first.inbox.clear()
    second.answer(second.gets_request("INVITE"), 180)
    pbx.gets_response(180)
    first.answer(late, 183, body=SDP)
    first.answer(first.gets_request("CANCEL"), 200)
    first.answer(late, 487)
    first.gets_request("ACK")
    pbx.gets_nothing()


def test_a_gateway_that_answers_too_late_is_passed_on_until_another_has_answered() -> None:
    """RFC 3261 section 16.7 step 5: a 2xx is always passed on at once; the other branch gets CANCEL."""
    world, pbx, first, second = calling(FIRST, SECOND)
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    world.wait(3.1)
    late = first.gets_request("INVITE")
    waiting = second.gets_request("INVITE")
    second.answer(waiting, 180)
    pbx.gets_response(180)
    first.answer(late, 200, body=SDP)
    pbx.gets_response(200)
    second.gets_request("CANCEL")


def test_a_provisional_response_ends_the_impatience() -> None:
    world, pbx, first, second = calling(FIRST, SECOND)
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    first.answer(first.gets_request("INVITE"), 100)
    world.wait(60)
    second.gets_nothing()


def test_a_transport_error_leads_to_the_next_gateway_at_once() -> None:
    world, pbx, first, second = calling(FIRST, SECOND)
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    world.proxy.transport_failed(first.flow, world.now)
    world.deliver()
    second.gets_request("INVITE")


def test_when_all_gateways_fail_the_caller_gets_one_answer() -> None:
    world, pbx, first, second = calling(FIRST, SECOND)
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    first.answer(first.gets_request("INVITE"), 503)
    second.answer(second.gets_request("INVITE"), 503)
    # RFC 3261 section 16.7 step 6: a 503 of a branch is not a 503 of the proxy.
    pbx.gets_response(500)
    pbx.gets_nothing()
    assert len(world.said(CallEnded)) == 1


def test_a_gateway_named_by_host_name_is_looked_up_and_its_addresses_are_tried() -> None:
    world, pbx, first, second = calling(gateway("named", "sip.carrier.example"))
    world.names["sip.carrier.example"] = [("UDP", CARRIER, 5060), ("UDP", CARRIER2, 5060)]
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    first.answer(first.gets_request("INVITE"), 503)
    assert second.gets_request("INVITE").uri == f"sip:{NUMBER}@sip.carrier.example"


def test_a_gateway_whose_name_leads_nowhere_is_passed_over() -> None:
    _, pbx, first, second = calling(gateway("named", "sip.carrier.example", priority=1), SECOND)
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    first.gets_nothing()
    second.gets_request("INVITE")


@pytest.mark.parametrize(
    ("rule", "caller", "shown"),
    [
        (CallerIdRule.PASS, "+31200000001", "31200000001"),
        (CallerIdRule.PASS, "0031200000001", "31200000001"),
        (CallerIdRule.OWN, "+31200000001", "31200000001"),
        (CallerIdRule.OWN, "+31200000002", "31209999999"),
        (CallerIdRule.FIXED, "+31200000001", "31209999999"),
    ],
)
def test_caller_id_and_number_are_shown_as_the_gateway_wants_them(
    rule: CallerIdRule, caller: str, shown: str
) -> None:
    own = Number(id="n", account_id=ACCOUNT, e164="+31200000001")
    carrier = gateway(
        caller_id_rule=rule, caller_id="+31209999999", number_format=NumberFormat.PLAIN, port=5080
    )
    world, pbx, _, _ = calling(carrier, numbers=(own,))
    agent = world.agent(CARRIER, 5080)
    pbx.send(pbx.invite(from_=f'"Desk" <sip:{caller}@{DOMAIN}>;tag=x'))
    invite = agent.gets_request("INVITE")
    assert invite.uri == f"sip:{NUMBER[1:]}@{CARRIER}:5080"
    assert invite.from_.sip_uri.user == shown
    assert invite.from_.display is None
    assert invite.from_.tag == "x"


def test_a_withheld_caller_stays_withheld() -> None:
    _, pbx, first, _ = calling(FIRST)
    pbx.send(pbx.invite(from_='"Anonymous" <sip:anonymous@anonymous.invalid>;tag=x'))
    assert first.gets_request("INVITE").from_.uri == "sip:anonymous@anonymous.invalid"


class Challenging:
    """A carrier that asks for a digest."""

    HEADER = ("Proxy-Authenticate", 'Digest realm="carrier", nonce="abc", qop="auth", algorithm=MD5')

    def __init__(self, agent: Agent) -> None:
        self.agent = agent

    def challenges(self, method: str) -> tuple[Request, Request]:
        """Challenges the next request; returns it and the one that came with credentials."""
        first = self.agent.gets_request(method)
        assert "Proxy-Authorization" not in first.headers
        self.agent.answer(first, 407, self.HEADER)
        if method == "INVITE":
            self.agent.gets_request("ACK")
        second = self.agent.gets_request(method)
        credentials = second.headers.get("Proxy-Authorization") or ""
        assert 'username="us"' in credentials
        assert f'uri="{second.uri}"' in credentials
        assert second.cseq.number == first.cseq.number + 1
        assert second.call_id == first.call_id
        assert second.from_ == first.from_
        assert second.via.branch != first.via.branch
        return first, second


SECRET = gateway("first", CARRIER, username="us", password="secret")


def test_a_challenge_is_answered_and_every_later_request_counts_on_from_there() -> None:
    _, pbx, first, _ = calling(SECRET)
    carrier = Challenging(first)
    pbx.send(pbx.invite(NUMBER, ("Supported", "100rel")))
    pbx.gets_response(100)
    _, invite = carrier.challenges("INVITE")
    rr = ("Record-Route", ", ".join(invite.headers.values("Record-Route")))
    first.answer(invite, 183, ("Require", "100rel"), ("RSeq", "1"), rr, body=SDP)
    progress = pbx.gets_response(183)
    assert progress.cseq == (1, "INVITE")
    early = Dialog.of_caller(pbx, progress)
    early.send("PRACK", ("RAck", "1 1 INVITE"))
    prack = first.gets_request("PRACK")
    assert prack.cseq == (3, "PRACK")
    assert prack.headers.get("RAck") == "1 2 INVITE"
    first.answer(prack, 200)
    assert pbx.gets_response(200).cseq == (2, "PRACK")
    answer = first.answer(invite, 200, body=SDP)
    ok = pbx.gets_response(200)
    assert ok.cseq == (1, "INVITE")
    caller, callee = Dialog.of_caller(pbx, ok), Dialog.of_callee(first, invite, answer)
    caller.send("ACK", cseq=1)
    assert first.gets_request("ACK").cseq == (2, "ACK")
    caller.cseq = 2

    # The callee counts for itself.
    callee.send("INFO")
    assert pbx.gets_request("INFO").cseq == (101, "INFO")

    # A re-INVITE that is challenged as well moves the count on once more.
    caller.send("INVITE", body=SDP)
    pbx.gets_response(100)
    _, again = carrier.challenges("INVITE")
    assert again.cseq.number == 5
    first.answer(again, 200, body=SDP)
    ok = pbx.gets_response(200)
    assert ok.cseq == (3, "INVITE")
    assert ok.contact is not None
    caller.target = ok.contact.uri
    caller.send("ACK", cseq=3)
    assert first.gets_request("ACK").cseq == (5, "ACK")
    caller.send("BYE")
    _, bye = carrier.challenges("BYE")
    assert bye.cseq.number == 7
    first.answer(bye, 200)
    assert pbx.gets_response(200).cseq == (4, "BYE")


def test_a_gateway_and_a_server_behind_it_may_both_challenge() -> None:
    _, pbx, first, _ = calling(SECRET)
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    proxy, server = (f'Digest realm="{realm}", nonce="{realm}1", qop="auth"' for realm in ("proxy", "server"))
    first.answer(first.gets_request("INVITE"), 407, ("Proxy-Authenticate", proxy))
    first.gets_request("ACK")
    second = first.gets_request("INVITE")
    first.answer(second, 401, ("WWW-Authenticate", server))
    first.gets_request("ACK")
    third = first.gets_request("INVITE")
    assert third.cseq.number == second.cseq.number + 1
    assert third.headers.lines("Proxy-Authorization") == second.headers.lines("Proxy-Authorization")
    assert 'realm="server"' in (third.headers.get("Authorization") or "")
    # The same again is a refusal, unless the nonce was too old.
    first.answer(third, 401, ("WWW-Authenticate", server + ", stale=true"))
    first.gets_request("ACK")
    fourth = first.gets_request("INVITE")
    assert len(fourth.headers.lines("Authorization")) == len(fourth.headers.lines("Proxy-Authorization")) == 1
    first.answer(fourth, 401, ("WWW-Authenticate", server + ", stale=true"))
    first.gets_request("ACK")
    first.gets_nothing()
    pbx.gets_response(502)


def test_cancel_after_a_challenge_has_the_number_of_the_second_invite() -> None:
    _, pbx, first, _ = calling(SECRET)
    carrier = Challenging(first)
    invite = pbx.invite()
    pbx.send(invite)
    pbx.gets_response(100)
    _, second = carrier.challenges("INVITE")
    first.answer(second, 180)
    cancel = invite.copy()
    cancel.method = "CANCEL"
    cancel.headers.set("CSeq", "1 CANCEL")
    pbx.send(cancel)
    assert first.gets_request("CANCEL").cseq == (2, "CANCEL")


def test_wrong_credentials_lead_to_the_next_gateway_and_never_to_the_caller() -> None:
    _, pbx, first, second = calling(
        gateway("first", CARRIER, username="us", password="wrong", priority=1), SECOND
    )
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    _, again = Challenging(first).challenges("INVITE")
    first.answer(again, 407, Challenging.HEADER)
    second.answer(second.gets_request("INVITE"), 486)
    pbx.gets_response(486)


def test_a_challenge_of_a_gateway_without_credentials_is_not_passed_on() -> None:
    _, pbx, first, _ = calling(FIRST)
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    first.answer(first.gets_request("INVITE"), 401, ("WWW-Authenticate", 'Digest realm="carrier", nonce="a"'))
    refused = pbx.gets_response(502)
    assert "WWW-Authenticate" not in refused.headers


@pytest.mark.parametrize(
    ("carrier", "challenge", "says"),
    [
        (FIRST, 'Digest realm="c", nonce="a"', "wants a user name and a password"),
        (SECRET, 'Digest realm="c", nonce="a", algorithm=MD5-sess', "cannot be answered: .* MD5, SHA-256"),
        (SECRET, "Bearer x", "cannot be answered: .* is not Digest"),
    ],
)
def test_a_challenge_that_is_not_answered_says_why(carrier: Gateway, challenge: str, says: str) -> None:
    world, pbx, first, _ = calling(carrier)
    pbx.send(pbx.invite())
    first.answer(first.gets_request("INVITE"), 407, ("Proxy-Authenticate", challenge))
    pbx.gets_response(100)
    assert re.search(says, pbx.gets_response(502).reason)
    assert re.search(says, world.said(CallEnded)[0].reason)


def test_the_callers_own_credentials_stay_here() -> None:
    world = World(directory(gateways=[FIRST], users={"pbx": "secret"}))
    pbx, first = world.agent(PBX), world.agent(CARRIER)
    invite = pbx.invite()
    pbx.send(invite)
    challenge = pbx.gets_response(407)
    again = with_credentials(invite, challenge, "pbx", "secret")
    other = 'Digest realm="elsewhere", username="x", nonce="1", uri="sip:x@y", response="1"'
    again.headers.add("Proxy-Authorization", other)
    pbx.send(again)
    arrived = first.gets_request("INVITE")
    assert arrived.headers.lines("Proxy-Authorization") == [other]
