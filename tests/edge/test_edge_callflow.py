"""Calls that a callflow answers: a seat is asked for, and the INVITE goes to it."""

from __future__ import annotations

import pytest

from sip_config.model import Number
from tests.edge.world import (
    ACCOUNT,
    CARRIER,
    DOMAIN,
    FLOW,
    NUMBER,
    PBX,
    SDP,
    SEAT,
    Agent,
    Dialog,
    World,
    ack_of_failure,
    an_account,
    directory,
    established,
    gateway,
)
from voice.pool.orders import Seat
from voice.records import CallEnded, CallStarted, CallStatus, LegChanged, LegStatus, Refusal

ANSWERED = Number(id="n1", account_id=ACCOUNT, e164=NUMBER, callflow_id="flow")


@pytest.fixture
def world() -> World:
    return World(directory(numbers=[ANSWERED], callflows=[FLOW], gateways=[gateway()]))


@pytest.fixture
def pbx(world: World) -> Agent:
    return world.agent(PBX)


@pytest.fixture
def process(world: World) -> Agent:
    return world.agent(SEAT.host, SEAT.port)


def places_taken(world: World) -> int:
    return len(world.proxy.kernel.limits.calls)


def test_the_invite_goes_to_the_seat_that_the_pool_gave(world: World, pbx: Agent, process: Agent) -> None:
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    [order] = world.pool.orders
    invite = process.gets_request("INVITE")
    assert invite.uri == f"sip:{order.call_id}@{SEAT.host}:{SEAT.port}"
    assert (order.document, order.number_id, order.domain) == (FLOW.document, "n1", "acme")
    assert (order.source, order.destination) == ("+31200000001", NUMBER)
    [started] = world.said(CallStarted)
    assert started.call_id == order.call_id
    process.answer(invite, 180)
    answer = process.answer(invite, 200, body=SDP)
    pbx.gets_response(180)
    ok = pbx.gets_response(200)
    text = ok.to_bytes().decode()
    assert "127.0.0.1" not in text, text
    caller, callee = Dialog.of_caller(pbx, ok), Dialog.of_callee(process, invite, answer)
    caller.send("ACK", cseq=1)
    assert process.gets_request("ACK").uri == process.contact
    callee.send("BYE")
    bye = pbx.gets_request("BYE")
    assert "127.0.0.1" not in bye.to_bytes().decode()
    pbx.answer(bye, 200)
    process.gets_response(200)
    assert world.said(LegChanged)[-1].status is LegStatus.HANGUP
    # How the call ended is the pool's to say, and when its place is free.
    assert world.said(CallEnded) == []
    assert places_taken(world) == 1
    world.proxy.calls.ended(order.call_id, world.now)
    world.proxy.calls.ended(order.call_id, world.now)
    assert places_taken(world) == 0


def test_the_number_comes_before_the_domain_and_the_domain_before_the_gateways() -> None:
    other = FLOW.__class__(id="other", account_id=ACCOUNT, title="other", document="<other/>")
    world = World(
        directory(numbers=[ANSWERED], callflows=[FLOW, other], gateways=[gateway()], callflow_id="other")
    )
    pbx = world.agent(PBX)
    world.agent(SEAT.host, SEAT.port)
    pbx.send(pbx.invite(NUMBER))
    pbx.send(pbx.invite("+31207654321"))
    pbx.send(pbx.invite("reception"))
    assert [order.document for order in world.pool.orders] == ["<callflow/>", "<other/>", "<other/>"]
    assert [order.destination for order in world.pool.orders] == [NUMBER, "+31207654321", "reception"]


def test_a_number_of_another_account_answers_nothing_here(pbx: Agent, world: World) -> None:
    foreign = Number(id="n2", account_id=ACCOUNT.__class__("other"), e164=NUMBER, callflow_id="flow")
    world.config = directory(numbers=[foreign], callflows=[FLOW], gateways=[gateway()])
    carrier = world.agent(CARRIER)
    pbx.send(pbx.invite())
    assert world.pool.orders == []
    carrier.gets_request("INVITE")


def test_a_url_is_handed_on_with_the_fallback_of_the_account(pbx: Agent, world: World) -> None:
    account = an_account()
    account = account.__class__(id=account.id, name=account.name, fallback_callflow_id="flow")
    dynamic = Number(id="n1", account_id=ACCOUNT, e164=NUMBER, callflow_url="https://example.com/flow")
    world.config = directory(account=account, numbers=[dynamic], callflows=[FLOW])
    pbx.send(pbx.invite())
    [order] = world.pool.orders
    assert (order.url, order.document, order.fallback_document) == (
        "https://example.com/flow", None, FLOW.document,
    )  # fmt: skip


def test_a_full_pool_is_503_with_retry_after_and_a_record(world: World, pbx: Agent) -> None:
    world.pool.full = True
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    refused = pbx.gets_response(503)
    assert refused.headers.get("Retry-After") == "5"
    [refusal] = world.said(Refusal)
    assert (refusal.gate, refusal.sip_status, refusal.account_id) == ("pool", 503, ACCOUNT)
    assert world.said(CallEnded)[0].status is CallStatus.FAILED
    assert places_taken(world) == 0


