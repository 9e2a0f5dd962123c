"""Registering at carriers, and recognising the calls that come because of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from sip_config.gateway_options import GatewayOptions
from sip_config.model import AccountId, Gateway, Number
from tests.edge.world import (
    ACCOUNT,
    CARRIER,
    CARRIER2,
    EDGE,
    FLOW,
    NUMBER,
    SDP,
    SEAT,
    Agent,
    World,
    directory,
    gateway,
)
from voice.edge.core.registration import Standing
from voice.records import Event, Refusal
from voice.sip.message import Request

CHALLENGE = ("WWW-Authenticate", 'Digest realm="carrier", nonce="abc", qop="auth", algorithm=SHA-256')
ELSEWHERE = "4.4.4.4"


def carrier(host: str = CARRIER, **options: Any) -> Gateway:
    return gateway(
        "carrier",
        host,
        username="trunk4711",
        password="secret",
        options=GatewayOptions(register=True, **options),
    )


def registering(one: Gateway | None = None) -> tuple[World, Agent]:
    world = World(
        directory(
            gateways=[one or carrier()],
            numbers=[Number(id="n", account_id=ACCOUNT, e164=NUMBER, callflow_id="flow")],
            callflows=[FLOW],
            networks=("9.9.9.9/32",),
        )
    )
    agent = world.agent(CARRIER)
    until_asked(world, agent, 1.1)
    return world, agent


def until_asked(world: World, agent: Agent, longest: float) -> float:
    """Waits for something to come, a quarter of a second at a time; returns how long it took."""
    began = world.now
    while not agent.inbox and world.now < began + longest:
        world.wait(0.25)
    return world.now - began


def asks(agent: Agent) -> Request:
    """The next REGISTER, and none of its retransmissions."""
    request = agent.gets_request("REGISTER")
    agent.inbox[:] = [
        other
        for other in agent.inbox
        if not isinstance(other, Request) or other.via.branch != request.via.branch
    ]
    return request


def accepts(agent: Agent, seconds: int | None = 600) -> Request:
    """Lets the next REGISTER pass; returns it."""
    request = asks(agent)
    contact = request.headers.get("Contact") or ""
    where = contact.partition(";expires=")[0]
    fields = [("Contact", f"{where};expires={seconds}")] if seconds is not None else []
    agent.answer(request, 200, *fields)
    return request


def standing(world: World) -> Standing:
    view = world.proxy.carriers.view(world.now)["carrier"].registration
    assert view is not None
    return view.standing


def test_it_registers_answers_the_challenge_and_renews_in_time() -> None:
    world, agent = registering()
    first = asks(agent)
    assert first.uri == f"sip:{CARRIER}"
    assert first.to.uri == first.from_.uri == f"sip:trunk4711@{CARRIER}"
    assert first.contact is not None
    assert first.contact.sip_uri.username == "trunk4711"
    assert first.contact.sip_uri.address == EDGE
    assert first.headers.get("Expires") == "3600"
    agent.answer(first, 401, CHALLENGE)
    second = accepts(agent)
    credentials = second.headers.get("Authorization") or ""
    assert "algorithm=SHA-256" in credentials
    assert 'username="trunk4711"' in credentials
    assert second.cseq.number == first.cseq.number + 1
    assert second.call_id == first.call_id
    assert standing(world) is Standing.REGISTERED
    assert [event.kind for event in world.said(Event)] == ["gateway-registered"]
    world.wait(479)
    agent.gets_nothing()
    until_asked(world, agent, 62)
    third = accepts(agent)
    assert third.call_id == first.call_id
    assert third.cseq.number == second.cseq.number + 1
    assert third.contact == second.contact


def test_what_is_registered_can_be_named() -> None:
    _, agent = registering(
        carrier(register_user="31201234567", register_domain="ims.example", register_seconds=60)
    )
    request = asks(agent)
    assert request.to.uri == request.from_.uri == "sip:31201234567@ims.example"
    assert request.uri == "sip:ims.example", "the domain is named, and the gateway's host asked"
    assert request.headers.get("Expires") == "60"


def test_a_domain_may_be_an_ipv6_address() -> None:
    _, agent = registering(carrier(register_domain="2001:db8::1"))
    request = asks(agent)
    assert (request.uri, request.to.uri) == ("sip:[2001:db8::1]", "sip:trunk4711@[2001:db8::1]")


def test_a_carrier_that_comes_and_goes_is_not_asked_all_the_time() -> None:
    world, agent = registering()
    accepts(agent)
    for _ in range(20):
        world.proxy.kernel.gateway_health.when_back(carrier(), world.now)
        world.wait(0.2)
    agent.gets_nothing()
    assert until_asked(world, agent, 3) < 2
    accepts(agent)


@pytest.mark.parametrize(("seconds", "renewed"), [(60, 54), (None, 3_240), (2, 5)])
def test_the_carrier_says_how_long_it_lasts(seconds: int | None, renewed: float) -> None:
    world, agent = registering()
    accepts(agent, seconds)
    assert renewed * 0.85 < until_asked(world, agent, 10_000) <= renewed + 0.25
    accepts(agent, seconds)
    agent.gets_nothing()


def test_a_time_that_is_too_short_is_asked_for_anew() -> None:
    world, agent = registering(carrier(register_seconds=60))
    agent.answer(asks(agent), 423, ("Min-Expires", "1800"))
    second = accepts(agent, None)
    assert second.headers.get("Expires") == "1800"
    until_asked(world, agent, 1_700)
    assert accepts(agent, None).headers.get("Expires") == "1800"
    assert standing(world) is Standing.REGISTERED


@pytest.mark.parametrize("said", ["", "60", "20", "9999999999", "soon"])
def test_a_423_that_makes_no_sense_is_a_failure(said: str) -> None:
    world, agent = registering(carrier(register_seconds=60))
    fields = [("Min-Expires", said)] if said else []
    agent.answer(asks(agent), 423, *fields)
    agent.gets_nothing()
    assert standing(world) is Standing.FAILED


def test_failures_make_it_wait_longer_and_longer_and_leave_one_record() -> None:
    world, agent = registering()
    times: list[float] = []
    began = world.now
    while len(times) < 10:
        times.append(world.now)
        agent.answer(asks(agent), 403)
        until_asked(world, agent, 4_000)
        assert world.now < began + 20_000
    gaps = [later - sooner for sooner, later in pairwise(times)]
    assert 15 <= gaps[0] <= 31
    assert 30 <= gaps[1] <= 61
    assert all(gap <= 1_801 for gap in gaps)
    assert gaps[-1] >= 900
    (event,) = world.said(Event)
    assert event.kind == "gateway-registration-failed"
    assert "403 Forbidden" in event.detail
    accepts(agent)
    assert standing(world) is Standing.REGISTERED


@pytest.mark.parametrize("status", [None, 500, 503])
def test_a_carrier_that_is_down_is_asked_every_two_minutes_at_most(status: int | None) -> None:
    """As soon as it is back its calls should find us, and a REGISTER now and then hurts nobody."""
    world, agent = registering(carrier(cooldown_after=100))
    times: list[float] = []
    while len(times) < 8:
        request = asks(agent)
        times.append(world.now)
        if status is not None:
            agent.answer(request, status)
        else:
            world.wait(7)  # longer than attempt_seconds
            agent.inbox.clear()
        until_asked(world, agent, 200)
    gaps = [later - sooner for sooner, later in pairwise(times)]
    # Beside the pause: six seconds of silence, and how often is looked.
    assert 15 <= gaps[0] <= 30 + 7
    assert all(gap <= 120 + 7 for gap in gaps)
    assert gaps[-1] >= 60


@pytest.mark.parametrize(("status", "asked"), [(200, True), (500, True), (403, False)])
def test_a_carrier_that_works_again_is_asked_at_once(status: int, asked: bool) -> None:
    """What it knew of us may have gone with it; but one that refused us might ban us for asking again."""
    world, agent = registering(carrier(keepalive_seconds=5.0, cooldown_after=1, register_seconds=600))

    def options() -> list[Request]:
        found = [one for one in agent.inbox if isinstance(one, Request) and one.method == "OPTIONS"]
        agent.inbox[:] = [one for one in agent.inbox if one not in found]
        return found

    def until_said(kind: str, *, answer: bool) -> None:
        began = world.now
        while kind not in [event.kind for event in world.said(Event)]:
            world.wait(0.25)
            asked = options()
            if answer and asked:
                agent.answer(asked[-1], 200)
            assert world.now < began + 60

    while options() or not agent.inbox:
        world.wait(0.25)
    agent.answer(asks(agent), status, ("Retry-After", "300"))
    until_said("gateway-out", answer=False)
    agent.gets_nothing()
    until_said("gateway-back", answer=True)
    world.wait(6.1)
    options()
    assert bool(agent.inbox) is asked


@pytest.mark.parametrize(
    ("contacts", "granted"),
    [
        ("{own};expires=60", 60),
        ("<sip:other@9.9.9.9>;expires=7, {own};expires=60", 60),
        ("<tel:+31201234567>;expires=7, {own};expires=60", 60),
        # Rewritten by the carrier's border: ours is one of them.
        ("<sip:trunk4711@10.0.0.1;x=y>;expires=60", 60),
        ("<sip:trunk4711@10.0.0.1>;expires=600, <sip:other@10.0.0.2>;expires=60", 60),
        ("<sip:trunk4711@10.0.0.1>;expires=60, <sip:other@10.0.0.2>;expires=0", 60),
        ("{own}", 900),
        ("<sip:x", 900),
    ],
)
def test_what_is_granted_is_that_of_our_contact(contacts: str, granted: int) -> None:
    world, agent = registering()
    request = asks(agent)
    own = (request.headers.get("Contact") or "").partition(";expires=")[0]
    agent.answer(request, 200, ("Contact", contacts.format(own=own)), ("Expires", "900"))
    view = world.proxy.carriers.view(world.now)["carrier"].registration
    assert view is not None
    assert view.until == pytest.approx(world.now + granted, abs=0.1)


def test_a_renewal_that_fails_is_tried_again_before_the_registration_runs_out() -> None:
    world, agent = registering()
    accepts(agent, 60)
    began, renewals = world.now, 0
    while world.now < began + 60:
        until_asked(world, agent, began + 60 - world.now)
        if agent.inbox:
            agent.answer(asks(agent), 500)
            renewals += 1
    failed = [event for event in world.said(Event) if event.kind == "gateway-registration-failed"]
    assert len(failed) == 1
    # Renewed after 48 to 54 s, and again after half of what was left, 5 s at least.
    assert renewals >= 2


def test_wrong_credentials_are_not_tried_again_and_again() -> None:
    world, agent = registering()
    agent.answer(asks(agent), 401, CHALLENGE)
    agent.answer(asks(agent), 401, CHALLENGE)
    agent.gets_nothing()
    assert standing(world) is Standing.FAILED
    world.wait(14)
    agent.gets_nothing()


def test_a_carrier_that_says_when_is_asked_then() -> None:
    world, agent = registering()
    agent.answer(asks(agent), 503, ("Retry-After", "300"))
    world.wait(299)
    agent.gets_nothing()
    world.wait(2)
    asks(agent)


def test_silence_is_a_failure_and_the_next_address_is_tried() -> None:
    world, agent = registering(carrier("sip.carrier.example"))
    world.names["sip.carrier.example"] = [("UDP", CARRIER2, 5060), ("UDP", CARRIER, 5060)]
    agent.inbox.clear()
    until_asked(world, agent, 60)
    accepts(agent)
    assert standing(world) is Standing.REGISTERED


def test_at_the_end_the_registration_is_taken_back() -> None:
    world, agent = registering()
    first = accepts(agent)
    world.proxy.carriers.leave(world.now)
    assert standing(world) is Standing.LEAVING
    world.deliver()
    last = asks(agent)
    assert last.headers.get("Expires") == "0"
    assert last.contact is not None
    assert first.contact is not None
    assert last.contact.uri == first.contact.uri
    agent.answer(last, 401, CHALLENGE)
    agent.answer(asks(agent), 200)
    assert standing(world) is Standing.LEFT
    world.wait(10_000)
    agent.gets_nothing()


def test_what_never_registered_is_not_taken_back() -> None:
    world, agent = registering()
    agent.answer(asks(agent), 403)
    world.proxy.carriers.leave(world.now)
    assert standing(world) is Standing.LEFT
    agent.gets_nothing()


def test_another_password_registers_anew_after_the_old_one_is_taken_back() -> None:
    world, agent = registering()
    accepts(agent)
    other = gateway(
        "carrier", CARRIER, username="trunk4711", password="new", options=GatewayOptions(register=True)
    )
    world.config = directory(gateways=[other])
    world.wait(1.1)
    assert accepts(agent, 0).headers.get("Expires") == "0"
    world.wait(1.8)
    agent.gets_nothing()
    world.wait(2.3)
    assert accepts(agent).headers.get("Expires") == "3600"


def test_the_contact_is_the_same_after_a_restart() -> None:
    world, agent = registering()
    first = accepts(agent)
    world.restart_edge()
    world.wait(1.1)
    assert accepts(agent).contact == first.contact


# -- calls of the carrier ------------------------------------------------------------------------


def invite_to(agent: Agent, uri: str, to: str) -> Request:
    return agent.request("INVITE", uri, body=SDP, to=to, from_="<sip:+31612345678@carrier>;tag=c")


def test_a_call_to_the_contact_reaches_the_number_in_to_whoever_brings_it() -> None:
    world, agent = registering()
    contact = accepts(agent).contact
    assert contact is not None
    process = world.agent(SEAT.host, SEAT.port)
    # Another machine of the carrier: no list and no name knows it.
    stranger = world.agent(ELSEWHERE)
    stranger.send(invite_to(stranger, contact.uri, f"<sip:{NUMBER}@carrier>"))
    stranger.gets_response(100)
    process.gets_request("INVITE")
    assert world.pool.orders[0].destination == NUMBER


def test_p_called_party_id_goes_before_to() -> None:
    world, agent = registering()
    contact = accepts(agent).contact
    assert contact is not None
    world.agent(SEAT.host, SEAT.port)
    invite = invite_to(agent, contact.uri, "<sip:trunk4711@carrier>")
    invite.headers.add("P-Called-Party-ID", f"<sip:{NUMBER}@carrier>")
    agent.send(invite)
    assert world.pool.orders[0].destination == NUMBER


def test_a_mark_stays_out_of_records() -> None:
    world, agent = registering()
    contact = accepts(agent).contact
    assert contact is not None
    mark = contact.sip_uri.param("line")
    assert mark
    world.pool.full = True
    agent.send(invite_to(agent, contact.uri, f"<sip:{NUMBER}@carrier>"))
    agent.send(invite_to(agent, contact.uri, "<sip:+31209999999@carrier>"))
    refusals = world.said(Refusal)
    assert [refusal.cause for refusal in refusals] == ["pool-full", "number-unknown"]
    for refusal in refusals:
        assert "line=..." in refusal.request_uri
    assert mark not in repr(world.records)


def test_a_made_up_mark_opens_nothing() -> None:
    world, agent = registering()
    accepts(agent)
    stranger = world.agent(ELSEWHERE)
    uri = f"sip:trunk4711@{EDGE}:5060;line={'0' * 32}"
    stranger.send(invite_to(stranger, uri, f"<sip:{NUMBER}@carrier>"))
    stranger.gets_nothing()
    assert world.pool.orders == []
    (refusal,) = world.said(Refusal)
    assert refusal.cause == "source-unknown"


def test_a_carrier_that_drops_the_parameters_is_known_by_its_address() -> None:
    world, agent = registering()
    accepts(agent)
    world.agent(SEAT.host, SEAT.port)
    agent.send(invite_to(agent, f"sip:trunk4711@{EDGE}:5060", f"<sip:{NUMBER}@carrier>"))
    assert world.pool.orders[0].destination == NUMBER


def test_of_several_gateways_at_an_address_the_one_that_the_owner_may_use_counts() -> None:
    numbers = [Number(id="n", account_id=ACCOUNT, e164=NUMBER, callflow_id="flow")]
    foreign = replace(gateway("a"), account_id=AccountId("0b000000-0000-4000-8000-00000000000b"))
    own = replace(gateway("b"), account_id=ACCOUNT)
    for gateways in ([foreign, own], [own, foreign]):
        world = World(directory(gateways=gateways, numbers=numbers, callflows=[FLOW]))
        world.agent(SEAT.host, SEAT.port)
        agent = world.agent(CARRIER)
        agent.send(invite_to(agent, f"sip:{NUMBER}@{EDGE}", f"<sip:{NUMBER}@x>"))
        agent.gets_response(100)
        assert len(world.pool.orders) == 1


def test_national_numbers_of_a_carrier_are_those_of_its_country() -> None:
    world, agent = registering(carrier(country="NL"))
    accepts(agent)
    world.agent(SEAT.host, SEAT.port)
    agent.send(invite_to(agent, f"sip:0201234567@{EDGE}", "<sip:0201234567@carrier>"))
    assert world.pool.orders[0].destination == NUMBER


def test_calls_from_the_addresses_of_a_carriers_name_are_its_calls() -> None:
    named = gateway("carrier", "sip.carrier.example")
    world, agent = registering(named)
    other = world.agent(CARRIER2)
    world.agent(SEAT.host, SEAT.port)
    invite = invite_to(other, f"sip:{NUMBER}@{EDGE}", f"<sip:{NUMBER}@x>")
    other.send(invite)
    other.gets_nothing()
    world.names["sip.carrier.example"] = [("UDP", CARRIER, 5060), ("UDP", CARRIER2, 5060)]
    world.wait(70)
    other.send(invite_to(other, f"sip:{NUMBER}@{EDGE}", f"<sip:{NUMBER}@x>"))
    other.gets_response(100)
    assert len(world.pool.orders) == 1
    # DNS gives another address now: the old one is believed for a while, then no longer.
    world.names["sip.carrier.example"] = [("UDP", CARRIER, 5060)]
    world.wait(600)
    assert world.proxy.kernel.gateway_sources.knows(CARRIER2)
    world.wait(600)
    assert not world.proxy.kernel.gateway_sources.knows(CARRIER2)
    # A DNS server that is down keeps nobody out for a quarter of an hour.
    world.names.clear()
    world.wait(600)
    assert world.proxy.kernel.gateway_sources.knows(CARRIER)
    problem = world.proxy.carriers.view(world.now)["carrier"].name_problem
    assert problem == "sip.carrier.example has no address"
    assert agent.inbox == []


def test_a_name_with_many_addresses_takes_bounded_memory() -> None:
    world, _ = registering(gateway("carrier", "sip.carrier.example"))
    sources = world.proxy.kernel.gateway_sources
    for block in range(40):
        sources.seen("carrier", [f"5.5.{block}.{last}" for last in range(8)], world.now)
    known = [f"5.5.{block}.{last}" for block in range(40) for last in range(8)]
    assert sum(sources.knows(address) for address in known) == 64
    assert sources.knows("5.5.39.7")
