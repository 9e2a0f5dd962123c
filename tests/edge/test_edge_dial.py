"""What a call process dials: tickets, forking as RFC 3261 section 16.7 says, hunting, and ring times."""

from __future__ import annotations

import pytest

from tests.edge.world import (
    ACCOUNT,
    CARRIER,
    CARRIER2,
    EDGE,
    NUMBER,
    SDP,
    SEAT,
    Dialog,
    World,
    ack_of_failure,
    directory,
    gateway,
)
from voice.pool.orders import DialPlan, Hunting
from voice.records import Event, LegChanged, LegStarted, LegStatus
from voice.sip.message import Request, Response

CALL = "0ca11000-0000-4000-8000-000000000001"
LEG = "1e611000-0000-4000-8000-000000000001"
ALICE, BOB, CAROL = "sip:alice@5.5.5.1", "sip:bob@5.5.5.2", "sip:carol@5.5.5.3"


class Dial:
    """A call process, three telephones, and an INVITE on its way to a plan."""

    def __init__(
        self,
        *targets: str,
        hunting: Hunting = Hunting.PARALLEL,
        ring: float = 30,
        leg_id: str | None = None,
        **settings: object,
    ) -> None:
        self.world = World(directory(gateways=[gateway()]), **settings)
        self.process = self.world.agent(SEAT.host, SEAT.port)
        self.phones = {uri: self.world.agent(uri.rpartition("@")[2]) for uri in (ALICE, BOB, CAROL)}
        plan = DialPlan(
            call_id=CALL,
            account_id=ACCOUNT,
            targets=targets,
            hunting=hunting,
            ring_seconds=ring,
            caller_id="+31200000001",
            leg_id=leg_id,
        )
        self.ticket = self.world.proxy.dials.file(plan, self.world.now).uri
        self.invite = self.process.request(
            "INVITE", self.ticket, body=SDP, from_="<sip:any@127.0.0.1>;tag=p", to="<sip:any@127.0.0.1>"
        )
        self.arrived: dict[str, Request] = {}

    def begin(self) -> Dial:
        self.process.send(self.invite)
        self.process.gets_response(100)
        return self

    def rings(self, uri: str) -> Request:
        """The telephone got the INVITE, and rings."""
        self.arrived[uri] = self.phones[uri].gets_request("INVITE")
        self.phones[uri].answer(self.arrived[uri], 180)
        self.process.gets_response(180)
        return self.arrived[uri]

    def says(self, uri: str, status: int, *headers: tuple[str, str], tag: str = "") -> None:
        phone = self.phones[uri]
        invite = self.arrived.get(uri) or phone.gets_request("INVITE")
        self.arrived[uri] = invite
        phone.answer(invite, status, *headers, tag=tag or uri[4:7], body=SDP if status < 300 else b"")

    def is_cancelled(self, uri: str) -> None:
        phone = self.phones[uri]
        phone.answer(phone.gets_request("CANCEL"), 200)
        phone.answer(self.arrived[uri], 487)
        phone.gets_request("ACK")


def test_the_first_to_answer_wins_and_the_others_get_cancel() -> None:
    dial = Dial(ALICE, BOB, CAROL).begin()
    for uri in (ALICE, BOB, CAROL):
        dial.rings(uri)
    dial.says(BOB, 200)
    ok = dial.process.gets_response(200)
    assert ok.headers.get("X-Trunkflow-Target") == BOB
    legs = {leg.destination: leg.leg_id for leg in dial.world.said(LegStarted)}
    assert ok.headers.get("X-Trunkflow-Leg") == legs[BOB]
    dial.is_cancelled(ALICE)
    dial.is_cancelled(CAROL)
    dial.process.gets_nothing()
    states = {
        uri: [change.status for change in dial.world.said(LegChanged) if change.leg_id == leg]
        for uri, leg in legs.items()
    }
    assert states[BOB] == [LegStatus.RINGING, LegStatus.ONGOING]
    assert states[ALICE] == states[CAROL] == [LegStatus.RINGING, LegStatus.NO_ANSWER]


