"""Bans and paces at the edge: what strangers bring upon themselves, and cannot bring upon others."""

from __future__ import annotations

import pytest

from sip_config.directory import Directory
from tests.edge.world import (
    BASE,
    CARRIER,
    DOMAIN,
    NUMBER,
    PBX,
    SDP,
    Agent,
    World,
    ack_of_failure,
    directory,
    established,
    gateway,
    with_credentials,
)
from voice.edge.settings import BanRules
from voice.records import CallStarted, Refusal
from voice.sip.flow import Flow
from voice.sip.message import Request

USERS = {"pbx": "secret"}
STRANGER = "77.1.2.3"
OTHER = "77.1.2.4"


def roaming(**rules: object) -> tuple[World, Agent, Agent]:
    """A trunk for whoever knows the password; a stranger, and the carrier."""
    world = World(
        directory(gateways=[gateway()], networks=(), users=USERS),
        bans=BanRules(**rules),  # type: ignore[arg-type]
    )
    return world, world.agent(STRANGER), world.agent(CARRIER)


def refusals(world: World) -> list[tuple[str, str]]:
    return [(refusal.gate, refusal.cause) for refusal in world.said(Refusal)]


def logs_in(agent: Agent, carrier: Agent) -> None:
    """A good call, from the first INVITE on."""
    invite = agent.invite()
    agent.send(invite)
    challenge = agent.gets_response(407)
    agent.send(ack_of_failure(invite, challenge))
    agent.send(with_credentials(invite, challenge, "pbx", "secret"))
    agent.gets_response(100)
    carrier.gets_request("INVITE")


def fails_to_log_in(agent: Agent, user: str) -> Request:
    invite = agent.invite()
    agent.send(invite)
    wrong = with_credentials(invite, agent.gets_response(407), user, "guess")
    agent.send(wrong)
    agent.gets_response(407)
    return wrong


@pytest.mark.parametrize(
    "header",
    [
        ("User-Agent", "friendly-scanner"),
        ("User-Agent", "SIPVicious 0.3"),
        ("User-Agent", "sipcli/v1.8"),
        ("User-Agent", "pplsip"),
        ("From", '"sipvicious"<sip:100@1.1.1.1>;tag=1'),
        ("To", '"sipvicious"<sip:100@1.1.1.1>'),
    ],
)
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "REGISTER"])
def test_a_scanner_hears_nothing_and_is_banned(header: tuple[str, str], method: str) -> None:
    world, stranger, carrier = roaming()
    request = stranger.request(method, f"sip:100@{DOMAIN}", body=SDP)
    request.headers.set(*header)
    stranger.send(request)
    stranger.send(stranger.invite())
    stranger.gets_nothing()
    assert refusals(world) == [("ban", "scanner"), ("ban", "banned-scanner")]
    remedy = world.said(Refusal)[-1].remedy
    assert "until 2027-01-15 08:01:00+00:00" in remedy
    assert f"trunkflow bans release {STRANGER}" in remedy
    logs_in(world.agent(OTHER), carrier)
    world.wait(61)
    logs_in(stranger, carrier)


@pytest.mark.parametrize("name", ["friendly-scanners", "Sipclient 2.0", "MyPBX", "svmapper"])
def test_a_name_that_only_resembles_a_scanners_is_none(name: str) -> None:
    world, stranger, _ = roaming()
    stranger.send(stranger.invite(NUMBER, ("User-Agent", name)))
    stranger.gets_response(407)
    assert world.said(Refusal) == []


def test_a_customer_may_try_a_trunk_with_a_scanner() -> None:
    world = World(directory(gateways=[gateway()]))
    pbx, carrier = world.agent(PBX), world.agent(CARRIER)
    pbx.send(pbx.invite(NUMBER, ("User-Agent", "sipcli/v1.8")))
    pbx.gets_response(100)
    carrier.gets_request("INVITE")


def test_guessing_domains_ends_in_a_ban() -> None:
    world, stranger, _ = roaming(unknown_domains=3)
    for guess in ("a", "b", "c"):
        stranger.send(stranger.request("INVITE", f"sip:{NUMBER}@{guess}.{BASE}", body=SDP))
        stranger.gets_response(404)
    stranger.send(stranger.invite())
    stranger.gets_nothing()
    assert refusals(world) == [("domain", "unknown-domain"), ("ban", "banned-unknown-domains")]


