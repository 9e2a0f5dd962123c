"""SRTP on trunks: offers that break the policy are refused, gateways chosen by theirs, no half calls."""

from __future__ import annotations

import pytest

from sip_config.model import Gateway, Number, SrtpPolicy
from tests.edge.test_sdp_policy import BOTH, KEYLESS, PLAIN, SECURE
from tests.edge.world import (
    ACCOUNT,
    CARRIER,
    CARRIER2,
    DOMAIN,
    EDGE,
    FLOW,
    NUMBER,
    PBX,
    SEAT,
    Agent,
    Dialog,
    World,
    directory,
    gateway,
)
from voice.media.srtp import srtp_uri
from voice.pool.orders import DialPlan, Hunting, Ticket
from voice.records import CallEnded, CallStarted, Gate, LegChanged, LegStarted, LegStatus, Refusal
from voice.sip.message import Request, Response

FORBIDDEN, OPTIONAL, REQUIRED = SrtpPolicy
CALL = "0ca11000-0000-4000-8000-000000000001"


def offer(agent: Agent, body: bytes, host: str = DOMAIN) -> Request:
    kind = (("Content-Type", "application/sdp"),) if body else ()
    return agent.request("INVITE", f"sip:{NUMBER}@{host}", *kind, body=body)


def answer(agent: Agent, request: Request, status: int, body: bytes = b"") -> Response:
    kind = (("Content-Type", "application/sdp"),) if body else ()
    return agent.answer(request, status, *kind, body=body)


def trunk(
    *gateways: SrtpPolicy, domain: SrtpPolicy = OPTIONAL, **more: object
) -> tuple[World, Agent, Agent, Agent]:
    """A PBX and two carriers, the first preferred."""
    ways = (gateway("first", CARRIER, priority=10), gateway("second", CARRIER2, priority=20))
    chosen = [_with(way, policy) for way, policy in zip(ways, gateways, strict=False)]
    world = World(directory(gateways=chosen, srtp=domain, **more))  # type: ignore[arg-type]
    return world, world.agent(PBX), world.agent(CARRIER), world.agent(CARRIER2)


def _with(way: Gateway, srtp: SrtpPolicy) -> Gateway:
    return gateway(way.name, way.host, priority=way.priority, srtp=srtp)


# -- the domain's policy ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "body", "cause", "warning"),
    [
        (FORBIDDEN, SECURE, "srtp-forbidden", 302),
        (REQUIRED, PLAIN, "srtp-required", 302),
        (REQUIRED, BOTH, "srtp-required", 302),
        (REQUIRED, KEYLESS, "srtp-without-keys", 399),
        (REQUIRED, b"m=", "sdp-unreadable", 399),
        (FORBIDDEN, b"m=", "sdp-unreadable", 399),
    ],
)
@pytest.mark.parametrize("flow", [None, "flow"])
def test_an_offer_that_breaks_the_policy_of_its_domain_is_refused(
    policy: SrtpPolicy, body: bytes, cause: str, warning: int, flow: str | None
) -> None:
    world, pbx, first, _ = trunk(OPTIONAL, domain=policy, callflows=[FLOW], callflow_id=flow)
    pbx.send(offer(pbx, body))
    refused = pbx.gets_response(488)
    assert (refused.headers.get("Warning") or "").startswith(f"{warning} sip.example.com ")
    [refusal] = world.said(Refusal)
    assert (refusal.cause, refusal.gate, refusal.rule) == (cause, Gate.MEDIA, f"domain acme: srtp {policy}")
    assert (refusal.acl, refusal.domain, refusal.account_id) == ("office", "acme", ACCOUNT)
    assert world.said(CallStarted) == []
    assert world.proxy.kernel.limits.calls == {}
    first.gets_nothing()


@pytest.mark.parametrize(
    ("policy", "body"),
    [(OPTIONAL, PLAIN), (OPTIONAL, BOTH), (OPTIONAL, SECURE), (OPTIONAL, KEYLESS), (OPTIONAL, b"m="),
     (FORBIDDEN, PLAIN), (REQUIRED, SECURE)],
)  # fmt: skip
def test_what_keeps_the_policy_passes_untouched(policy: SrtpPolicy, body: bytes) -> None:
    _, pbx, first, _ = trunk(OPTIONAL, domain=policy)
    pbx.send(offer(pbx, body))
    assert first.gets_request("INVITE").body == body


def test_keys_of_plain_sound_go_no_further_where_srtp_is_forbidden() -> None:
    for domain, way in ((FORBIDDEN, OPTIONAL), (OPTIONAL, FORBIDDEN)):
        _, pbx, first, _ = trunk(way, domain=domain)
        pbx.send(offer(pbx, BOTH))
        invite = first.gets_request("INVITE")
        assert invite.body == PLAIN
        assert invite.headers.get("Content-Length") == str(len(PLAIN))


