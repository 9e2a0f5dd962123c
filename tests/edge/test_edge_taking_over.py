"""Calls that other POPs relay to an edge: what it takes over, what it refuses, and how it says so."""

from __future__ import annotations

import pytest

from sip_config.model import Account, Region
from tests.edge.platform import KEY, configuration
from tests.edge.world import (
    BASE,
    CARRIER,
    EDGE,
    FLOW,
    NUMBER,
    SDP,
    Agent,
    World,
    ack_of_failure,
    an_account,
    gateway,
)
from voice.edge.core.liveness import PopState
from voice.edge.core.pops import ELSEWHERE
from voice.edge.core.relay_token import HEADER, LIFE_SECONDS, RelayToken, RelayTokens
from voice.edge.settings import BanRules, PopRelay
from voice.records import CallEnded, CallStarted, Gate, LegChanged, LegStarted, Refusal
from voice.sip.message import Request, Response

US1 = "4.4.4.4"
EU1 = "4.4.4.5"
CALLER = "7.7.7.7"
PLAIN = f"sip:{NUMBER}@acme.{BASE}"


def made(account: Account | None = None, **settings: object) -> World:
    """The edge of eu1, which knows us1; its lists do not know the caller."""
    config = configuration(
        "eu1",
        {"eu1": f"{EDGE}:5060", "us1": f"{US1}:5060"},
        gateways=[gateway()],
        networks=["192.0.2.0/24"],
        users={"pbx": "secret"},
        account=account,
    )
    world = World(config, relay=PopRelay(key=KEY, interval_seconds=1_000.0), **settings)
    world.proxy.liveness.begin(world.now)
    return world


@pytest.fixture
def world() -> World:
    return made()


def relayed(world: World, pop: Agent, uri: str = PLAIN, *, key: bytes = KEY, **changed: object) -> Request:
    """An INVITE as the edge of us1 sends it."""
    request = pop.request("INVITE", uri, body=SDP)
    token = RelayToken(
        issued=world.now,
        origin="us1",
        target="eu1",
        domain="acme",
        acl="office",
        sip_account="pbx",
        source_host=CALLER,
        source_port=5070,
    )._replace(**changed)  # type: ignore[arg-type]
    request.headers.add(HEADER, RelayTokens(key).make(token, request))
    return request


def refused(world: World) -> Refusal:
    [refusal] = world.said(Refusal)
    return refusal


def test_a_call_is_taken_over_without_asking_again(world: World) -> None:
    pop, carrier = world.agent(US1), world.agent(CARRIER)
    pop.send(relayed(world, pop))
    pop.gets_response(100)
    assert HEADER not in carrier.gets_request("INVITE").headers
    [started] = world.said(CallStarted)
    assert (started.source_address, started.relayed_by) == (f"{CALLER}:5070", "us1")
    assert (started.domain, started.acl, started.sip_account) == ("acme", "office", "pbx")


def test_it_is_handled_here_whatever_the_name_says(world: World) -> None:
    """A call is relayed once: this edge does not ask where it would send the call."""
    pop, carrier = world.agent(US1), world.agent(CARRIER)
    pop.send(relayed(world, pop, f"sip:{NUMBER}@acme.us1.{BASE}"))
    pop.gets_response(100)
    carrier.gets_request("INVITE")
    pop.gets_nothing()


def test_a_retransmission_begins_no_second_call_and_a_replay_none_either(world: World) -> None:
    pop, carrier = world.agent(US1), world.agent(CARRIER)
    invite = relayed(world, pop)
    pop.send(invite)
    pop.send(invite)
    carrier.gets_request("INVITE")
    carrier.gets_nothing()
    thief = world.agent(US1, 5999)
    stolen = invite.copy()
    stolen.headers.set("Via", f"SIP/2.0/UDP {US1}:5999;branch=z9hG4bKthief")
    thief.send(stolen)
    assert thief.gets_response(503).headers.get("Retry-After") == ELSEWHERE
    assert (refused(world).gate, refused(world).cause) == (Gate.POP, "relay-replayed")
    carrier.gets_nothing()


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({"issued": 1_800_000_000.0 - LIFE_SECONDS - 5}, "relay-expired"),
        ({"target": "us1"}, "relay-misdirected"),
        ({"key": b"z" * 32}, "relay-seal"),
    ],
)
def test_a_token_that_does_not_fit_is_for_the_other_pop_to_deal_with(
    world: World, changed: dict[str, object], cause: str
) -> None:
    pop = world.agent(US1)
    pop.send(relayed(world, pop, **changed))  # type: ignore[arg-type]
    assert pop.gets_response(503).headers.get("Retry-After") == ELSEWHERE
    refusal = refused(world)
    assert (refusal.gate, refusal.cause, refusal.source_address) == (Gate.POP, cause, f"{US1}:5060")
    assert world.said(CallStarted) == []