def test_so_does_registering_with_addresses_instead_of_domains() -> None:
    world, stranger, _ = roaming(unknown_domains=3)
    for _ in range(3):
        stranger.send(stranger.request("REGISTER", "sip:8.8.4.4"))
        stranger.gets_response(405)
    stranger.send(stranger.request("REGISTER", "sip:8.8.4.4"))
    stranger.gets_nothing()
    assert refusals(world)[-1] == ("ban", "banned-unknown-domains")


def test_registering_with_a_domain_is_only_refused() -> None:
    _, stranger, _ = roaming(unknown_domains=3)
    for _ in range(20):
        stranger.send(stranger.request("REGISTER", f"sip:{DOMAIN}"))
        stranger.gets_response(405)


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_guessing_passwords_of_many_users_ends_in_a_ban_for_all_transports(transport: str) -> None:
    world, _, carrier = roaming(wrong_users=3)
    guesser = world.agent(STRANGER, 5070, transport=transport)
    for user in ("100", "101", "102"):
        fails_to_log_in(guesser, user)
    for agent in (guesser, world.agent(STRANGER), world.agent(STRANGER, transport="TCP")):
        agent.send(agent.invite())
        agent.gets_nothing()
    assert refusals(world)[-1] == ("ban", "banned-wrong-passwords")
    logs_in(world.agent(OTHER), carrier)


def test_a_mistyped_password_is_no_reason_for_long() -> None:
    world, stranger, carrier = roaming()
    for _ in range(60):
        fails_to_log_in(stranger, "pbx")
        world.wait(20)
    logs_in(stranger, carrier)


def test_guesses_under_a_forged_source_ban_datagrams_only_and_nobody_who_has_logged_in() -> None:
    """The forger gets challenges at home, and answers them with the victim's address."""
    world, home, carrier = roaming(wrong_users=3)
    regular, newcomer = world.agent("66.1.1.1"), world.agent("66.1.1.2")
    logs_in(regular, carrier)
    for victim in (regular, newcomer):
        for user in map(str, range(50)):
            invite = home.invite()
            home.send(invite)
            forged = with_credentials(invite, home.gets_response(407), user, "guess")
            world.send(forged.to_bytes(), victim.flow)
        victim.inbox.clear()
    logs_in(regular, carrier)
    newcomer.send(newcomer.invite())
    newcomer.gets_nothing()
    [ban] = world.proxy.kernel.enforced_bans(world.now)
    assert (ban.address, ban.proven) == ("66.1.1.2", False)
    logs_in(world.agent("66.1.1.2", transport="TCP"), carrier)
    # That it knows a password says more than what came in its name.
    assert world.proxy.kernel.enforced_bans(world.now) == ()
    logs_in(newcomer, carrier)


def test_a_forged_scanner_bans_no_source_that_the_configuration_names() -> None:
    world = World(directory(gateways=[gateway()], networks=("9.9.9.0/24",)))
    pbx, carrier = world.agent(PBX), world.agent(CARRIER)
    for victim in (pbx, carrier):
        for _ in range(30):
            forged = victim.request("OPTIONS", f"sip:100@{DOMAIN}", ("User-Agent", "friendly-scanner"))
            world.send(forged.to_bytes(), victim.flow)
            unknown = victim.request("INVITE", f"sip:100@nowhere.{BASE}", body=SDP)
            world.send(unknown.to_bytes(), victim.flow)
        victim.inbox.clear()
    established(pbx, carrier)


def test_a_list_for_the_whole_internet_names_nobody() -> None:
    world = World(directory(gateways=[gateway()], networks=("0.0.0.0/0",)))
    stranger = world.agent(STRANGER)
    stranger.send(stranger.request("OPTIONS", f"sip:100@{DOMAIN}", ("User-Agent", "friendly-scanner")))
    stranger.send(stranger.invite())
    stranger.gets_nothing()


def test_the_operator_may_include_who_is_named() -> None:
    world = World(directory(gateways=[gateway()]), bans=BanRules(include_named=True))
    pbx = world.agent(PBX)
    pbx.send(pbx.request("OPTIONS", f"sip:100@{DOMAIN}", ("User-Agent", "friendly-scanner")))
    pbx.send(pbx.invite())
    pbx.gets_nothing()


def test_switched_off_a_scanner_is_treated_like_anybody() -> None:
    world, stranger, _ = roaming(enabled=False)
    stranger.send(stranger.invite(NUMBER, ("User-Agent", "friendly-scanner")))
    stranger.gets_response(407)
    assert world.said(Refusal) == []