def test_nothing_of_the_inside_reaches_the_callee_and_requests_pass_both_ways() -> None:
    dial = Dial(BOB).begin()
    invite = dial.rings(BOB)
    bob = dial.phones[BOB]
    dial.says(BOB, 200)
    ok = dial.process.gets_response(200)
    caller = Dialog.of_caller(dial.process, ok)
    answer = Response(200, "OK", invite.headers)
    callee = Dialog.of_callee(bob, invite, answer)
    callee.local, callee.remote = f"{invite.headers.get('To')};tag=bob", invite.headers.get("From") or ""
    caller.send("ACK", cseq=1)
    ack = bob.gets_request("ACK")
    caller.send("INFO")
    info = bob.gets_request("INFO")
    bob.answer(info, 200)
    for message in (invite, ack, info):
        text = message.to_bytes().decode()
        assert "127.0.0.1" not in text, text
        assert "x-trunkflow" not in text.lower()
        assert message.from_.uri == f"sip:+31200000001@{EDGE}"
        assert [via.host for via in message.vias] == [EDGE]
    back = dial.process.gets_response(200)
    assert [via.host for via in back.vias] == ["127.0.0.1"]
    assert back.from_.uri == "sip:any@127.0.0.1"
    callee.send("BYE")
    bye = dial.process.gets_request("BYE")
    assert bye.from_.uri == "sip:any@127.0.0.1"
    assert bye.to.tag == "p"
    dial.process.answer(bye, 200)
    bob.gets_response(200)
    assert dial.world.said(LegChanged)[-1].status is LegStatus.HANGUP


@pytest.mark.parametrize(
    ("statuses", "best"),
    [
        # RFC 3261 section 16.7 step 6: any 6xx, else the lowest class.
        ([404, 603, 486], 603),
        ([503, 404, 302], 302),
        ([500, 486, 580], 486),
        ([503, 503, 503], 500),
        ([404, 503, 415], 415),
        ([486, 420, 404], 420),
        ([480, 486, 408], 480),
    ],
)
def test_the_best_of_several_refusals_is_passed_on(statuses: list[int], best: int) -> None:
    dial = Dial(ALICE, BOB, CAROL).begin()
    for uri, status in zip((ALICE, BOB, CAROL), statuses, strict=True):
        dial.says(uri, status)
        dial.phones[uri].gets_request("ACK")
        if status >= 600:
            break
    for uri in (ALICE, BOB, CAROL):
        if uri not in dial.arrived:
            # Nobody waits for those who said nothing, once somebody has refused for all.
            dial.phones[uri].gets_request("INVITE")
    final = dial.process.gets_response(best)
    dial.process.send(ack_of_failure(dial.invite, final))
    dial.world.wait(60)
    dial.process.gets_nothing()


def test_a_global_refusal_cancels_who_still_rings_and_waits_for_their_end() -> None:
    dial = Dial(ALICE, BOB).begin()
    dial.rings(ALICE)
    dial.says(BOB, 603)
    dial.process.gets_nothing()
    dial.is_cancelled(ALICE)
    dial.process.gets_response(603)


def test_challenges_of_all_branches_are_passed_on_together() -> None:
    dial = Dial(ALICE, BOB, CAROL).begin()
    dial.says(ALICE, 401, ("WWW-Authenticate", 'Digest realm="a", nonce="1"'))
    dial.says(BOB, 407, ("Proxy-Authenticate", 'Digest realm="b", nonce="2"'))
    dial.says(CAROL, 486)
    final = dial.process.gets_response(401)
    assert final.headers.lines("WWW-Authenticate") == ['Digest realm="a", nonce="1"']
    assert final.headers.lines("Proxy-Authenticate") == ['Digest realm="b", nonce="2"']