def test_a_changed_request_uri_is_another_call(world: World) -> None:
    pop = world.agent(US1)
    invite = relayed(world, pop)
    invite.uri = f"sip:+9001234567@acme.{BASE}"
    pop.send(invite)
    pop.gets_response(503)
    assert refused(world).cause == "relay-misdirected"


def test_a_stranger_that_brings_a_token_is_asked_as_anybody_is(world: World) -> None:
    stranger = world.agent("192.0.2.7")
    invite = stranger.request("INVITE", PLAIN, (HEADER, "A" * 300), body=SDP)
    stranger.send(invite)
    stranger.gets_response(407)


def test_what_a_limit_refuses_is_on_record_as_the_callers() -> None:
    world = made(an_account(concurrent_calls=0))
    pop = world.agent(US1)
    pop.send(relayed(world, pop))
    answer = pop.gets_response(503)
    assert answer.headers.get("Retry-After") != ELSEWHERE, "no other POP may be tried for it"
    refusal = refused(world)
    assert (refusal.cause, refusal.source_address) == ("account-concurrent-calls", f"{CALLER}:5070")
    assert (refusal.acl, refusal.sip_account) == ("office", "pbx")


def test_a_domain_that_is_not_known_here_yet(world: World) -> None:
    """The other POP, which knows it, may handle the call."""
    pop = world.agent(US1)
    pop.send(relayed(world, pop, domain="newer"))
    assert pop.gets_response(503).headers.get("Retry-After") == ELSEWHERE
    refusal = refused(world)
    assert (refusal.gate, refusal.cause) == (Gate.POP, "relay-unknown-domain")
    assert "domain newer" in refusal.remedy


def test_no_pop_is_banned_for_what_it_relays() -> None:
    """Whatever comes from its address, and although the operator wants customers banned as well."""
    world = made(bans=BanRules(include_named=True, unknown_domains=2))
    pop, carrier = world.agent(US1), world.agent(CARRIER)
    for _ in range(5):
        pop.send(pop.request("INVITE", f"sip:{NUMBER}@nobody.{BASE}", body=SDP))
        pop.send(pop.request("OPTIONS", f"sip:100@acme.{BASE}", ("User-Agent", "friendly-scanner")))
    assert world.proxy.kernel.enforced_bans(world.now) == ()
    pop.send(relayed(world, pop))
    carrier.gets_request("INVITE")


def test_an_edge_that_is_being_stopped_sends_it_elsewhere(world: World) -> None:
    world.proxy.draining = True
    pop = world.agent(US1)
    pop.send(relayed(world, pop))
    assert pop.gets_response(503).headers.get("Retry-After") == ELSEWHERE
    pop.send(pop.request("OPTIONS", f"sip:{EDGE}"))
    pop.gets_response(503)
    assert refused(world).cause == "draining"


def with_callflow() -> World:
    """As `made`, but a callflow answers the domain."""
    config = configuration(
        "eu1",
        {"eu1": f"{EDGE}:5060", "us1": f"{US1}:5060"},
        networks=["9.9.9.9/32"],
        users={"pbx": "secret"},
        callflows=[FLOW],
        callflow_id="flow",
    )
    world = World(config, relay=PopRelay(key=KEY, interval_seconds=1_000.0))
    world.proxy.liveness.begin(world.now)
    return world


@pytest.mark.parametrize("full", [True, False])
def test_a_full_pool_sends_it_elsewhere(full: bool) -> None:
    world = with_callflow()
    world.pool.full = full
    pop = world.agent(US1)
    pop.send(relayed(world, pop))
    pop.gets_response(100)
    if full:
        assert pop.gets_response(503).headers.get("Retry-After") == ELSEWHERE
        assert (refused(world).cause, refused(world).source_address) == ("pool-full", f"{CALLER}:5070")
        assert len(world.records) == 1, "the customer's call is that of the POP that takes it"
        assert world.proxy.kernel.limits.calls == {}
    else:
        assert world.pool.orders[0].domain == "acme"
        assert [type(record) for record in world.records] == [CallStarted, LegStarted]
        pop.gets_nothing()