def test_a_call_that_was_let_in_goes_on_when_its_source_is_banned() -> None:
    world, stranger, carrier = roaming()
    invite = stranger.invite()
    stranger.send(invite)
    good = with_credentials(invite, stranger.gets_response(407), "pbx", "secret")
    caller, _ = established(stranger, carrier, good)
    stranger.inbox.clear()
    world.wait(3_590)
    # An hour later the login counts no more, and somebody forges the address.
    world.wait(20)
    world.send(
        stranger.request("OPTIONS", f"sip:1@{DOMAIN}", ("User-Agent", "sipvicious")).to_bytes(), stranger.flow
    )
    carrier.inbox.clear()
    stranger.inbox.clear()
    stranger.send(stranger.invite())
    stranger.gets_nothing()
    caller.send("INFO")
    carrier.gets_request("INFO")


def test_strangers_are_slowed_down_before_they_are_parsed() -> None:
    world, stranger, carrier = roaming(requests_per_second=10.0, request_burst=20)
    for _ in range(500):
        stranger.send(stranger.invite())
    assert len(stranger.inbox) == 20
    assert refusals(world) == [("ban", "source-too-fast")]
    assert "10 requests per second" in world.said(Refusal)[0].remedy
    logs_in(world.agent(OTHER), carrier)
    stranger.inbox.clear()
    world.wait(1)
    for _ in range(500):
        stranger.send(stranger.invite())
    assert len(stranger.inbox) == 10


def test_who_goes_on_for_too_long_is_banned() -> None:
    world, stranger, _ = roaming(requests_per_second=10.0, request_burst=20, flood_requests=300)
    for _ in range(330):
        world.proxy.receive(b"garbage", stranger.flow, world.now)
    assert refusals(world)[-1] == ("ban", "banned-flood")
    [ban] = world.proxy.kernel.bans.in_force(world.now)
    assert (ban.address, ban.proven) == (STRANGER, False)


def test_who_is_named_or_has_logged_in_is_not_slowed_down() -> None:
    world, stranger, carrier = roaming(requests_per_second=1.0, request_burst=5)
    logs_in(stranger, carrier)
    for _ in range(100):
        invite = stranger.invite()
        stranger.send(invite)
        stranger.gets_response(407)
    world.config = directory(gateways=[gateway()])
    pbx = world.agent(PBX)
    for _ in range(50):
        pbx.send(pbx.invite())
        pbx.gets_response(100)


def test_a_domain_has_a_pace_for_strangers_that_spares_who_is_known() -> None:
    world, _, carrier = roaming(domain_requests_per_second=10.0, domain_request_burst=20)
    regular = world.agent(OTHER)
    logs_in(regular, carrier)
    answered = 0
    for number in range(100):
        host = f"78.0.0.{number}"
        stranger = world.agent(host)
        stranger.send(stranger.invite())
        [response] = stranger.inbox
        assert not isinstance(response, Request)
        answered += response.status == 407
        assert response.status == 407 or response.headers.get("Retry-After") == "1"
    assert answered == 18, "two of the burst were the regular's"
    assert {cause for _, cause in refusals(world)} == {"domain-too-fast"}
    logs_in(regular, carrier)


def test_who_was_challenged_may_answer_however_many_others_call() -> None:
    world, newcomer, carrier = roaming(domain_requests_per_second=1.0, domain_request_burst=5)
    invite = newcomer.invite()
    newcomer.send(invite)
    challenge = newcomer.gets_response(407)
    for number in range(50):
        world.agent(f"78.0.0.{number}").send(world.agent(f"78.0.0.{number}").invite())
    newcomer.send(with_credentials(invite, challenge, "pbx", "secret"))
    newcomer.gets_response(100)
    carrier.gets_request("INVITE")


def crowd(world: World) -> None:
    """As if the socket had not been found empty for long."""
    for _ in range(1_000):
        world.proxy.kernel.crowd.batch(False)


def test_in_a_crowd_strangers_are_left_aside_and_customers_are_not() -> None:
    world, _, carrier = roaming()
    regular, newcomer = world.agent(OTHER), world.agent("66.1.1.2")
    logs_in(regular, carrier)
    invite = newcomer.invite()
    newcomer.send(invite)
    challenge = newcomer.gets_response(407)
    crowd(world)
    answered = 0
    for number in range(200):
        stranger = world.agent(f"78.0.0.{number}")
        stranger.send(stranger.invite())
        answered += len(stranger.inbox)
    assert 3 <= answered <= 5
    assert set(refusals(world)) == {("ban", "edge-overloaded")}
    logs_in(regular, carrier)
    # Whoever was challenged before may answer.
    newcomer.send(with_credentials(invite, challenge, "pbx", "secret"))
    newcomer.gets_response(100)
    carrier.gets_request("INVITE")
    # What others forge with that answer is not let through.
    forged = with_credentials(invite, challenge, "pbx", "guess").to_bytes()
    for number in range(40):
        world.send(forged, Flow("UDP", 1, f"78.0.1.{number}", 5060))
    assert sum(cause == "wrong-password" for _, cause in refusals(world)) <= 1
    # A connection is read no faster than it is dealt with.
    logs_in(world.agent("78.0.2.1", transport="TCP"), carrier)


