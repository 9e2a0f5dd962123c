"""Trunk calls that the edge itself ends: BYE to both sides, as each of them knows the call."""

from __future__ import annotations

import pytest

from sip_config.call_limits import CallLimits
from tests.edge.world import (
    CARRIER,
    NUMBER,
    PBX,
    SDP,
    Agent,
    World,
    an_account,
    directory,
    established,
    gateway,
)
from voice.edge.core.proxy import Proxy
from voice.records import CallEnded, CallStarted, CallStatus, LegChanged, LegStatus


@pytest.fixture
def world() -> World:
    return World(directory(account=an_account(max_call_seconds=60), gateways=[gateway()]))


@pytest.fixture
def pbx(world: World) -> Agent:
    return world.agent(PBX)


@pytest.fixture
def carrier(world: World) -> Agent:
    return world.agent(CARRIER)


def proxy(world: World) -> Proxy:
    return world.proxy


def test_a_call_that_lasts_too_long_gets_bye_on_both_sides(world: World, pbx: Agent, carrier: Agent) -> None:
    caller, callee = established(pbx, carrier)
    world.wait(59.9)
    pbx.gets_nothing()
    carrier.gets_nothing()
    world.wait(0.2)
    up, down = pbx.gets_request("BYE"), carrier.gets_request("BYE")
    assert (up.uri, down.uri) == (pbx.contact, carrier.contact)
    assert (up.call_id, down.call_id) == (caller.call_id, callee.call_id)
    assert (up.headers.get("From"), up.headers.get("To")) == (caller.remote, caller.local)
    assert (down.headers.get("From"), down.headers.get("To")) == (callee.remote, callee.local)
    assert down.cseq.number > caller.cseq
    assert up.cseq.number > 100  # where the callee's own requests begin
    pbx.answer(up, 200)
    carrier.answer(down, 200)
    world.wait(40)
    pbx.gets_nothing()
    carrier.gets_nothing()
    [ended] = world.said(CallEnded)
    assert (ended.status, ended.reason) == (
        CallStatus.ENDED, "The call reached the longest duration of account acme: 60 s.",
    )  # fmt: skip
    hung_up = [change for change in world.said(LegChanged) if change.status is LegStatus.HANGUP]
    assert len(hung_up) == 2
    assert world.proxy.kernel.limits.calls == {}


def test_the_shortest_length_counts_and_is_named(pbx: Agent) -> None:
    limits = CallLimits(max_call_seconds=30)
    world = World(
        directory(account=an_account(max_call_seconds=60), domain_limits=limits, gateways=[gateway()])
    )
    pbx, carrier = world.agent(PBX), world.agent(CARRIER)
    established(pbx, carrier)
    world.wait(30.2)
    pbx.gets_request("BYE")
    assert world.said(CallEnded)[0].reason == "The call reached the longest duration of domain acme: 30 s."


def test_the_length_counts_from_the_answer(world: World, pbx: Agent, carrier: Agent) -> None:
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    invite = carrier.gets_request("INVITE")
    carrier.answer(invite, 180)
    world.wait(40)
    carrier.answer(invite, 200, body=SDP)
    pbx.inbox.clear()
    carrier.inbox.clear()
    world.wait(30)
    assert not any(one for one in carrier.inbox if str(one).startswith("BYE"))
    assert world.said(CallEnded) == []
    world.wait(30.2)
    assert len(world.said(CallEnded)) == 1


def test_a_call_that_rings_longer_than_it_may_last_is_cancelled(
    world: World, pbx: Agent, carrier: Agent
) -> None:
    pbx.send(pbx.invite())
    invite = carrier.gets_request("INVITE")
    carrier.answer(invite, 180)
    pbx.inbox.clear()
    world.wait(60.2)
    carrier.answer(carrier.gets_request("CANCEL"), 200)
    carrier.answer(invite, 487)
    carrier.gets_request("ACK")
    pbx.gets_response(487)
    assert len(world.said(CallEnded)) == 1


