"""Gateways that fail are tried last for a while and come back by themselves; OPTIONS find out sooner."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from sip_config.gateway_options import GatewayOptions
from sip_config.model import Gateway
from tests.edge.world import CARRIER, CARRIER2, PBX, Agent, World, ack_of_failure, directory, gateway
from voice.records import Event
from voice.sip.message import Request


def first(**options: Any) -> Gateway:
    options = {"cooldown_after": 2, "cooldown_seconds": 30.0, **options}
    return gateway("first", CARRIER, priority=10, attempt_seconds=3.0, options=GatewayOptions(**options))


SECOND = gateway("second", CARRIER2, priority=20)


def calling(*gateways: Gateway) -> tuple[World, Agent, Agent, Agent]:
    world = World(directory(gateways=gateways))
    return world, world.agent(PBX), world.agent(CARRIER), world.agent(CARRIER2)


def asked_first(world: World, pbx: Agent, one: Agent, two: Agent, status: int | None = None) -> str:
    """Places a call that no gateway takes; returns which was asked first.

    The first gateway answers with `status`, or not at all.
    """
    invite = pbx.invite()
    pbx.send(invite)
    order = []
    for _ in range(2):
        for name, agent in (("first", one), ("second", two)):
            asked = [one for one in agent.inbox if isinstance(one, Request) and one.method == "INVITE"]
            agent.inbox.clear()
            if not asked:
                continue
            order.append(name)
            if name == "second":
                agent.answer(asked[0], 486)
            elif status is not None:
                agent.answer(asked[0], 100)
                agent.answer(asked[0], status)
            else:
                world.wait(3.1)
                agent.inbox.clear()  # the same INVITE again
    refused = next(message for message in pbx.inbox if message.cseq.method == "INVITE" and message.to.tag)
    assert not isinstance(refused, Request)
    pbx.send(ack_of_failure(invite, refused))
    for agent in (pbx, one, two):
        agent.inbox.clear()
    return order[0]


@pytest.mark.parametrize("status", [None, 503])
def test_a_gateway_that_fails_several_times_is_tried_last_and_comes_back(status: int | None) -> None:
    world, pbx, one, two = calling(first(), SECOND)
    assert [asked_first(world, pbx, one, two, status) for _ in range(3)] == ["first", "first", "second"]
    (out,) = world.said(Event)
    assert (out.kind, out.data) == ("gateway-out", {"gateway": "first"})
    world.wait(25)
    assert asked_first(world, pbx, one, two, status) == "second"
    world.wait(10)
    assert asked_first(world, pbx, one, two, 404) == "first"
    assert [event.kind for event in world.said(Event)] == ["gateway-out", "gateway-back"]


def test_any_other_response_shows_that_it_works() -> None:
    world, pbx, one, two = calling(first(), SECOND)
    for status in (503, 404, 503, 486, 503, 500, 503):
        assert asked_first(world, pbx, one, two, status) == "first"
    assert world.said(Event) == []


def test_one_failure_after_the_cooldown_is_enough_for_the_next() -> None:
    world, pbx, one, two = calling(first(), SECOND)
    for _ in range(2):
        asked_first(world, pbx, one, two)
    world.wait(40)
    assert asked_first(world, pbx, one, two) == "first"
    assert asked_first(world, pbx, one, two) == "second"


def test_after_the_cooldown_one_call_finds_out_for_the_others() -> None:
    world, pbx, one, two = calling(first(), SECOND)
    for _ in range(2):
        asked_first(world, pbx, one, two)
    world.wait(40)
    for _ in range(5):
        pbx.send(pbx.invite())
    trial = one.gets_request("INVITE")
    one.gets_nothing()
    assert len([two.gets_request("INVITE") for _ in range(4)]) == 4
    one.answer(trial, 180)
    for _ in range(5):
        pbx.send(pbx.invite())
    assert len([one.gets_request("INVITE") for _ in range(5)]) == 5


def test_a_trial_that_never_came_to_the_gateway_is_followed_by_another() -> None:
    world, pbx, one, two = calling(first(), SECOND)
    for _ in range(2):
        asked_first(world, pbx, one, two)
    world.wait(40)
    for _ in range(2):
        invite = pbx.invite()
        pbx.send(invite)
        one.gets_request("INVITE")
        cancel = invite.copy()
        cancel.method = "CANCEL"
        cancel.headers.set("CSeq", "1 CANCEL")
        pbx.send(cancel)
        world.wait(3.1)
        one.inbox.clear()


def test_a_retry_after_makes_the_cooldown_longer() -> None:
    world, pbx, one, two = calling(first(cooldown_after=1), SECOND)
    pbx.send(pbx.invite())
    one.answer(one.gets_request("INVITE"), 503, ("Retry-After", "120 (maintenance)"))
    for agent in (pbx, one, two):
        agent.inbox.clear()
    world.wait(100)
    assert asked_first(world, pbx, one, two) == "second"
    world.wait(40)
    assert asked_first(world, pbx, one, two, 404) == "first"


def test_gateways_that_are_all_out_are_tried_all_the_same() -> None:
    world, pbx, one, _ = calling(first(cooldown_after=1))
    for _ in range(3):
        pbx.send(pbx.invite())
        one.answer(one.gets_request("INVITE"), 503)
        one.gets_request("ACK")
    view = world.proxy.carriers.view(world.now)
    assert view == {}, "nothing is done for gateways before the clock has turned"
    world.wait(1)
    health = world.proxy.carriers.view(world.now)["first"].health
    assert not health.available
    assert health.failures == 3
    assert health.reason == "503 to an INVITE"


def test_a_transport_error_counts_as_well() -> None:
    world, pbx, one, two = calling(first(cooldown_after=1), SECOND)
    pbx.send(pbx.invite())
    world.proxy.transport_failed(one.flow, world.now)
    world.deliver()
    two.gets_request("INVITE")
    assert [event.kind for event in world.said(Event)] == ["gateway-out"]


def test_a_gateway_fails_when_its_last_address_fails() -> None:
    named = gateway(
        "named", "sip.carrier.example", attempt_seconds=3.0, options=GatewayOptions(cooldown_after=1)
    )
    world, pbx, one, two = calling(named)
    world.names["sip.carrier.example"] = [("UDP", CARRIER, 5060), ("UDP", CARRIER2, 5060)]
    pbx.send(pbx.invite())
    world.wait(3.1)
    two.answer(two.gets_request("INVITE"), 180)
    assert world.said(Event) == []
    two.inbox.clear()
    pbx.send(pbx.invite())
    world.wait(6.3)
    assert one.inbox
    assert [event.kind for event in world.said(Event)] == ["gateway-out"]


def test_a_caller_who_hangs_up_early_says_nothing_of_the_gateway() -> None:
    world, pbx, one, _ = calling(first(cooldown_after=1), SECOND)
    invite = pbx.invite()
    pbx.send(invite)
    cancel = invite.copy()
    cancel.method = "CANCEL"
    cancel.headers.set("CSeq", "1 CANCEL")
    pbx.send(cancel)
    world.wait(40)
    assert one.inbox
    assert world.said(Event) == []


# -- OPTIONS -------------------------------------------------------------------------------------


def asked(agent: Agent) -> list[Request]:
    """The OPTIONS that came, without those that came again."""
    found = {
        one.via.branch: one for one in agent.inbox if isinstance(one, Request) and one.method == "OPTIONS"
    }
    agent.inbox.clear()
    return list(found.values())


def test_a_gateway_is_asked_at_its_interval_with_jitter() -> None:
    world, _, one, _ = calling(first(keepalive_seconds=20.0))
    times: list[float] = []
    for _ in range(2_000):
        world.wait(0.1)
        for request in asked(one):
            times.append(world.now)
            one.answer(request, 200)
            assert request.uri == f"sip:{CARRIER}"
    gaps = [later - sooner for sooner, later in pairwise(times)]
    assert 8 <= len(gaps) <= 12
    assert all(17.8 <= gap <= 22.2 for gap in gaps)
    assert max(gaps) - min(gaps) > 0.2


@pytest.mark.parametrize("status", [404, 405, 480, 486, 501])
def test_any_response_but_a_server_failure_shows_that_it_works(status: int) -> None:
    world, _, one, _ = calling(first(keepalive_seconds=5.0))
    for _ in range(60):
        world.wait(1)
        for request in asked(one):
            one.answer(request, status)
    assert world.proxy.carriers.view(world.now)["first"].health.available


@pytest.mark.parametrize("status", [None, 408, 500, 503, 504])
def test_a_gateway_that_does_not_answer_options_is_tried_last_until_it_does(status: int | None) -> None:
    world, pbx, one, two = calling(first(keepalive_seconds=10.0), SECOND)
    for _ in range(40):
        world.wait(1)
        for request in asked(one):
            if status is not None:
                one.answer(request, status)
    assert [event.kind for event in world.said(Event)] == ["gateway-out"]
    pbx.send(pbx.invite())
    two.answer(two.gets_request("INVITE"), 486)
    world.wait(200)
    assert not world.proxy.carriers.view(world.now)["first"].health.available, "time alone heals nothing here"
    asked(one)
    while not (options := asked(one)):
        world.wait(0.5)
    one.answer(options[0], 200)
    assert [event.kind for event in world.said(Event)] == ["gateway-out", "gateway-back"]
    health = world.proxy.carriers.view(world.now)["first"].health
    assert health.available
    assert health.reason is None
    assert health.round_trip is not None
    pbx.inbox.clear()
    pbx.send(pbx.invite())
    one.gets_request("INVITE")


def test_a_gateway_that_does_not_answer_is_asked_again_sooner() -> None:
    world, _, one, _ = calling(first(keepalive_seconds=100.0, cooldown_after=3))
    for _ in range(70):
        world.wait(1)
        if one.inbox and len(world.said(Event)) == 0:
            asked(one)
    # Three times, 3 s each, with a quarter of the interval in between; else it would take more than 200 s.
    assert [event.kind for event in world.said(Event)] == ["gateway-out"]


def test_options_are_answered_with_credentials_where_that_is_asked() -> None:
    carrier = gateway(
        "first", CARRIER, username="us", password="secret", options=GatewayOptions(keepalive_seconds=10.0)
    )
    world, _, one, _ = calling(carrier)
    world.wait(2.5)
    (request,) = asked(one)
    one.answer(request, 401, ("WWW-Authenticate", 'Digest realm="c", nonce="n", qop="auth-int,auth"'))
    (again,) = asked(one)
    assert 'username="us"' in (again.headers.get("Authorization") or "")
    assert again.cseq.number == request.cseq.number + 1
    assert again.call_id == request.call_id


def test_options_end_with_the_gateway_and_begin_with_a_new_one() -> None:
    world, _, one, two = calling(first(keepalive_seconds=5.0))
    world.wait(3)
    assert asked(one)
    world.config = directory(
        gateways=[gateway("second", CARRIER2, options=GatewayOptions(keepalive_seconds=5.0))]
    )
    world.wait(60)
    assert asked(two)
    assert len(asked(one)) <= 1
    assert set(world.proxy.carriers.view(world.now)) == {"second"}


def test_a_change_of_something_else_leaves_the_interval_alone() -> None:
    world, _, one, _ = calling(first(keepalive_seconds=1_000.0))
    world.wait(2.1)
    one.answer(asked(one)[0], 200)
    for weight in range(2, 20):
        world.config = directory(gateways=[first(keepalive_seconds=1_000.0, weight=weight)])
        world.wait(3)
    assert asked(one) == []
