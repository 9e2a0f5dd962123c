"""The edge is no open relay: nothing goes where no sealed route of the very dialog leads."""

from __future__ import annotations

import pytest

from tests.edge.world import (
    CARRIER,
    DOMAIN,
    EDGE,
    NUMBER,
    PBX,
    SDP,
    Agent,
    Dialog,
    World,
    directory,
    established,
    gateway,
)
from voice.records import Refusal

VICTIM = "5.5.5.5"


@pytest.fixture
def world() -> World:
    return World(directory(gateways=[gateway()]))


@pytest.fixture
def pbx(world: World) -> Agent:
    return world.agent(PBX)


@pytest.fixture
def carrier(world: World) -> Agent:
    return world.agent(CARRIER)


@pytest.fixture
def victim(world: World) -> Agent:
    return world.agent(VICTIM)


def refused(world: World) -> Refusal:
    [refusal] = world.said(Refusal)
    return refusal


@pytest.mark.parametrize("method", ["BYE", "INFO", "INVITE", "REFER", "UPDATE", "NOTIFY", "MESSAGE"])
def test_a_request_in_a_dialog_that_the_edge_does_not_know(
    world: World, pbx: Agent, victim: Agent, method: str
) -> None:
    pbx.send(pbx.request(method, f"sip:x@{VICTIM}", to="<sip:x@y>;tag=1", body=SDP))
    pbx.gets_response(481)
    victim.gets_nothing()
    assert refused(world).gate == "request"


@pytest.mark.parametrize(
    "route",
    [f"<sip:{EDGE};lr>, <sip:{VICTIM};lr>", f"<sip:{VICTIM};lr>", f"<sip:{EDGE};lr>, <sip:{EDGE};lr>"],
)
def test_a_route_that_a_caller_brings_along_leads_nowhere(
    world: World, pbx: Agent, carrier: Agent, victim: Agent, route: str
) -> None:
    """Telephones preload one Route, to their own edge; which gateway follows is the edge's to choose."""
    pbx.send(pbx.invite(route=route))
    victim.gets_nothing()
    assert [route.uri for message in carrier.inbox for route in message.routes] == []
    assert world.nowhere == []


def test_the_route_that_telephones_preload_is_fine(pbx: Agent, carrier: Agent) -> None:
    pbx.send(pbx.invite(route=f"<sip:{EDGE};lr>"))
    assert carrier.gets_request("INVITE").routes == []


def test_a_token_of_one_dialog_is_of_no_use_in_another(world: World, pbx: Agent, carrier: Agent) -> None:
    caller, _ = established(pbx, carrier)
    for change in ("call-id", "from", "to"):
        stolen = caller.request("INFO")
        if change == "call-id":
            stolen.headers.set("Call-ID", "another")
        else:
            value = stolen.headers.get(change) or ""
            stolen.headers.set(change, value.partition(";tag=")[0] + ";tag=another")
        pbx.send(stolen)
        pbx.gets_response(481)
        carrier.gets_nothing()
    assert len(world.said(Refusal)) == 1


def test_a_valid_token_with_another_route_behind_it(
    world: World, pbx: Agent, carrier: Agent, victim: Agent
) -> None:
    caller, _ = established(pbx, carrier)
    for routes in (
        [*caller.routes, f"<sip:{VICTIM};lr>"],
        [f"<sip:{EDGE};lr>", f"<sip:{VICTIM};lr>"],
        [f"<sip:{VICTIM};lr>"],
        [f"<sip:{VICTIM};lr>", *caller.routes],
        [f"<{caller.target}>", f"<sip:{VICTIM};lr>"],
    ):
        hostile = Dialog(
            pbx,
            call_id=caller.call_id,
            local=caller.local,
            remote=caller.remote,
            target=caller.target,
            routes=routes,
        )
        hostile.send("INFO")
        pbx.gets_response(481)
    victim.gets_nothing()
    carrier.gets_nothing()
    assert world.nowhere == []


def test_a_changed_token_opens_nothing(pbx: Agent, carrier: Agent) -> None:
    caller, _ = established(pbx, carrier)
    good = caller.target
    user = good[4:].partition("@")[0]
    for forged in (user[:-6] + "AAAAAA", user[:60], user + "AAAA", "A" * len(user)):
        caller.target = good.replace(user, forged)
        caller.send("BYE")
        pbx.gets_response(481)
    carrier.gets_nothing()