def test_the_bye_counts_on_from_requests_that_passed(world: World, pbx: Agent, carrier: Agent) -> None:
    caller, callee = established(pbx, carrier)
    caller.cseq, callee.cseq = 5_000, 7_000
    caller.send("INFO")
    carrier.answer(carrier.gets_request("INFO"), 200)
    pbx.gets_response(200)
    callee.send("INFO")
    pbx.answer(pbx.gets_request("INFO"), 200)
    pbx.inbox.clear()
    carrier.inbox.clear()
    world.wait(60.2)
    assert pbx.gets_request("BYE").cseq.number > 7_000
    assert carrier.gets_request("BYE").cseq.number > 5_000


def test_the_bye_goes_to_where_the_peer_has_moved(world: World, pbx: Agent, carrier: Agent) -> None:
    _, callee = established(pbx, carrier)
    carrier.contact = f"sip:moved@{CARRIER}"
    callee.send("UPDATE", body=SDP)
    pbx.answer(pbx.gets_request("UPDATE"), 200)
    carrier.inbox.clear()
    world.wait(60.2)
    assert carrier.gets_request("BYE").uri == f"sip:moved@{CARRIER}"


def test_a_gateway_that_asks_who_hangs_up_is_told() -> None:
    own = gateway(username="us", password="secret")
    world = World(directory(account=an_account(max_call_seconds=60), gateways=[own]))
    pbx, carrier = world.agent(PBX), world.agent(CARRIER)
    established(pbx, carrier)
    world.wait(60.2)
    bye = carrier.gets_request("BYE")
    challenge = 'Digest realm="carrier", nonce="n", algorithm=MD5, qop="auth"'
    carrier.answer(bye, 407, ("Proxy-Authenticate", challenge))
    again = carrier.gets_request("BYE")
    assert 'username="us"' in (again.headers.get("Proxy-Authorization") or "")
    assert again.cseq.number == bye.cseq.number + 1
    carrier.answer(again, 407, ("Proxy-Authenticate", challenge))
    carrier.gets_nothing()


def test_a_trunk_call_can_be_hung_up_for_a_reason(world: World, pbx: Agent, carrier: Agent) -> None:
    established(pbx, carrier)
    [started] = world.said(CallStarted)
    assert proxy(world).calls.hang_up(started.call_id, "The balance is spent.", world.now)
    world.deliver()
    pbx.gets_request("BYE")
    carrier.gets_request("BYE")
    assert world.said(CallEnded)[0].reason == "The balance is spent."
    assert not proxy(world).calls.hang_up(started.call_id, "Again.", world.now)


def test_a_call_that_has_ended_by_itself_gets_no_bye(world: World, pbx: Agent, carrier: Agent) -> None:
    caller, _ = established(pbx, carrier)
    caller.send("BYE")
    carrier.answer(carrier.gets_request("BYE"), 200)
    pbx.gets_response(200)
    world.wait(120)
    pbx.gets_nothing()
    carrier.gets_nothing()
    assert len(world.said(CallEnded)) == 1


def test_a_caller_that_leaves_no_traces_hears_of_its_own_call(
    world: World, pbx: Agent, carrier: Agent
) -> None:
    hiding = pbx.invite(NUMBER, ("Privacy", "header;user"), from_="<sip:x@anonymous.invalid>;tag=a")
    caller, callee = established(pbx, carrier, hiding)
    assert caller.call_id != callee.call_id
    world.wait(60.2)
    for agent, dialog in ((pbx, caller), (carrier, callee)):
        bye = agent.gets_request("BYE")
        assert bye.call_id == dialog.call_id
        assert (bye.headers.get("From"), bye.headers.get("To")) == (dialog.remote, dialog.local)


def test_behind_other_proxies_the_bye_follows_their_routes(world: World, pbx: Agent, carrier: Agent) -> None:
    near = world.agent("9.9.9.7")
    invite = pbx.invite(NUMBER, ("Record-Route", "<sip:9.9.9.7;lr>"))
    pbx.send(invite)
    arrived = carrier.gets_request("INVITE")
    routes = ("Record-Route", f"<sip:1.1.1.7;lr>, {arrived.headers.get('Record-Route')}")
    carrier.answer(arrived, 200, routes, body=SDP)
    far = world.agent("1.1.1.7")
    world.wait(60.2)
    assert [route.uri for route in near.gets_request("BYE").routes] == ["sip:9.9.9.7;lr"]
    assert [route.uri for route in far.gets_request("BYE").routes][:1] == ["sip:1.1.1.7;lr"]