def test_cancel_before_a_seat_was_given(world: World, pbx: Agent, process: Agent) -> None:
    world.pool.slow = True
    invite = pbx.invite()
    pbx.send(invite)
    pbx.gets_response(100)
    cancel = invite.copy()
    cancel.method = "CANCEL"
    cancel.headers.set("CSeq", "1 CANCEL")
    pbx.send(cancel)
    pbx.gets_response(200)
    pbx.send(ack_of_failure(invite, pbx.gets_response(487)))
    assert places_taken(world) == 0
    world.give_seats()
    process.gets_nothing()
    assert world.pool.released == [(world.pool.orders[0].call_id, None)]
    assert len(world.said(CallEnded)) == 1


def test_cancel_before_the_process_said_anything_still_reaches_it(
    world: World, pbx: Agent, process: Agent
) -> None:
    invite = pbx.invite()
    pbx.send(invite)
    pbx.gets_response(100)
    arrived = process.gets_request("INVITE")
    cancel = invite.copy()
    cancel.method = "CANCEL"
    cancel.headers.set("CSeq", "1 CANCEL")
    pbx.send(cancel)
    pbx.gets_response(200)
    process.answer(arrived, 100)
    process.answer(process.gets_request("CANCEL"), 200)
    process.answer(arrived, 487)
    process.gets_request("ACK")
    pbx.gets_response(487)


def test_a_process_that_dies_before_it_answers_is_a_server_error(
    world: World, pbx: Agent, process: Agent
) -> None:
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    process.answer(process.gets_request("INVITE"), 180)
    pbx.gets_response(180)
    world.proxy.seat_lost(SEAT, world.now)
    world.deliver()
    pbx.gets_response(500)
    [(call_id, failure)] = world.pool.released
    assert call_id == world.pool.orders[0].call_id
    assert failure is not None
    assert failure.startswith("500")


def test_a_request_for_a_process_that_is_gone_is_told_that_the_call_is_over(
    world: World, pbx: Agent, process: Agent
) -> None:
    caller, _ = established(pbx, process)
    caller.send("INFO")
    process.gets_request("INFO")
    world.proxy.seat_lost(SEAT, world.now)
    world.deliver()
    assert pbx.gets_response(481).reason == "The call is over, and so is its process"


def test_another_process_that_dies_is_no_concern(world: World, pbx: Agent, process: Agent) -> None:
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    process.gets_request("INVITE")
    world.proxy.seat_lost(Seat(host=SEAT.host, port=SEAT.port + 1), world.now)
    world.deliver()
    pbx.gets_nothing()


def test_what_a_process_claims_about_legs_does_not_leave(world: World, pbx: Agent, process: Agent) -> None:
    pbx.send(pbx.invite(NUMBER, ("X-Trunkflow-Target", "sip:fake@x")))
    pbx.gets_response(100)
    invite = process.gets_request("INVITE")
    assert "X-Trunkflow-Target" not in invite.headers
    process.answer(
        invite, 200, ("X-Trunkflow-Secret", "1"), ("P-Asserted-Identity", "<sip:inside@x>"), body=SDP
    )
    ok = pbx.gets_response(200)
    assert "X-Trunkflow-Secret" not in ok.headers
    assert "P-Asserted-Identity" not in ok.headers


def test_requests_of_a_call_reach_the_process_after_a_restart(
    world: World, pbx: Agent, process: Agent
) -> None:
    caller, callee = established(pbx, process)
    world.restart_edge()
    caller.send("BYE")
    process.answer(process.gets_request("BYE"), 200)
    pbx.gets_response(200)
    callee.send("BYE")
    pbx.gets_request("BYE")


def test_a_drained_edge_takes_no_new_calls_and_keeps_the_old(
    world: World, pbx: Agent, process: Agent
) -> None:
    caller, _ = established(pbx, process)
    world.proxy.draining = True
    pbx.send(pbx.invite())
    refused = pbx.gets_response(503)
    assert refused.headers.get("Retry-After")
    assert world.said(Refusal)[0].rule == "draining"
    caller.send("BYE")
    process.gets_request("BYE")


def test_a_carrier_delivers_a_call_to_a_number(world: World, process: Agent) -> None:
    carrier = world.agent(CARRIER)
    carrier.send(carrier.request("INVITE", f"sip:{NUMBER}@sip.example.com", body=SDP))
    carrier.gets_response(100)
    process.gets_request("INVITE")
    [started] = world.said(CallStarted)
    assert (started.domain, started.acl, started.account_id) == (None, None, ACCOUNT)


def test_a_carrier_cannot_call_a_number_that_nobody_answers(world: World) -> None:
    carrier = world.agent(CARRIER)
    carrier.send(carrier.request("INVITE", "sip:+31201111111@sip.example.com", body=SDP))
    carrier.gets_response(404)
    assert world.said(Refusal)[0].gate == "route"


def test_a_carrier_has_no_way_past_the_acl_of_a_domain(world: World) -> None:
    carrier = world.agent(CARRIER)
    carrier.send(carrier.request("INVITE", f"sip:{NUMBER}@{DOMAIN}", body=SDP))
    carrier.gets_response(403)