def test_two_answers_both_reach_the_caller() -> None:
    """RFC 3261 section 16.7 step 5; the call process hangs up the one it does not want."""
    dial = Dial(ALICE, BOB).begin()
    dial.rings(ALICE)
    dial.rings(BOB)
    dial.says(ALICE, 200)
    dial.says(BOB, 200)
    assert [dial.process.gets_response(200).to.tag for _ in range(2)] == ["ali", "bob"]
    dial.phones[BOB].gets_request("CANCEL")


def test_hunting_tries_one_after_another() -> None:
    dial = Dial(ALICE, BOB, CAROL, hunting=Hunting.SERIAL).begin()
    dial.phones[BOB].gets_nothing()
    dial.says(ALICE, 486)
    dial.says(BOB, 404)
    dial.says(CAROL, 200)
    assert dial.process.gets_response(200).headers.get("X-Trunkflow-Target") == CAROL


def test_hunting_goes_on_when_one_rings_too_long() -> None:
    dial = Dial(ALICE, BOB, hunting=Hunting.SERIAL, ring=10).begin()
    dial.rings(ALICE)
    dial.world.wait(9.9)
    dial.phones[BOB].gets_nothing()
    dial.world.wait(0.2)
    dial.is_cancelled(ALICE)
    dial.rings(BOB)
    dial.world.wait(10.1)
    dial.is_cancelled(BOB)
    dial.process.gets_response(408)


def test_hunting_ends_with_a_global_refusal() -> None:
    dial = Dial(ALICE, BOB, hunting=Hunting.SERIAL).begin()
    dial.says(ALICE, 600)
    dial.process.gets_response(600)
    dial.phones[BOB].gets_nothing()


def test_the_ring_time_of_a_parallel_dial_counts_for_all() -> None:
    dial = Dial(ALICE, BOB, ring=20).begin()
    dial.rings(ALICE)
    dial.world.wait(20.1)
    dial.is_cancelled(ALICE)
    # Bob never said anything, so there is nothing to cancel yet.
    final = dial.process.gets_response(408)
    assert "in time" in final.reason


def test_a_dial_that_is_cancelled_cancels_all_its_branches() -> None:
    dial = Dial(ALICE, BOB).begin()
    dial.rings(ALICE)
    dial.rings(BOB)
    cancel = dial.invite.copy()
    cancel.method = "CANCEL"
    cancel.headers.set("CSeq", "1 CANCEL")
    dial.process.send(cancel)
    assert dial.process.gets_response(200).cseq.method == "CANCEL"
    dial.is_cancelled(ALICE)
    dial.process.gets_nothing()
    dial.is_cancelled(BOB)
    dial.process.gets_response(487)


def test_a_process_that_dies_leaves_nobody_ringing() -> None:
    dial = Dial(ALICE).begin()
    dial.rings(ALICE)
    dial.world.proxy.seat_lost(SEAT, dial.world.now)
    dial.world.deliver()
    dial.is_cancelled(ALICE)


def test_numbers_and_uris_may_be_mixed() -> None:
    dial = Dial(NUMBER, ALICE)
    carrier = dial.world.agent(CARRIER)
    dial.begin()
    assert carrier.gets_request("INVITE").uri == f"sip:{NUMBER}@{CARRIER}"
    dial.phones[ALICE].gets_request("INVITE")


def test_a_uri_by_name_is_looked_up() -> None:
    dial = Dial("sip:dave@pbx.example.net;transport=udp")
    dial.world.names["pbx.example.net"] = [("UDP", CARRIER2, 5090)]
    dave = dial.world.agent(CARRIER2, 5090)
    dial.begin()
    assert dave.gets_request("INVITE").uri == "sip:dave@pbx.example.net;transport=udp"


@pytest.mark.parametrize(
    "target",
    [
        "sip:x@127.0.0.1:4000", "sip:x@10.0.0.1", "sip:x@192.168.1.1", "sip:x@169.254.1.1", "sip:x@0.0.0.0",
        "sip:x@100.64.0.1", "sip:x@inside.example", "sip:x@224.0.0.1", "sip:x@255.255.255.255",
    ],
)  # fmt: skip
def test_targets_inside_networks_are_refused(target: str) -> None:
    dial = Dial(target)
    dial.world.names["inside.example"] = [("UDP", "10.1.1.1", 5060)]
    dial.begin()
    dial.process.gets_response(500)
    assert dial.world.nowhere == []