def test_a_relayed_call_that_is_given_up_before_it_has_a_call_process_is_on_record() -> None:
    world = with_callflow()
    world.pool.slow = True
    pop = world.agent(US1)
    invite = relayed(world, pop)
    pop.send(invite)
    assert world.records == [], "it may yet be another POP's"
    cancel = invite.copy()
    cancel.method = "CANCEL"
    cancel.headers.set("CSeq", "1 CANCEL")
    pop.send(cancel)
    assert [type(record) for record in world.records] == [CallStarted, LegStarted, LegChanged, CallEnded]
    world.give_seats()
    assert world.pool.released


def test_home_regions_are_tried_in_turn_and_calls_spread_over_them() -> None:
    """Of two POPs of the home region each gets its share."""
    addresses: dict[str, str | None] = {"us1": f"{EDGE}:5060", "eu1": "1.2.3.1", "eu2": "1.2.3.2"}
    world = World(
        configuration("us1", addresses, home=Region.EU, networks=["9.9.9.9/32"]),
        relay=PopRelay(key=KEY, interval_seconds=1_000.0),
    )
    world.proxy.liveness.begin(world.now)
    eu1, eu2, pbx = world.agent("1.2.3.1"), world.agent("1.2.3.2"), world.agent("9.9.9.9")
    for _ in range(60):
        pbx.send(pbx.request("INVITE", PLAIN, body=SDP))
    got = [sum(isinstance(one, Request) for one in pop.inbox) for pop in (eu1, eu2)]
    assert sum(got) >= 60
    assert min(got) > 10


def invites(agent: Agent) -> list[Request]:
    """Those that have come to an agent."""
    return [one for one in agent.inbox if isinstance(one, Request) and one.method == "INVITE"]


def at_us1() -> World:
    """The edge of us1, whose only other POP is eu1."""
    config = configuration(
        "us1",
        {"us1": f"{EDGE}:5060", "eu1": f"{EU1}:5060"},
        gateways=[gateway()],
        networks=["9.9.9.9/32"],
    )
    world = World(config, relay=PopRelay(key=KEY, interval_seconds=1_000.0, silence_seconds=1.0))
    world.proxy.liveness.begin(world.now)
    return world


def test_an_answer_that_comes_too_late_from_a_pop_is_hung_up_on() -> None:
    world = at_us1()
    eu1, pbx, carrier = world.agent(EU1), world.agent("9.9.9.9"), world.agent(CARRIER)
    pbx.send(pbx.request("INVITE", PLAIN, body=SDP))
    pbx.gets_response(100)
    sent = invites(eu1)[0]
    world.wait(1.5)
    here = carrier.gets_request("INVITE")
    eu1.inbox.clear()
    eu1.answer(sent, 180)
    eu1.gets_request("CANCEL")
    pbx.gets_nothing()
    eu1.answer(sent, 200, body=SDP)
    eu1.gets_request("ACK")
    eu1.gets_request("BYE")
    pbx.gets_nothing()
    carrier.answer(here, 200, body=SDP)
    assert pbx.gets_response(200).body == SDP


def to_us1_by_name(*answers: tuple[int, tuple[tuple[str, str], ...]]) -> tuple[Response, Refusal]:
    """A call to a name bound to eu1, the only POP of its region, which answers so, and what comes of it."""
    world = at_us1()
    eu1, pbx = world.agent(EU1), world.agent("9.9.9.9")
    pbx.send(pbx.request("INVITE", f"sip:{NUMBER}@acme.eu1.{BASE}", body=SDP))
    pbx.gets_response(100)
    sent = invites(eu1)[0]
    for status, headers in answers:
        eu1.answer(sent, status, *headers)
    world.wait(1.2)
    return pbx.gets_response(503), refused(world)


CHALLENGE = ("Proxy-Authenticate", f'Digest realm="{BASE}", nonce="1"')