def test_a_carrier_that_delivers_calls_is_held_to_its_policy() -> None:
    number = [Number(id="n", account_id=ACCOUNT, e164=NUMBER, callflow_id="flow")]
    ways = [gateway("first", CARRIER, srtp=REQUIRED)]
    world = World(directory(gateways=ways, numbers=number, callflows=[FLOW]))
    carrier, process = world.agent(CARRIER), world.agent(SEAT.host, SEAT.port)
    carrier.send(offer(carrier, PLAIN, EDGE))
    carrier.gets_response(488)
    assert world.said(Refusal)[0].rule == "gateway first: srtp required"
    carrier.send(offer(carrier, SECURE, EDGE))
    carrier.gets_response(100)
    assert process.gets_request("INVITE").to.uri == srtp_uri(REQUIRED)


# -- call processes --------------------------------------------------------------------------


@pytest.mark.parametrize("policy", list(SrtpPolicy))
def test_a_call_process_knows_the_policy_of_the_domain(policy: SrtpPolicy) -> None:
    world, pbx, _, _ = trunk(domain=policy, callflows=[FLOW], callflow_id="flow")
    process = world.agent(SEAT.host, SEAT.port)
    body = SECURE if policy is REQUIRED else PLAIN
    request = offer(pbx, body)
    pbx.send(request)
    pbx.gets_response(100)
    [order] = world.pool.orders
    assert order.srtp is policy
    arrived = process.gets_request("INVITE")
    assert arrived.to.uri == (request.to.uri if policy is OPTIONAL else srtp_uri(policy))
    assert arrived.from_.uri == request.from_.uri
    answered = answer(process, arrived, 200, body)
    ok = pbx.gets_response(200)
    assert (ok.to.uri, ok.from_) == (request.to.uri, request.from_)
    caller, callee = Dialog.of_caller(pbx, ok), Dialog.of_callee(process, arrived, answered)
    caller.send("ACK", cseq=1)
    assert process.gets_request("ACK").to.uri == arrived.to.uri
    callee.send("BYE")
    bye = pbx.gets_request("BYE")
    assert bye.from_.uri == request.to.uri
    pbx.answer(bye, 200)
    process.gets_response(200)


def dial(world: World, *targets: str, srtp: SrtpPolicy = OPTIONAL) -> Ticket:
    plan = DialPlan(
        call_id=CALL,
        account_id=ACCOUNT,
        targets=targets,
        hunting=Hunting.PARALLEL,
        ring_seconds=20.0,
        caller_id="+31200000001",
        srtp=srtp,
    )
    return world.proxy.dials.file(plan, world.now)


@pytest.mark.parametrize(
    ("first", "second", "offered"),
    [
        (FORBIDDEN, FORBIDDEN, FORBIDDEN),
        (OPTIONAL, OPTIONAL, OPTIONAL),
        (REQUIRED, REQUIRED, REQUIRED),
        (FORBIDDEN, REQUIRED, OPTIONAL),
        (REQUIRED, OPTIONAL, OPTIONAL),
    ],
)
def test_a_process_offers_what_serves_all_gateways(
    first: SrtpPolicy, second: SrtpPolicy, offered: SrtpPolicy
) -> None:
    world, *_ = trunk(first, second)
    assert dial(world, NUMBER).srtp is offered


def test_a_uri_that_is_dialled_follows_the_domain_of_the_call() -> None:
    world, *_ = trunk(FORBIDDEN)
    assert dial(world, "sip:bob@5.5.5.5", srtp=REQUIRED).srtp is REQUIRED
    assert dial(world, "sip:bob@5.5.5.5", NUMBER, srtp=REQUIRED).srtp is OPTIONAL


def test_one_offer_serves_gateways_of_all_policies_and_the_answer_comes_back_as_it_was_offered() -> None:
    world, _, first, second = trunk(FORBIDDEN, REQUIRED)
    process = world.agent("127.0.0.1", 6100)
    ticket = dial(world, NUMBER)
    process.send(process.request("INVITE", ticket.uri, ("Content-Type", "application/sdp"), body=BOTH))
    process.gets_response(100)
    plain = first.gets_request("INVITE")
    assert plain.body == PLAIN
    first.answer(plain, 503)
    secure = second.gets_request("INVITE")
    assert secure.body == SECURE
    answered = answer(second, secure, 200, SECURE)
    ok = process.gets_response(200)
    assert ok.body == BOTH
    # A later offer of the process, and one of the gateway, pass in the same way, after a restart as well.
    caller, callee = Dialog.of_caller(process, ok), Dialog.of_callee(second, secure, answered)
    caller.send("ACK", cseq=1)
    second.gets_request("ACK")
    world.restart_edge()
    caller.send("INVITE", ("Content-Type", "application/sdp"), body=BOTH)
    process.gets_response(100)
    again = second.gets_request("INVITE")
    assert again.body == SECURE
    answer(second, again, 200, SECURE)
    assert process.gets_response(200).body == BOTH
    callee.send("UPDATE", ("Content-Type", "application/sdp"), body=SECURE)
    assert process.gets_request("UPDATE").body == SECURE