def test_a_forged_token_from_a_stranger_is_not_even_answered(
    world: World, pbx: Agent, carrier: Agent
) -> None:
    caller, _ = established(pbx, carrier)
    stranger = world.agent("77.1.2.3")
    caller.target = caller.target.replace(caller.target[10:14], "AAAA")
    caller.agent = stranger
    caller.send("BYE")
    stranger.gets_nothing()
    carrier.gets_nothing()
    assert refused(world).gate == "source"


def test_a_contact_that_points_into_a_private_network_is_not_followed(world: World, pbx: Agent) -> None:
    """A callee could otherwise have the edge send requests to whatever listens inside."""
    inside = world.agent("10.0.0.5", 6379)
    carrier = world.agent(CARRIER, contact="sip:x@10.0.0.5:6379")
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    arrived = carrier.gets_request("INVITE")
    carrier.answer(arrived, 200, body=SDP)
    caller = Dialog.of_caller(pbx, pbx.gets_response(200))
    caller.send("ACK", cseq=1)
    inside.gets_nothing()
    # What is behind an address translation is reached where its answer came from.
    assert carrier.gets_request("ACK").uri == "sip:x@10.0.0.5:6379"


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.5"])
def test_a_contact_by_a_name_that_points_into_a_private_network_is_not_followed(
    world: World, pbx: Agent, address: str
) -> None:
    inside = world.agent(address, 6379)
    world.names["rebound.example"] = [("UDP", address, 6379)]
    carrier = world.agent(CARRIER, contact="sip:x@rebound.example")
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    carrier.answer(carrier.gets_request("INVITE"), 200, body=SDP)
    caller = Dialog.of_caller(pbx, pbx.gets_response(200))
    caller.send("ACK", cseq=1)
    inside.gets_nothing()
    carrier.gets_request("ACK")


def test_a_contact_by_name_is_looked_up(world: World, pbx: Agent) -> None:
    other = world.agent("1.1.1.9", 5071)
    world.names["sbc.carrier.example"] = [("UDP", "1.1.1.9", 5071)]
    carrier = world.agent(CARRIER, contact="sip:x@sbc.carrier.example")
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    carrier.answer(carrier.gets_request("INVITE"), 200, body=SDP)
    caller = Dialog.of_caller(pbx, pbx.gets_response(200))
    caller.send("ACK", cseq=1)
    other.gets_request("ACK")
    carrier.gets_nothing()


def test_routes_of_proxies_on_both_sides_are_kept_and_followed(world: World) -> None:
    near, far = world.agent(PBX), world.agent(CARRIER)
    invite = near.invite()
    invite.headers.add("Record-Route", f"<sip:{PBX};lr>")
    near.send(invite)
    near.gets_response(100)
    arrived = far.gets_request("INVITE")
    # The far proxy adds itself, and the callee answers from behind it.
    arrived.headers.prepend("Record-Route", f"<sip:{CARRIER};lr;x=1>")
    answer = far.answer(arrived, 200, body=SDP)
    ok = near.gets_response(200)
    caller = Dialog.of_caller(near, ok)
    assert len(caller.routes) == 3
    # The near proxy takes its own route off before it sends the request on.
    caller.routes = caller.routes[1:]
    caller.send("INFO")
    info = far.gets_request("INFO")
    assert [route.uri for route in info.routes] == [f"sip:{CARRIER};lr;x=1"]
    far.answer(info, 200)
    near.gets_response(200)
    callee = Dialog.of_callee(far, arrived, answer)
    callee.routes = callee.routes[1:]
    callee.send("BYE")
    assert [route.uri for route in near.gets_request("BYE").routes] == [f"sip:{PBX};lr"]


def test_an_ack_without_a_call_goes_nowhere(world: World, pbx: Agent, victim: Agent) -> None:
    pbx.send(pbx.request("ACK", f"sip:x@{VICTIM}", to="<sip:x@y>;tag=1"))
    pbx.send(pbx.request("ACK", f"sip:{NUMBER}@{DOMAIN}", to="<sip:x@y>;tag=1"))
    pbx.gets_nothing()
    victim.gets_nothing()
    assert world.said(Refusal) == []
