"""Places for calls that the API placed: the same bounds as for those that come by SIP."""

from __future__ import annotations

import pytest

from tests.edge.world import ACCOUNT, PBX, World, an_account, directory, gateway

CALLS = [f"0ca11000-0000-4000-8000-{number:012}" for number in range(10)]


def world_with(**limits: float) -> World:
    return World(directory(gateways=[gateway()], account=an_account(**limits)))  # type: ignore[arg-type]


def test_a_placed_call_takes_one_of_the_places_that_incoming_ones_take() -> None:
    world = world_with(concurrent_calls=1)
    assert world.proxy.calls.reserve(CALLS[0], ACCOUNT, world.now) is None
    pbx = world.agent(PBX)
    pbx.send(pbx.invite())
    pbx.gets_response(503)
    over = world.proxy.calls.reserve(CALLS[1], ACCOUNT, world.now)
    assert over is not None
    assert "1 calls at a time" in over.rule
    world.proxy.calls.ended(CALLS[0], world.now)
    assert world.proxy.calls.reserve(CALLS[1], ACCOUNT, world.now) is None


def test_placed_calls_are_paced_by_the_calls_per_second_of_their_account() -> None:
    world = world_with(calls_per_second=2)
    outcomes = [world.proxy.calls.reserve(call, ACCOUNT, world.now) for call in CALLS[:3]]
    assert outcomes[:2] == [None, None]
    assert outcomes[2] is not None
    assert outcomes[2].retry_after == 1
    world.wait(0.5)
    assert world.proxy.calls.reserve(CALLS[2], ACCOUNT, world.now) is None


def test_a_place_that_nobody_gives_back_is_free_after_the_longest_call() -> None:
    world = world_with(concurrent_calls=1, max_call_seconds=60)
    assert world.proxy.calls.reserve(CALLS[0], ACCOUNT, world.now) is None
    world.wait(200)
    assert world.proxy.calls.reserve(CALLS[1], ACCOUNT, world.now) is None


def test_an_account_that_is_unknown_has_no_places() -> None:
    world = world_with()
    with pytest.raises(LookupError, match="no account nobody"):
        world.proxy.calls.reserve(CALLS[0], "nobody", world.now)