# -- which gateway ---------------------------------------------------------------------------


def test_gateways_whose_policy_does_not_fit_are_passed_over() -> None:
    world, pbx, first, second = trunk(REQUIRED, OPTIONAL)
    pbx.send(offer(pbx, PLAIN))
    first.gets_nothing()
    answer(second, second.gets_request("INVITE"), 200, PLAIN)
    assert [leg.gateway for leg in world.said(LegStarted)] == [None, "second"]


@pytest.mark.parametrize(("ways", "body"), [((FORBIDDEN, FORBIDDEN), SECURE), ((REQUIRED, REQUIRED), PLAIN)])
def test_no_gateway_left_is_a_refusal_that_says_why(ways: tuple[SrtpPolicy, ...], body: bytes) -> None:
    world, pbx, first, second = trunk(*ways)
    pbx.send(offer(pbx, body))
    assert (pbx.gets_response(488).headers.get("Warning") or "").startswith("302 ")
    [refusal] = world.said(Refusal)
    assert (refusal.cause, refusal.gate) == ("srtp-gateways", Gate.ROUTE)
    assert f"first ({ways[0]}), second ({ways[1]})" in refusal.remedy
    for carrier in (first, second):
        carrier.gets_nothing()


@pytest.mark.parametrize("status", [415, 488, 606])
@pytest.mark.parametrize("policy", [OPTIONAL, REQUIRED])
@pytest.mark.parametrize("body", [SECURE, BOTH])
def test_a_gateway_that_dislikes_encrypted_sound_leads_to_the_next(
    status: int, body: bytes, policy: SrtpPolicy
) -> None:
    world, pbx, first, second = trunk(policy, policy)
    pbx.send(offer(pbx, body))
    pbx.gets_response(100)
    first.answer(first.gets_request("INVITE"), status)
    first.gets_request("ACK")
    arrived = second.gets_request("INVITE")
    assert arrived.body == (SECURE if policy is REQUIRED else body)
    # An answer in RTP/SAVP to what was offered as a choice becomes one in the profile of its offer.
    answer(second, arrived, 200, SECURE)
    assert pbx.gets_response(200).body == body
    assert world.said(CallEnded) == []


def test_who_was_offered_a_choice_may_answer_as_it_likes() -> None:
    for odd in (PLAIN, BOTH, PLAIN.replace(b"m=audio ", b"m=audio  ")):
        _, pbx, first, _ = trunk(OPTIONAL)
        pbx.send(offer(pbx, BOTH))
        pbx.gets_response(100)
        answer(first, first.gets_request("INVITE"), 200, odd)
        assert pbx.gets_response(200).body == odd


def test_the_dislike_of_the_last_gateway_is_passed_on() -> None:
    _, pbx, first, second = trunk(OPTIONAL, OPTIONAL)
    pbx.send(offer(pbx, SECURE))
    pbx.gets_response(100)
    first.answer(first.gets_request("INVITE"), 488)
    second.answer(second.gets_request("INVITE"), 606)
    pbx.gets_response(606)


# -- answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [OPTIONAL, REQUIRED])
@pytest.mark.parametrize("wrong", [PLAIN, KEYLESS, b"m="])
def test_an_answer_that_is_not_encrypted_is_hung_up_and_the_next_gateway_tried(
    way: SrtpPolicy, wrong: bytes
) -> None:
    world, pbx, first, second = trunk(way, way)
    pbx.send(offer(pbx, SECURE))
    pbx.gets_response(100)
    invite = first.gets_request("INVITE")
    answer(first, invite, 200, wrong)
    first.gets_request("ACK")
    first.answer(first.gets_request("BYE"), 200)
    arrived = second.gets_request("INVITE")
    # The first ACK was lost, say.
    answer(first, invite, 200, wrong)
    first.gets_request("ACK")
    first.answer(first.gets_request("BYE"), 200)
    pbx.gets_nothing()
    answer(second, arrived, 200, SECURE)
    assert pbx.gets_response(200).body == SECURE
    failed = world.said(LegStarted)[1]
    [change] = [one for one in world.said(LegChanged) if one.leg_id == failed.leg_id]
    assert (change.status, change.sip_status) == (LegStatus.FAILED, 488)
    assert change.sip_reason is not None
    assert change.sip_reason.startswith("Not Acceptable Here: ")


