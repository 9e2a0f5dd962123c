"""The gates: who is let in, what the others are told, and what is written down about it."""

from __future__ import annotations

import pytest

from sip_config.model import Number
from tests.edge.world import (
    ACCOUNT,
    BASE,
    CARRIER,
    DOMAIN,
    EDGE,
    NUMBER,
    PBX,
    SDP,
    Agent,
    World,
    ack_of_failure,
    an_account,
    directory,
    established,
    trunk,
    with_credentials,
)
from voice.records import CallStarted, Refusal
from voice.sip.flow import Flow
from voice.sip.message import Request, Response

USERS = {"pbx": "secret"}


def refused(world: World) -> Refusal:
    """The one refusal on record."""
    [refusal] = world.said(Refusal)
    assert refusal.remedy.endswith(".")
    return refusal


def challenged(pbx: Agent, invite: Request) -> Response:
    pbx.send(invite)
    challenge = pbx.gets_response(407)
    pbx.send(ack_of_failure(invite, challenge))
    return challenge


# -- source --------------------------------------------------------------------------------------


def test_a_source_that_nothing_admits_hears_nothing_and_leaves_one_record_with_a_count() -> None:
    world, _, carrier = trunk()
    stranger = world.agent("77.1.2.3")
    for _ in range(1000):
        stranger.send(stranger.invite())
    stranger.gets_nothing()
    carrier.gets_nothing()
    assert refused(world).gate == "source"
    assert "77.1.2.3" in refused(world).remedy
    world.wait(6)
    first, folded = world.said(Refusal)
    assert (first.count, folded.count) == (1, 999)
    assert world.proxy.kernel.refusals.total == 1000


def test_a_flood_from_everywhere_takes_bounded_memory() -> None:
    world, _, _ = trunk()
    kernel = world.proxy.kernel
    for number in range(20_000):
        host = f"77.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        world.proxy.receive(b"garbage", Flow("UDP", 1, host, 5060), world.now)
    assert 0 < len(kernel.refusals) <= 8_192
    assert len(world.said(Refusal)) == 2_001, "so many by themselves, the rest in one"
    assert kernel.outbox == []
    world.wait(6)
    assert sum(refusal.count for refusal in world.said(Refusal)) == 20_000
    many = world.said(Refusal)[-1]
    assert (many.source_address, many.cause, many.count) == ("many sources", "source-unknown", 17_999)
    assert many.remedy.startswith(
        "Many sources were refused for this at the same time. Of one: Nothing admits"
    )


def test_in_a_flood_from_everywhere_customers_still_find_their_own_refusals() -> None:
    world, pbx, _ = trunk()
    for number in range(5_000):
        host = f"77.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        world.proxy.receive(b"garbage", Flow("UDP", 1, host, 5060), world.now)
    pbx.send(pbx.request("INVITE", f"sip:{NUMBER}@nowhere.{BASE}", body=SDP))
    pbx.gets_response(404)
    refusal = world.said(Refusal)[-1]
    assert (refusal.source_address, refusal.cause) == (f"{PBX}:5060", "unknown-domain")


def test_a_source_that_only_a_digest_could_admit_is_heard() -> None:
    world, _, carrier = trunk(networks=(), users=USERS)
    anywhere = world.agent("77.1.2.3")
    invite = anywhere.invite()
    anywhere.send(with_credentials(invite, challenged(anywhere, invite), "pbx", "secret"))
    carrier.gets_request("INVITE")


def test_responses_from_strangers_are_not_even_parsed() -> None:
    world, _, _ = trunk()
    stranger = world.agent("77.1.2.3")
    world.send(b"SIP/2.0 200 OK\r\n\r\n", stranger.flow)
    assert refused(world).gate == "source"


def test_a_request_of_a_call_is_heard_from_wherever_the_call_went() -> None:
    world, pbx, carrier = trunk()
    _, callee = established(pbx, carrier)
    # The carrier's BYE comes from another of its addresses, which no list knows.
    other = world.agent("77.1.2.3")
    callee.agent = other
    callee.send("BYE")
    pbx.answer(pbx.gets_request("BYE"), 200)
    other.gets_response(200)


# -- parse ---------------------------------------------------------------------------------------


def test_a_faulty_request_is_told_what_is_wrong() -> None:
    world, pbx, _ = trunk()
    data = pbx.invite().to_bytes().replace(b"CSeq: 1 INVITE", b"CSeq: one INVITE")
    world.send(data, pbx.flow)
    # The answer repeats the faulty line, as RFC 3261 section 8.2.6.2 wants it.
    [answer] = pbx.unreadable
    assert answer.startswith(b"SIP/2.0 400 CSeq: ")
    assert (refused(world).gate, refused(world).rule) == ("parse", "CSeq")