def test_targets_inside_networks_can_be_allowed_but_never_the_edges_own_inside_door() -> None:
    dial = Dial("sip:x@10.0.0.1", "sip:y@127.0.0.1:4000", allow_private_targets=True)
    desk = dial.world.agent("10.0.0.1")
    dial.begin()
    desk.answer(desk.gets_request("INVITE"), 486)
    dial.process.gets_response(486)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("sips:x@5.5.5.1;transport=udp", 500),
        ("sip:x@5.5.5.1;transport=ws", 500),
        ("http://x", 484),
        ("sip:x@5.5.5.1;transport=sctp", 500),
        ("+4", 484),
        ("sip:@", 400),
    ],
)
def test_targets_that_cannot_be_dialled_are_refused(target: str, status: int) -> None:
    dial = Dial(target).begin()
    dial.process.gets_response(status)


def test_a_number_that_no_gateway_carries_is_404() -> None:
    dial = Dial(NUMBER)
    dial.world.config = directory()
    dial.begin()
    assert "No gateway" in dial.process.gets_response(404).reason


def test_a_ticket_serves_once() -> None:
    dial = Dial(BOB).begin()
    again = dial.process.request("INVITE", dial.ticket, body=SDP)
    dial.process.send(again)
    dial.process.gets_response(100)
    dial.process.gets_response(404)
    assert dial.world.said(Event)[0].kind == "dial-without-plan"


def test_a_ticket_expires() -> None:
    dial = Dial(BOB)
    dial.world.wait(31)
    dial.begin()
    dial.process.gets_response(404)


def test_the_outside_cannot_use_a_ticket() -> None:
    dial = Dial(BOB)
    stranger = dial.world.agent("9.9.9.9")
    ticket = dial.ticket.replace("127.0.0.1:4000", EDGE)
    stranger.send(stranger.request("INVITE", ticket, body=SDP))
    stranger.gets_response(404)
    dial.phones[BOB].gets_nothing()


def test_a_plan_without_targets_or_with_too_many_is_a_bug_of_the_caller() -> None:
    world = World(directory())
    for targets in ((), (BOB,) * 33):
        plan = DialPlan(
            call_id=CALL,
            account_id=ACCOUNT,
            targets=targets,
            hunting=Hunting.PARALLEL,
            ring_seconds=1,
            caller_id="",
        )
        with pytest.raises(ValueError, match="1 to 32 targets"):
            world.proxy.dials.file(plan, world.now)


def test_a_leg_that_was_named_beforehand_has_that_id() -> None:
    dial = Dial(ALICE, leg_id=LEG).begin()
    dial.rings(ALICE)
    dial.says(ALICE, 486)
    assert [leg.leg_id for leg in dial.world.said(LegStarted)] == [LEG]
    ended = dial.world.said(LegChanged)[-1]
    assert (ended.leg_id, ended.status, ended.sip_status) == (LEG, LegStatus.BUSY, 486)


def test_only_the_first_of_several_legs_has_the_id() -> None:
    dial = Dial(ALICE, BOB, leg_id=LEG).begin()
    dial.rings(ALICE)
    first, second = dial.world.said(LegStarted)
    assert first.leg_id == LEG
    assert second.leg_id != LEG


def test_a_named_leg_without_any_way_is_on_record_as_failed() -> None:
    dial = Dial("+4", leg_id=LEG).begin()
    dial.process.gets_response(484)
    (started,), (ended,) = dial.world.said(LegStarted), dial.world.said(LegChanged)
    assert (started.leg_id, ended.leg_id) == (LEG, LEG)
    assert (ended.status, ended.sip_status) == (LegStatus.FAILED, 484)
