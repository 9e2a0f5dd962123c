"""Of relayed calls that are over nothing is left, and nothing of them waits for the cycle collector."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.edge.platform import KEY, configuration
from tests.edge.test_edge_memory import alive
from tests.edge.world import BASE, CARRIER, EDGE, NUMBER, PBX, SDP, Agent, World, gateway
from voice.edge.settings import PopRelay
from voice.sip.message import Request

EU1 = "4.4.4.5"
PLAIN = f"sip:{NUMBER}@acme.{BASE}"
ROUND = 1_000.0


def invites(agent: Agent) -> list[Request]:
    found = [one for one in agent.inbox if isinstance(one, Request) and one.method == "INVITE"]
    agent.inbox.clear()
    return found


def answered_there(world: World, pbx: Agent, pop: Agent, carrier: Agent) -> None:
    for invite in invites(pop):
        pop.answer(invite, 200, body=SDP)


def busy_there(world: World, pbx: Agent, pop: Agent, carrier: Agent) -> None:
    for invite in invites(pop):
        pop.answer(invite, 486)


def silent_and_refused_here(world: World, pbx: Agent, pop: Agent, carrier: Agent) -> None:
    world.wait(2.0)
    for invite in invites(carrier):
        carrier.answer(invite, 486)


def late_answer(world: World, pbx: Agent, pop: Agent, carrier: Agent) -> None:
    waiting = invites(pop)
    world.wait(2.0)
    for invite in waiting:
        pop.answer(invite, 200, body=SDP)


def nobody_left(world: World, pbx: Agent, pop: Agent, carrier: Agent) -> None:
    pbx.send(pbx.request("INVITE", f"sip:{NUMBER}@acme.eu1.{BASE}", body=SDP))
    world.wait(2.0)


def come_to_rest(world: World) -> None:
    """Waits for long, and then until no OPTIONS is under way."""
    world.wait(20 * ROUND)
    while world.proxy.kernel.layer.sizes != (0, 0):
        world.wait(ROUND / 30)
    world.forget_agents()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize(
    "happening",
    [answered_there, busy_there, silent_and_refused_here, late_answer, nobody_left],
    ids=lambda happening: happening.__name__,
)
def test_nothing_is_left(happening: Callable[[World, Agent, Agent, Agent], None]) -> None:
    config = configuration(
        "us1",
        {"us1": f"{EDGE}:5060", "eu1": f"{EU1}:5060"},
        gateways=[gateway()],
        networks=[f"{PBX}/32"],
    )
    world = World(config, relay=PopRelay(key=KEY, interval_seconds=ROUND, misses_until_down=1_000_000))
    world.proxy.liveness.begin(world.now)
    come_to_rest(world)
    before = alive()
    pbx, pop, carrier = world.agent(PBX), world.agent(EU1), world.agent(CARRIER)
    pbx.send(pbx.request("INVITE", PLAIN, body=SDP))
    happening(world, pbx, pop, carrier)
    assert alive() != before
    del pbx, pop, carrier
    come_to_rest(world)
    assert world.proxy._relay._pending == {}
    assert not alive() - before
