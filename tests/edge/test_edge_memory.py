"""What is over is gone: nothing waits for the cycle collector, whose full passes would stop the edge."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable

import pytest

from sip_config.model import Number
from tests.edge.world import (
    ACCOUNT,
    CARRIER,
    CARRIER2,
    DOMAIN,
    FLOW,
    NUMBER,
    PBX,
    SDP,
    SEAT,
    Agent,
    World,
    directory,
    established,
    gateway,
)
from voice.pool.orders import DialPlan, Hunting
from voice.sip.message import Request

ANSWERED = "+31201111111"

WATCHED = (
    "Invite", "Branch", "Relay", "Crossing", "Passage", "Alarm", "LiveCall", "Leg", "ServerTransaction",
    "ClientTransaction", "Request", "Response", "Target", "Hop",
)  # fmt: skip


def alive() -> Counter[str]:
    counted = Counter(type(thing).__name__ for thing in gc.get_objects())
    return Counter({name: counted[name] for name in WATCHED if counted[name]})


def answered_after_a_failure(world: World, pbx: Agent, first: Agent, second: Agent) -> None:
    pbx.send(pbx.invite())
    first.answer(first.gets_request("INVITE"), 503)
    second.answer(second.gets_request("INVITE"), 200, body=SDP)


def refused_and_never_acknowledged(world: World, pbx: Agent, first: Agent, second: Agent) -> None:
    pbx.send(pbx.invite())
    first.answer(first.gets_request("INVITE"), 486)


def silent_gateways(world: World, pbx: Agent, first: Agent, second: Agent) -> None:
    pbx.send(pbx.invite())


def cancelled_while_ringing(world: World, pbx: Agent, first: Agent, second: Agent) -> None:
    invite = pbx.invite()
    pbx.send(invite)
    first.answer(first.gets_request("INVITE"), 180)
    pbx.send(cancel_of(invite))


def cancelled_before_anything_was_heard(world: World, pbx: Agent, first: Agent, second: Agent) -> None:
    invite = pbx.invite()
    pbx.send(invite)
    pbx.send(cancel_of(invite))


def a_gateway_wakes_up_late_and_falls_silent(world: World, pbx: Agent, first: Agent, second: Agent) -> None:
    pbx.send(pbx.invite())
    world.wait(7)
    second.answer(second.gets_request("INVITE"), 486)
    first.answer(first.gets_request("INVITE"), 180)


def hung_up(world: World, pbx: Agent, first: Agent, second: Agent) -> None:
    caller, callee = established(pbx, first)
    caller.send("INVITE", body=SDP)
    first.answer(first.gets_request("INVITE"), 200, body=SDP)
    callee.send("BYE")
    pbx.inbox.clear()
    caller.send("BYE")
    first.answer(first.gets_request("BYE"), 200)


def a_process_dies(world: World, pbx: Agent, first: Agent, second: Agent) -> None:
    world.agent(SEAT.host, SEAT.port)
    pbx.send(pbx.invite(ANSWERED))
    world.proxy.seat_lost(SEAT, world.now)


def a_callflow_dials(world: World, pbx: Agent, first: Agent, second: Agent) -> None:
    process, dialled = world.agent(SEAT.host, SEAT.port), world.agent("5.5.5.1")
    plan = DialPlan(
        call_id="0ca11000-0000-4000-8000-000000000001",
        account_id=ACCOUNT,
        targets=("sip:x@5.5.5.1", "sip:y@5.5.5.2", NUMBER),
        hunting=Hunting.PARALLEL,
        ring_seconds=20,
        caller_id="",
    )
    process.send(process.request("INVITE", world.proxy.dials.file(plan, world.now).uri, body=SDP))
    dialled.answer(dialled.gets_request("INVITE"), 200, body=SDP)


def refusals(world: World, pbx: Agent, first: Agent, second: Agent) -> None:
    for request in (
        pbx.invite("nonsense"),
        pbx.request("REGISTER", f"sip:{DOMAIN}"),
        pbx.request("BYE", f"sip:x@{DOMAIN}", to="<sip:a@b>;tag=1"),
    ):
        pbx.send(request)


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize(
    "happening",
    [
        answered_after_a_failure,
        refused_and_never_acknowledged,
        silent_gateways,
        cancelled_while_ringing,
        cancelled_before_anything_was_heard,
        a_gateway_wakes_up_late_and_falls_silent,
        hung_up,
        a_process_dies,
        a_callflow_dials,
        refusals,
    ],
    ids=lambda happening: happening.__name__,
)
def test_nothing_is_left_of_what_is_over(happening: Callable[[World, Agent, Agent, Agent], None]) -> None:
    before = alive()
    world = World(
        directory(
            gateways=[gateway("a", CARRIER, priority=1), gateway("b", CARRIER2, priority=2)],
            numbers=[Number(id="n", account_id=ACCOUNT, e164=ANSWERED, callflow_id="flow")],
            callflows=[FLOW],
        )
    )
    agents = world.agent(PBX), world.agent(CARRIER), world.agent(CARRIER2)
    happening(world, *agents)
    assert alive() != before or happening is refusals
    world.wait(20_000)
    world.forget_agents()
    assert world.proxy.kernel.layer.sizes == (0, 0)
    assert [world.proxy.kernel.gateway_places.taken(name) for name in ("a", "b")] == [0, 0]
    assert not alive() - before


def cancel_of(invite: Request) -> Request:
    cancel = invite.copy()
    cancel.method = "CANCEL"
    cancel.headers.set("CSeq", "1 CANCEL")
    return cancel