@pytest.mark.parametrize(
    ("answers", "cause"),
    [
        ((), "pop-region-down"),
        (((503, (("Retry-After", ELSEWHERE),)),), "pop-not-taken"),
        # It has no key, and so takes the call for one of a stranger's.
        (((407, (CHALLENGE,)),), "pop-not-taken"),
    ],
)
def test_a_region_that_takes_no_call_and_one_that_is_down_are_told_apart(
    answers: tuple[tuple[int, tuple[tuple[str, str], ...]], ...], cause: str
) -> None:
    answer, refusal = to_us1_by_name(*answers)
    assert (refusal.gate, refusal.cause) == (Gate.POP, cause)
    assert answer.headers.get("Retry-After") == "5"
    assert answer.reason == refusal.rule, "the caller is told why"


def test_a_pop_that_is_down_by_now_is_not_tried_next() -> None:
    """Two are lost at once: the caller waits for the first of them only."""
    addresses: dict[str, str | None] = {"us1": f"{EDGE}:5060", "eu1": f"{EU1}:5060", "eu2": "4.4.4.6:5060"}
    world = World(
        configuration("us1", addresses, gateways=[gateway()], networks=["9.9.9.9/32"]),
        relay=PopRelay(key=KEY),
    )
    world.proxy.liveness.begin(world.now)
    eu1, eu2 = world.agent(EU1), world.agent("4.4.4.6")
    pbx, carrier = world.agent("9.9.9.9"), world.agent(CARRIER)
    pbx.send(pbx.request("INVITE", PLAIN, body=SDP))
    first, second = (eu1, eu2) if invites(eu1) else (eu2, eu1)
    first.answer(invites(first)[0], 100)
    answered = 0
    while not carrier.inbox:
        asked = [one for one in first.inbox if isinstance(one, Request) and one.method == "OPTIONS"]
        if answered < 3 and len(asked) > answered:
            first.answer(asked[answered], 200)
            answered += 1
        world.wait(0.02)
    assert [report.state for report in world.proxy.liveness.report(world.config)][1:] == [PopState.DOWN] * 2
    assert invites(second) == []


def test_a_caller_that_gives_up_while_a_pop_is_silent() -> None:
    world = at_us1()
    eu1, pbx, carrier = world.agent(EU1), world.agent("9.9.9.9"), world.agent(CARRIER)
    invite = pbx.request("INVITE", PLAIN, body=SDP)
    pbx.send(invite)
    pbx.gets_response(100)
    cancel = invite.copy()
    cancel.method = "CANCEL"
    cancel.headers.set("CSeq", "1 CANCEL")
    pbx.send(cancel)
    assert {pbx.gets_response(200).cseq.method, pbx.gets_response(487).cseq.method} == {"CANCEL", "INVITE"}
    world.wait(5)
    carrier.gets_nothing()
    assert world.said(CallStarted) == []
    assert world.said(Refusal) == []
    assert eu1.inbox


def test_what_is_refused_after_all_pops_were_silent_is_answered_once_and_for_good() -> None:
    """The INVITE has a transaction by then: its refusal is sent again until it is acknowledged."""
    world = at_us1()
    world.config = configuration(
        "us1",
        {"us1": f"{EDGE}:5060", "eu1": f"{EU1}:5060"},
        networks=["9.9.9.9/32"],
        account=an_account(concurrent_calls=0),
    )
    pbx = world.agent("9.9.9.9")
    invite = pbx.request("INVITE", PLAIN, body=SDP)
    pbx.send(invite)
    pbx.gets_response(100)
    world.wait(1.2)
    answer = pbx.gets_response(503)
    world.wait(0.6)
    pbx.gets_response(503)
    pbx.send(ack_of_failure(invite, answer))
    world.wait(10)
    pbx.inbox = [one for one in pbx.inbox if isinstance(one, Request)]
    pbx.gets_nothing()
    assert refused(world).cause == "account-concurrent-calls"


def test_who_calls_is_judged_where_the_call_is_handled() -> None:
    """What a caller claims to be passes from POP to POP as it came: only the last one believes it, or not."""
    world = at_us1()
    eu1, pbx = world.agent(EU1), world.agent("9.9.9.9")
    claims = (("P-Asserted-Identity", "<tel:+31201111111>"), ("Privacy", "id"), ("Diversion", "<sip:x@y>"))
    pbx.send(pbx.request("INVITE", PLAIN, *claims, body=SDP))
    sent = invites(eu1)[0]
    for name, value in claims:
        assert sent.headers.get(name) == value
    assert sent.from_.uri == f"sip:+31200000001@acme.{BASE}"
