"""Who of the other POPs is alive: OPTIONS with hysteresis, on a clock that the test turns."""

from __future__ import annotations

import pytest

from tests.edge.platform import configuration
from tests.edge.world import EDGE, Agent, World
from voice.edge.core.liveness import PopReport, PopState
from voice.edge.settings import PopRelay
from voice.records import Event
from voice.sip.message import Request

OTHER = "8.8.8.8"
NAMED = "pop.example.net"
SECOND = 1.0


@pytest.fixture
def world() -> World:
    world = World(
        configuration("eu1", {"eu1": f"{EDGE}:5060", "eu2": f"{OTHER}:5060", "us1": None}),
        relay=PopRelay(key=b"k" * 32, interval_seconds=SECOND),
    )
    world.proxy.liveness.begin(world.now)
    return world


@pytest.fixture
def other(world: World) -> Agent:
    return world.agent(OTHER)


def report(world: World, name: str = "eu2") -> PopReport:
    return next(one for one in world.proxy.liveness.report(world.config) if one.name == name)


def rounds(world: World, other: Agent, answers: str) -> list[PopState]:
    """One OPTIONS for each letter: y is answered, n is not, x answered 503, f 404; the state after each."""
    states = []
    for letter in answers:
        other.inbox.clear()
        waited = 0.0
        while not other.inbox:
            world.wait(0.05)
            waited += 0.05
            assert waited < 1.5 * SECOND, "there is an OPTIONS every second, a tenth more or less"
        asked = other.gets_request("OPTIONS")
        if letter != "n":
            other.answer(asked, {"y": 200, "x": 503, "f": 404}[letter])
        else:
            world.wait(1.05 * SECOND)
        states.append(report(world).state)
    return states


def test_one_that_answers_is_alive(world: World, other: Agent) -> None:
    assert report(world).state is PopState.UNKNOWN
    assert world.proxy.liveness.alive("eu2"), "until more is known, calls are sent there"
    assert rounds(world, other, "yyyy") == [PopState.ALIVE] * 4
    assert report(world).round_trip_ms is not None


def test_one_lost_packet_changes_nothing_and_two_do(world: World, other: Agent) -> None:
    assert rounds(world, other, "ynyynyynn")[:-1] == [PopState.ALIVE] * 8
    assert report(world).state is PopState.DOWN
    assert not world.proxy.liveness.alive("eu2")
    assert report(world).why == "no answer to OPTIONS"


def test_down_is_known_within_three_seconds(world: World, other: Agent) -> None:
    rounds(world, other, "yyy")
    world.lose = lambda data: True
    began = world.now
    while report(world).state is not PopState.DOWN:
        world.wait(0.05)
        assert world.now - began < 3.3


def test_it_is_up_after_three_answers_in_a_row(world: World, other: Agent) -> None:
    down, up = PopState.DOWN, PopState.ALIVE
    assert rounds(world, other, "ynnn")[-1] is down
    assert rounds(world, other, "yynyyy") == [down, down, down, down, down, up]
    told = [(event.kind, event.detail) for event in world.said(Event)]
    assert told == [
        ("pop_down", "POP eu2 is down: no answer to OPTIONS."),
        ("pop_up", "POP eu2 is alive again."),
    ]


def test_one_that_is_being_stopped_is_down_though_it_answers(world: World, other: Agent) -> None:
    assert rounds(world, other, "yxx")[-1] is PopState.DOWN
    assert report(world).why == "503 to OPTIONS"


def test_somebody_else_at_its_address_is_no_pop(world: World, other: Agent) -> None:
    assert rounds(world, other, "yff")[-1] is PopState.DOWN
    assert report(world).why == "404 to OPTIONS"


def test_lost_packets_are_made_good_within_a_round(world: World, other: Agent) -> None:
    lost = []

    def lose(data: bytes) -> bool:
        if data.startswith(b"OPTIONS") and data not in lost:
            lost.append(data)
            return True
        return False

    world.lose = lose
    for _ in range(50):
        world.wait(0.1)
        for message in list(other.inbox):
            assert isinstance(message, Request)
            other.answer(message, 200)
            other.inbox.clear()
    assert report(world).state is PopState.ALIVE
    assert report(world).missed == 0


def test_the_own_pop_and_one_without_an_address_are_not_asked(world: World) -> None:
    world.wait(10)
    assert {(flow.host, flow.port) for flow, _ in world.nowhere} == {(OTHER, 5060)}
    assert report(world, "eu1").state is PopState.HERE
    assert report(world, "us1").state is PopState.NO_ADDRESS


def test_a_pop_that_leaves_the_configuration_is_asked_no_more(world: World, other: Agent) -> None:
    rounds(world, other, "y")
    world.config = configuration("eu1", {"eu1": f"{EDGE}:5060", "us1": "4.4.4.4:5062"})
    world.wait(2)
    other.inbox.clear()
    world.nowhere.clear()
    world.wait(5)
    other.gets_nothing()
    assert {(flow.host, flow.port) for flow, _ in world.nowhere} == {("4.4.4.4", 5062)}
    assert world.proxy.kernel.layer.sizes[1] <= 1, "OPTIONS that nobody answered are let go"


def test_a_pop_may_be_known_by_name(world: World, other: Agent) -> None:
    world.config = configuration("eu1", {"eu1": None, "eu2": NAMED})
    world.wait(5)
    assert report(world).state is PopState.DOWN
    assert "has no address" in report(world).why
    assert not world.proxy.kernel.is_peer(OTHER)
    world.names[NAMED] = [("UDP", OTHER, 5060)]
    world.wait(30)
    assert rounds(world, other, "yyy")[-1] is PopState.ALIVE
    assert world.proxy.kernel.is_peer(OTHER)


def test_without_a_key_nobody_is_asked() -> None:
    world = World(configuration("eu1", {"eu1": None, "eu2": f"{OTHER}:5060"}))
    world.proxy.liveness.begin(world.now)
    world.wait(10)
    assert world.nowhere == []
    assert not world.proxy.liveness.alive("eu2")


def test_of_a_pop_with_several_edges_one_that_answers_gets_the_calls(world: World, other: Agent) -> None:
    world.names[NAMED] = [("UDP", "4.4.4.1", 5060), ("UDP", OTHER, 5060)]
    world.config = configuration("eu1", {"eu1": None, "eu2": NAMED})
    world.wait(1.5)
    assert rounds(world, other, "yyyy")[-1] is PopState.ALIVE
    flow = world.proxy.liveness.flow("eu2")
    assert flow is not None
    assert flow.host == OTHER
    assert world.proxy.kernel.is_peer("4.4.4.1")