def test_an_answer_in_parts_is_not_taken_where_encryption_is_required() -> None:
    _, pbx, first, second = trunk(REQUIRED, REQUIRED)
    pbx.send(offer(pbx, SECURE))
    pbx.gets_response(100)
    first.answer(first.gets_request("INVITE"), 200, ("Content-Type", "multipart/mixed"), body=PLAIN)
    first.gets_request("ACK")
    first.gets_request("BYE")
    second.gets_request("INVITE")


def test_early_sound_that_is_not_encrypted_is_cancelled_and_the_next_gateway_tried() -> None:
    _, pbx, first, second = trunk(REQUIRED, REQUIRED)
    pbx.send(offer(pbx, SECURE))
    pbx.gets_response(100)
    invite = first.gets_request("INVITE")
    answer(first, invite, 183, PLAIN)
    first.answer(first.gets_request("CANCEL"), 200)
    # CANCEL crossed its answer, which has no description any more: it stands in the 183.
    answered = answer(first, invite, 200)
    first.gets_request("ACK")
    assert first.gets_request("BYE").to.tag == answered.to.tag
    pbx.gets_nothing()
    answer(second, second.gets_request("INVITE"), 183, SECURE)
    assert pbx.gets_response(183).body == SECURE


def test_when_all_answer_wrongly_the_call_is_refused() -> None:
    world, pbx, first, second = trunk(REQUIRED, REQUIRED)
    pbx.send(offer(pbx, SECURE))
    pbx.gets_response(100)
    for carrier in (first, second):
        answer(carrier, carrier.gets_request("INVITE"), 200, PLAIN)
        carrier.gets_request("ACK")
        carrier.gets_request("BYE")
    pbx.gets_response(488)
    [ended] = world.said(CallEnded)
    assert "RTP/AVP was answered, and only RTP/SAVP may be" in ended.reason
    assert world.proxy.kernel.limits.calls == {}


def test_an_answer_that_brings_the_offer_is_held_to_both_policies() -> None:
    for domain, way, late, fits in (
        (REQUIRED, OPTIONAL, PLAIN, False),
        (REQUIRED, OPTIONAL, SECURE, True),
        (OPTIONAL, REQUIRED, PLAIN, False),
        (FORBIDDEN, OPTIONAL, SECURE, False),
        (OPTIONAL, OPTIONAL, SECURE, True),
    ):
        _, pbx, first, _ = trunk(way, domain=domain)
        pbx.send(offer(pbx, b""))
        pbx.gets_response(100)
        answer(first, first.gets_request("INVITE"), 200, late)
        if fits:
            assert pbx.gets_response(200).body == late
        else:
            first.gets_request("ACK")
            first.gets_request("BYE")
            pbx.gets_response(488)


def test_keys_in_a_late_offer_go_no_further_where_srtp_is_forbidden() -> None:
    _, pbx, first, _ = trunk(OPTIONAL, domain=FORBIDDEN)
    pbx.send(offer(pbx, b""))
    pbx.gets_response(100)
    answer(first, first.gets_request("INVITE"), 200, BOTH)
    assert pbx.gets_response(200).body == PLAIN


# -- running calls ---------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("caller_asks", [True, False])
def test_a_running_call_stays_encrypted(method: str, caller_asks: bool) -> None:
    world, pbx, first, _ = trunk(OPTIONAL, domain=REQUIRED)
    pbx.send(offer(pbx, SECURE))
    pbx.gets_response(100)
    invite = first.gets_request("INVITE")
    answered = answer(first, invite, 200, SECURE)
    ok = pbx.gets_response(200)
    caller, callee = Dialog.of_caller(pbx, ok), Dialog.of_callee(first, invite, answered)
    caller.send("ACK", cseq=1)
    first.gets_request("ACK")
    world.restart_edge()
    one, other = (caller, first) if caller_asks else (callee, pbx)
    one.send(method, ("Content-Type", "application/sdp"), body=PLAIN)
    one.agent.gets_response(488)
    other.gets_nothing()
    [refusal] = world.said(Refusal)
    assert (refusal.cause, refusal.gate) == ("srtp-required", Gate.MEDIA)
    one.send(method, ("Content-Type", "application/sdp"), body=SECURE)
    assert other.gets_request(method).body == SECURE