def test_in_a_crowd_no_customer_takes_the_place_of_the_others() -> None:
    world = World(directory(gateways=[gateway()], users=USERS))
    pbx, neighbour, carrier = world.agent(PBX), world.agent("9.9.9.8"), world.agent(CARRIER)
    invite = pbx.invite()
    pbx.send(invite)
    good = with_credentials(invite, pbx.gets_response(407), "pbx", "secret")
    caller, _ = established(pbx, carrier, good)
    for _ in range(2_500):
        pbx.send(pbx.invite())
    assert len(pbx.inbox) == 2_500, "without a crowd whoever is named sends as fast as it likes"
    pbx.inbox.clear()
    crowd(world)
    for _ in range(2_500):
        pbx.send(pbx.invite())
    assert len(pbx.inbox) == 2_000
    assert refusals(world)[-1] == ("ban", "edge-overloaded")
    assert "place its calls more slowly" in world.said(Refusal)[-1].remedy
    logs_in(neighbour, carrier)
    caller.send("INFO")
    carrier.gets_request("INFO")


def test_a_flood_from_everywhere_leaves_a_good_login_alone() -> None:
    """Ten thousand a second from forged sources, for a second, with good calls in between."""
    world, _, carrier = roaming()
    regular = world.agent("66.1.1.1")
    sent = 0
    for tick in range(100):
        for number in range(100):
            host = f"78.{tick}.{number}.1"
            forged = Agent(world, host, 5060, "UDP", None)
            forged.flow = Flow("UDP", 1, host, 5060)
            world.proxy.receive(forged.invite().to_bytes(), forged.flow, world.now)
            sent += 1
        world.proxy.kernel.outbox.clear()
        if tick % 10 == 0:
            logs_in(regular if tick else world.agent("66.1.1.2"), carrier)
        world.now += 0.01
    assert sent == 10_000
    assert len(world.said(CallStarted)) == 10
    assert world.proxy.kernel.layer.sizes[0] < 100


def test_an_ipv6_source_is_its_64() -> None:
    world = World(directory(gateways=[gateway()], networks=(), users=USERS))
    scanner = Flow("UDP", 1, "2a01:db8:1:2::1", 5060)
    neighbour = Flow("UDP", 1, "2a01:db8:1:2:ffff::9", 5060)
    stranger = Agent(world, "2a01:db8:1:2::1", 5060, "UDP", "sip:x@[2a01:db8:1:2::1]")
    stranger.host = "[2a01:db8:1:2::1]"
    request = stranger.request("OPTIONS", f"sip:{DOMAIN}", ("User-Agent", "pplsip"))
    world.send(request.to_bytes(), scanner)
    world.send(stranger.invite().to_bytes(), neighbour)
    assert refusals(world) == [("ban", "scanner"), ("ban", "banned-scanner")]
    assert world.nowhere == []


def test_a_ban_is_over_for_an_address_that_a_new_list_names() -> None:
    world, stranger, carrier = roaming()
    stranger.send(stranger.invite(NUMBER, ("User-Agent", "pplsip")))
    stranger.send(stranger.invite())
    stranger.gets_nothing()
    before = world.config
    assert isinstance(before, Directory)
    world.config = directory(gateways=[gateway()], networks=(f"{STRANGER}/32",))
    stranger.send(stranger.invite())
    stranger.gets_response(100)
    carrier.gets_request("INVITE")


def test_a_stranger_whose_connections_are_cut_off_again_and_again_is_banned() -> None:
    world, _, _ = roaming()
    for _ in range(10):
        assert not world.proxy.kernel.bans.in_force(world.now)
        flow = Flow("TCP", 2, STRANGER, 40_000, 7)
        world.proxy.stream_refused(flow, "connection-keepalives", "", world.now)
    (ban,) = world.proxy.kernel.bans.in_force(world.now)
    assert (ban.address, ban.reason, ban.proven) == (STRANGER, "flood", True)