def test_what_cannot_be_answered_is_met_with_silence() -> None:
    world, pbx, _ = trunk()
    for data in (b"", b"\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 400, b"INVITE sip:x SIP/2.0\r\n\r\n"):
        world.send(data, pbx.flow)
    pbx.gets_nothing()


@pytest.mark.parametrize("uri", ["tel:+31201234567", "http://x"])
def test_other_schemes_are_416(uri: str) -> None:
    world, pbx, _ = trunk()
    pbx.send(pbx.request("INVITE", uri, body=SDP, to=f"<sip:x@{DOMAIN}>"))
    pbx.gets_response(416)
    assert refused(world).sip_status == 416


def test_sips_in_the_clear_is_refused() -> None:
    world, pbx, _ = trunk()
    pbx.send(pbx.request("INVITE", f"sips:{NUMBER}@{DOMAIN}", body=SDP))
    pbx.gets_response(403)
    assert refused(world).cause == "sips-without-tls"


def test_a_response_goes_to_the_port_it_came_from_when_that_was_asked_for() -> None:
    world, _, _ = trunk()
    pbx = world.agent(PBX, 40000)
    request = pbx.request("OPTIONS", f"sip:{EDGE}")
    request.headers.set("Via", "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;rport")
    pbx.send(request)
    answer = pbx.gets_response(200)
    assert (answer.via.params["received"], answer.via.rport) == (PBX, 40000)


def test_without_rport_a_response_goes_to_the_port_in_the_via() -> None:
    world, _, _ = trunk()
    sender, listener = world.agent(PBX, 40000), world.agent(PBX, 5066)
    request = sender.request("OPTIONS", f"sip:{EDGE}")
    request.headers.set("Via", f"SIP/2.0/UDP {PBX}:5066;branch=z9hG4bK1")
    sender.send(request)
    sender.gets_nothing()
    listener.gets_response(200)


# -- what the edge itself answers --------------------------------------------------------------------


def test_options_are_answered() -> None:
    _, pbx, _ = trunk()
    pbx.send(pbx.request("OPTIONS", f"sip:{DOMAIN}"))
    answer = pbx.gets_response(200)
    assert "INVITE" in (answer.headers.get("Allow") or "")
    assert answer.headers.get("Accept") == "application/sdp"
    assert "100rel" in (answer.headers.get("Supported") or "")
    assert answer.to.tag


@pytest.mark.parametrize("method", ["REGISTER", "SUBSCRIBE", "PUBLISH", "MESSAGE", "INFO", "FROBNICATE"])
def test_other_methods_out_of_a_call_are_405(method: str) -> None:
    world, pbx, _ = trunk()
    pbx.send(pbx.request(method, f"sip:{DOMAIN}"))
    assert "INVITE" in (pbx.gets_response(405).headers.get("Allow") or "")
    assert method in refused(world).remedy


def test_max_forwards_0_is_483() -> None:
    world, pbx, carrier = trunk()
    invite = pbx.invite()
    invite.headers.set("Max-Forwards", "0")
    pbx.send(invite)
    pbx.gets_response(483)
    assert refused(world).rule == "Max-Forwards 0"
    carrier.gets_nothing()


def test_a_request_without_max_forwards_gets_one() -> None:
    _, pbx, carrier = trunk()
    invite = pbx.invite()
    invite.headers.remove("Max-Forwards")
    pbx.send(invite)
    assert carrier.gets_request("INVITE").max_forwards == 70


def test_a_request_that_comes_back_unchanged_is_482() -> None:
    world, pbx, carrier = trunk(networks=("9.9.9.0/24", "1.1.1.0/24"))
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    # The carrier sends it round: same Request-URI as at first, our Via below its own.
    looped = carrier.gets_request("INVITE")
    looped.uri = f"sip:{NUMBER}@{DOMAIN}"
    looped.headers.set("From", f"<sip:+31200000001@{DOMAIN}>;tag={looped.from_.tag}")
    looped.headers.prepend("Via", f"SIP/2.0/UDP {CARRIER};branch=z9hG4bKloop")
    carrier.send(looped)
    carrier.gets_response(482)
    assert refused(world).rule == "loop"


def test_a_request_that_comes_back_for_somewhere_else_is_no_loop() -> None:
    _, pbx, carrier = trunk(networks=("9.9.9.0/24", "1.1.1.0/24"))
    pbx.send(pbx.invite())
    spiral = carrier.gets_request("INVITE")
    spiral.uri = f"sip:+31207654321@{DOMAIN}"
    spiral.headers.prepend("Via", f"SIP/2.0/UDP {CARRIER};branch=z9hG4bKspiral")
    carrier.send(spiral)
    carrier.gets_response(100)


def test_demands_on_the_proxy_are_420_and_demands_on_the_callee_pass() -> None:
    _, pbx, carrier = trunk()
    pbx.send(pbx.invite(NUMBER, ("Proxy-Require", "foo, privacy, bar")))
    assert pbx.gets_response(420).headers.lines("Unsupported") == ["foo", "bar"]
    pbx.send(pbx.invite(NUMBER, ("Require", "baz")))
    assert carrier.gets_request("INVITE").headers.get("Require") == "baz"


# -- domain, ACL, digest -----------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["example.org", BASE, f"other.{BASE}", EDGE, f"acme.mars.{BASE}"])
def test_an_unknown_domain_is_404(host: str) -> None:
    world, pbx, carrier = trunk()
    pbx.send(pbx.request("INVITE", f"sip:{NUMBER}@{host}", body=SDP))
    pbx.gets_response(404)
    assert refused(world).gate == "domain"
    carrier.gets_nothing()


@pytest.mark.parametrize("host", [DOMAIN, DOMAIN.upper(), f"acme.eu1.{BASE}", f"{DOMAIN}:5060"])
def test_a_domain_is_known_by_any_of_its_names(host: str) -> None:
    _, pbx, carrier = trunk()
    pbx.send(pbx.request("INVITE", f"sip:{NUMBER}@{host}", body=SDP))
    carrier.gets_request("INVITE")


def test_a_source_that_the_domain_does_not_admit_is_403_with_a_record() -> None:
    world, _, carrier = trunk(networks=("9.9.9.0/24",))
    # The carrier's address is heard because it is a gateway, but the domain admits only the PBX.
    carrier.send(carrier.request("INVITE", f"sip:{NUMBER}@{DOMAIN}", body=SDP))
    carrier.gets_response(403)
    refusal = refused(world)
    assert (refusal.gate, refusal.domain, refusal.account_id) == ("acl", "acme", ACCOUNT)
    assert CARRIER in refusal.remedy
    assert "office" in refusal.remedy


def test_the_from_header_satisfies_no_acl() -> None:
    world, _, carrier = trunk()
    carrier.send(carrier.request("INVITE", f"sip:{NUMBER}@{DOMAIN}", body=SDP, from_=f"<sip:x@{PBX}>;tag=1"))
    carrier.gets_response(403)
    assert world.said(CallStarted) == []


def test_digest() -> None:
    world, pbx, carrier = trunk(users=USERS)
    invite = pbx.invite()
    challenge = challenged(pbx, invite)
    [value] = challenge.headers.lines("Proxy-Authenticate")
    assert f'realm="{BASE}"' in value
    assert "algorithm=MD5" in value
    pbx.send(with_credentials(invite, challenge, "pbx", "secret"))
    pbx.gets_response(100)
    carrier.gets_request("INVITE")
    assert world.said(Refusal) == []


def test_a_challenge_costs_no_memory_and_has_the_same_tag_again() -> None:
    world, pbx, _ = trunk(users=USERS)
    invite = pbx.invite()
    tags = {challenged(pbx, invite).to.tag for _ in range(3)}
    assert len(tags) == 1
    assert world.proxy.kernel.layer.sizes == (0, 0)


@pytest.mark.parametrize(
    ("user", "password", "says"),
    [("pbx", "mistyped", "password"), ("nobody", "secret", "nobody")],
)
def test_a_wrong_digest_is_challenged_again_and_recorded(user: str, password: str, says: str) -> None:
    world, pbx, carrier = trunk(users=USERS)
    invite = pbx.invite()
    pbx.send(with_credentials(invite, challenged(pbx, invite), user, password))
    assert "stale" not in (pbx.gets_response(407).headers.get("Proxy-Authenticate") or "")
    assert refused(world).gate == "digest"
    assert says in refused(world).remedy
    assert password not in repr(world.records)
    carrier.gets_nothing()


def test_an_old_nonce_is_stale_and_a_nonce_serves_once_per_count() -> None:
    world, pbx, carrier = trunk(users=USERS)
    invite = pbx.invite()
    challenge = challenged(pbx, invite)
    good = with_credentials(invite, challenge, "pbx", "secret")
    pbx.send(good)
    pbx.gets_response(100)
    carrier.gets_request("INVITE")
    replayed = good.copy()
    replayed.headers.set("Call-ID", "stolen")
    replayed.headers.set("Via", f"SIP/2.0/UDP {PBX}:5060;branch=z9hG4bKstolen")
    pbx.send(replayed)
    assert "stale=true" in (pbx.gets_response(407).headers.get("Proxy-Authenticate") or "")
    carrier.gets_nothing()
    world.wait(400)
    carrier.inbox.clear()
    pbx.inbox.clear()
    late = pbx.invite()
    pbx.send(with_credentials(late, challenge, "pbx", "secret"))
    assert "stale=true" in (pbx.gets_response(407).headers.get("Proxy-Authenticate") or "")


def test_a_digest_for_another_number_does_not_fit() -> None:
    world, pbx, carrier = trunk(users=USERS)
    invite = pbx.invite()
    answered = with_credentials(invite, challenged(pbx, invite), "pbx", "secret")
    answered.uri = f"sip:+31209999999@{DOMAIN}"
    pbx.send(answered)
    pbx.gets_response(407)
    assert refused(world).rule == "domain acme: wrong digest URI"
    carrier.gets_nothing()


# -- limits and route --------------------------------------------------------------------------------


def test_too_many_calls_per_second_are_told_when_to_come_back() -> None:
    world, pbx, carrier = trunk(account=an_account(calls_per_second=2))
    for _ in range(3):
        pbx.send(pbx.invite())
    assert [pbx.gets_response(status).status for status in (100, 100, 503)] == [100, 100, 503]
    assert len(carrier.inbox) == 2
    assert (refused(world).gate, refused(world).rule) == ("limits", "account acme: 2 calls per second")
    world.wait(0.5)
    carrier.inbox.clear()
    pbx.send(pbx.invite())
    carrier.gets_request("INVITE")


def test_a_rate_below_one_allows_one_call_and_says_how_long_to_wait() -> None:
    world, pbx, _ = trunk(account=an_account(calls_per_second=0.1))
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    pbx.send(pbx.invite())
    assert pbx.gets_response(503).headers.get("Retry-After") == "10"
    world.wait(10)
    pbx.inbox.clear()
    pbx.send(pbx.invite())
    pbx.gets_response(100)


def test_one_call_too_many_is_refused_until_a_place_is_free() -> None:
    world, pbx, carrier = trunk(account=an_account(concurrent_calls=1))
    caller, _ = established(pbx, carrier)
    pbx.send(pbx.invite())
    busy = pbx.gets_response(503)
    # Nobody can know when a call ends, and a PBX that gets Retry-After leaves the trunk alone for so long.
    assert "Retry-After" not in busy.headers
    assert refused(world).rule == "account acme: 1 calls at a time"
    caller.send("BYE")
    carrier.answer(carrier.gets_request("BYE"), 200)
    pbx.gets_response(200)
    pbx.send(pbx.invite())
    pbx.gets_response(100)


def test_what_nothing_answers_is_404_with_the_reason_on_record() -> None:
    world = World(directory())
    pbx = world.agent(PBX)
    pbx.send(pbx.invite())
    pbx.gets_response(404)
    assert (refused(world).gate, refused(world).domain) == ("route", "acme")
    assert NUMBER in refused(world).remedy


def test_a_plain_trunk_wants_a_number() -> None:
    world, pbx, _ = trunk()
    pbx.send(pbx.invite("reception"))
    pbx.gets_response(404)
    assert "E.164" in refused(world).remedy


@pytest.mark.parametrize("dialled", ["+31201234567", "31201234567", "0031201234567", "+31-20-123-4567"])
def test_a_number_may_be_dialled_in_many_ways(dialled: str) -> None:
    _, pbx, carrier = trunk()
    pbx.send(pbx.invite(dialled))
    assert carrier.gets_request("INVITE").uri == f"sip:{NUMBER}@{CARRIER}"


def test_a_configuration_that_changes_counts_for_the_next_call() -> None:
    world, pbx, carrier = trunk()
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    world.config = directory(
        numbers=[Number(id="n", account_id=ACCOUNT, e164=NUMBER)], networks=("10.0.0.0/8",)
    )
    carrier.inbox.clear()
    pbx.send(pbx.invite())
    pbx.gets_nothing()
    carrier.gets_nothing()


def test_the_records_hold_no_unprintable_text() -> None:
    world, pbx, _ = trunk()
    data = pbx.request("INVITE", "sip:x@nowhere", body=SDP, from_='"a" <sip:x@y>;tag=1').to_bytes()
    world.send(data.replace(b"call-", b"call\xff-"), pbx.flow)
    assert len(pbx.unreadable) == 1
    for refusal in world.said(Refusal):
        assert all(char.isprintable() for char in repr(refusal))
