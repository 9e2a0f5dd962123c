"""Nothing is refused without a record, and no record says another cause than its own."""

from __future__ import annotations

from dataclasses import asdict
from itertools import product

import pytest

from sip_config.call_limits import CallLimits, NumberKind
from sip_config.model import SrtpPolicy
from tests.edge.world import (
    ACCOUNT,
    BASE,
    CARRIER,
    DOMAIN,
    NUMBER,
    PBX,
    SDP,
    Agent,
    World,
    ack_of_failure,
    an_account,
    directory,
    established,
    gateway,
    trunk,
    with_credentials,
)
from voice.edge.core.unanswered import MOST_WAITING
from voice.explain import gates_of_refusal
from voice.pool.orders import DialPlan, Hunting
from voice.records import Gate, Refusal
from voice.sip.flow import Flow
from voice.sip.message import Request, Response

USERS = {"pbx": "secret"}
STRANGER = "77.1.2.3"
FOLDED_SECONDS = 6
CALL = "0c000000-0000-4000-8000-00000000000c"


def causes(world: World) -> list[str]:
    return [refusal.cause for refusal in world.said(Refusal)]


def logs_in_as(agent: Agent, user: str, password: str) -> Request:
    invite = agent.invite()
    agent.send(invite)
    challenge = agent.gets_response(407)
    agent.send(ack_of_failure(invite, challenge))
    answered = with_credentials(invite, challenge, user, password)
    agent.send(answered)
    agent.gets_response(407)
    return answered


# -- the right cause -------------------------------------------------------------------------------


def test_faults_of_one_kind_of_message_in_one_moment_are_told_apart() -> None:
    world, pbx, _ = trunk()
    world.send(pbx.invite().to_bytes().replace(b"SIP/2.0\r\n", b"SIP/3.0\r\n", 1), pbx.flow)
    pbx.send(pbx.invite(NUMBER, ("X-Long", "x" * 20_000)))
    pbx.send(pbx.request("INVITE", f"sip:{'1' * 9_000}@{DOMAIN}", body=SDP))
    pbx.send(pbx.request("INVITE", "tel:+31201234567", body=SDP))
    assert causes(world) == ["sip-version", "too-large", "uri-too-long", "uri-scheme"]


def test_wrong_names_and_wrong_passwords_in_one_moment_are_told_apart() -> None:
    world, pbx, _ = trunk(users={"pbx": "secret", "desk": "geheim"}, networks=())
    stranger = world.agent(STRANGER)
    for user in ("nobody", "pbx", "desk"):
        logs_in_as(stranger, user, "mistyped")
    assert causes(world) == ["unknown-user", "wrong-password", "wrong-password"]
    assert ["“desk”" in refusal.remedy for refusal in world.said(Refusal)] == [False, False, True]
    pbx.gets_nothing()


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
@pytest.mark.parametrize("networks", [("9.9.9.0/24",), ()])
def test_an_answer_that_comes_too_late_is_no_refusal(transport: str, networks: tuple[str, ...]) -> None:
    world, _, _ = trunk(networks=networks, users=USERS)
    pbx = world.agent(PBX, transport=transport)
    late = (
        f"SIP/2.0 200 OK\r\nVia: SIP/2.0/{transport} 8.8.4.4:5060;branch=z9hG4bKold\r\n"
        "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: old\r\nCSeq: 2 BYE\r\n\r\n"
    ).encode()
    assert world.proxy.receive(late, pbx.flow, world.now), "its connection is closed"
    assert causes(world) == []
    assert world.proxy.strays == 1


def test_answers_of_strangers_have_the_pace_of_their_requests() -> None:
    world, _, _ = trunk(networks=(), users=USERS)
    stranger = world.agent(STRANGER)
    for _ in range(1_000):
        world.proxy.receive(b"SIP/2.0 200 OK\r\n\r\n", stranger.flow, world.now)
    assert causes(world) == ["source-too-fast"]
    assert world.proxy.strays <= 200


# -- a record for each -----------------------------------------------------------------------------


def test_each_of_a_customers_calls_is_found_by_its_call_id() -> None:
    world, pbx, _ = trunk(users=USERS)
    sent = [logs_in_as(pbx, "pbx", "mistyped").call_id for _ in range(3)]
    assert [refusal.sip_call_id for refusal in world.said(Refusal)] == sent


def test_a_request_that_is_sent_again_is_counted() -> None:
    world, pbx, _ = trunk(account=an_account(concurrent_calls=0))
    invite = pbx.invite()
    for _ in range(7):
        pbx.send(invite)
    world.wait(FOLDED_SECONDS)
    assert [refusal.count for refusal in world.said(Refusal)] == [1, 6]


def test_a_customer_that_goes_wild_is_counted() -> None:
    world, pbx, _ = trunk(account=an_account(concurrent_calls=0))
    for _ in range(500):
        pbx.send(pbx.invite())
    assert 10 < len(world.said(Refusal)) < 50
    world.wait(FOLDED_SECONDS)
    assert sum(refusal.count for refusal in world.said(Refusal)) == 500


def test_a_cancel_of_no_call_is_on_record() -> None:
    world, pbx, _ = trunk()
    cancel = pbx.request("CANCEL", f"sip:{NUMBER}@{DOMAIN}")
    pbx.send(cancel)
    pbx.gets_response(481)
    (refusal,) = world.said(Refusal)
    assert (refusal.cause, refusal.gate, refusal.sip_status) == ("cancel-without-call", "request", 481)
    assert (refusal.sip_call_id, refusal.method) == (cancel.call_id, "CANCEL")


def test_a_call_that_is_given_up_when_it_is_challenged_is_on_record() -> None:
    world, pbx, _ = trunk(users=USERS)
    invite = pbx.invite()
    for _ in range(3):
        pbx.send(invite)
        pbx.gets_response(407)
        world.wait(5)
    assert world.said(Refusal) == []
    world.wait(6)
    (refusal,) = world.said(Refusal)
    assert (refusal.cause, refusal.sip_call_id, refusal.count) == ("no-credentials", invite.call_id, 1)
    assert "enter the user name and password" in refusal.remedy
    assert (refusal.domain, refusal.account_id) == ("acme", ACCOUNT)


def test_a_challenge_that_is_answered_is_none() -> None:
    world, pbx, carrier = trunk(users=USERS)
    for _ in range(3):
        invite = pbx.invite()
        pbx.send(invite)
        challenge = pbx.gets_response(407)
        pbx.send(with_credentials(invite, challenge, "pbx", "secret"))
        pbx.gets_response(100)
        carrier.gets_request("INVITE")
    logs_in_as(pbx, "pbx", "mistyped")
    world.wait(60)
    assert causes(world) == ["wrong-password"]


def test_what_is_sent_again_after_its_refusal_is_no_replay() -> None:
    world, pbx, _ = trunk(users=USERS)
    invite = pbx.invite("+4912345678")
    pbx.send(invite)
    answered = with_credentials(invite, pbx.gets_response(407), "pbx", "secret")
    world.config = directory(gateways=[gateway(prefixes=("31",))], users=USERS)
    pbx.send(answered)
    pbx.gets_response(404)
    pbx.send(answered)
    assert "stale=true" in (pbx.gets_response(407).headers.get("Proxy-Authenticate") or "")
    world.wait(60)
    assert causes(world) == ["no-gateway"]


def test_challenges_of_strangers_take_bounded_memory_and_no_customers_place() -> None:
    world, _, _ = trunk(networks=(), users=USERS)
    customer = world.agent("66.1.1.1")
    for number in range(6_000):
        stranger = world.agent(f"77.3.{number >> 8}.{number & 255}")
        world.proxy.receive(stranger.invite().to_bytes(), stranger.flow, world.now)
    logs_in_as(customer, "pbx", "mistyped")
    world.proxy.kernel.bans.logged_in(customer.host, world.now)
    lost = customer.invite()
    customer.send(lost)
    world.wait(20)
    given_up = [refusal for refusal in world.said(Refusal) if refusal.cause == "no-credentials"]
    assert sum(refusal.count for refusal in given_up) == MOST_WAITING
    assert lost.call_id in [refusal.sip_call_id for refusal in given_up]
    assert len(given_up) < 3_000


METHODS = ["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "SUBSCRIBE", "PRACK", "FROBNICATE"]
URIS = [
    f"sip:{NUMBER}@{DOMAIN}", f"sips:{NUMBER}@{DOMAIN}", f"sip:{NUMBER}@nowhere.{BASE}", "sip:8.8.4.4",
    "tel:+31201234567", "http://acme", f"sip:bob@{DOMAIN}", f"sip:{'A' * 300}@{DOMAIN}",
]  # fmt: skip
EXTRAS = [
    ("X-Nothing", "x"), ("Max-Forwards", "0"), ("Proxy-Require", "foo"), ("Privacy", "session;critical"),
    ("Contact", "<sip:[::z]>"), ("Record-Route", "<bad"), ("P-Asserted-Identity", "<<"), ("Refer-To", "<>"),
    ("User-Agent", "friendly-scanner"), ("Content-Type", "text/html"), ("Call-Info", "\x01"),
    ("Proxy-Authorization", "Digest x"),
]  # fmt: skip


@pytest.mark.parametrize("transport", ["UDP", "WSS"])
@pytest.mark.parametrize("host", [PBX, CARRIER])
def test_whatever_is_refused_is_on_record(host: str, transport: str) -> None:
    for tag, method, uri, extra in product(("", ";tag=1"), METHODS, URIS, EXTRAS):
        world, _, _ = trunk(networks=(PBX,), users=USERS)
        agent = world.agent(host, transport=transport)
        request = agent.request(method, uri, body=SDP, to=f"<sip:x@{DOMAIN}>{tag}")
        request.headers.set(*extra)
        agent.send(request)
        refused = [one for one in agent.inbox if isinstance(one, Response) and one.status >= 400]
        on_record = world.said(Refusal)
        said = (method, uri, extra, agent.inbox, agent.unreadable, on_record)
        challenged = [one.status for one in refused] == [407]
        if not on_record:
            assert challenged or not (refused or agent.unreadable), said
        elif agent.inbox or agent.unreadable:
            (record,) = on_record
            assert agent.unreadable or [one.status for one in refused] == [record.sip_status], said
            assert record.sip_call_id == request.call_id, said
        else:
            assert method == "ACK" or on_record[0].sip_status == 0, said


def test_what_is_refused_in_a_call_is_on_record() -> None:
    for method, side in product(("INVITE", "UPDATE", "INFO", "BYE", "REFER", "MESSAGE"), (0, 1)):
        world, pbx, carrier = trunk()
        dialog = established(pbx, carrier)[side]
        request = dialog.request(method)
        request.headers.set("Max-Forwards", "0")
        dialog.agent.send(request)
        dialog.agent.gets_response(483)
        (refusal,) = world.said(Refusal)
        assert (refusal.cause, refusal.sip_call_id) == ("max-forwards", request.call_id)


# -- what is said of it ----------------------------------------------------------------------------


def explained(refusal: Refusal) -> dict[str, tuple[str, str]]:
    return {one.gate: (one.verdict, one.entry) for one in gates_of_refusal(asdict(refusal))}


def test_the_gates_of_a_running_call_were_passed_when_it_began() -> None:
    limits = CallLimits(denied_kinds=(NumberKind.PREMIUM,))
    world = World(
        directory(account=an_account(limits=limits), srtp=SrtpPolicy.FORBIDDEN, gateways=[gateway()])
    )
    caller, _ = established(world.agent(PBX), world.agent(CARRIER))
    caller.send("INVITE", ("Content-Type", "application/sdp"), body=SDP.replace(b"RTP/AVP", b"RTP/SAVP"))
    caller.send("REFER", ("Refer-To", "<tel:+31900123456>"))
    by_media, by_limits = world.said(Refusal)
    assert (by_media.gate, by_limits.gate) == (Gate.MEDIA, Gate.LIMITS)
    for refusal in (by_media, by_limits):
        assert refusal.account_id == ACCOUNT
        gates = explained(refusal)
        assert list(gates) == list(Gate)
        assert gates[Gate.REQUEST][0] == "passed"
        before = [Gate.DOMAIN, Gate.ACL, Gate.DIGEST, Gate.POP, Gate.IDENTITY]
        assert {gates[gate] for gate in before} == {("not asked", "the call had been let in")}
        assert gates[Gate(refusal.gate)] == ("refused", refusal.rule)


def dials(world: World, target: str) -> Agent:
    """A callflow's process."""
    process = world.agent("127.0.0.1", 7000)
    plan = DialPlan(
        call_id=CALL,
        account_id=ACCOUNT,
        targets=(target,),
        hunting=Hunting.SERIAL,
        ring_seconds=30,
        caller_id="+31200000001",
    )
    ticket = world.proxy.dials.file(plan, world.now)
    process.send(process.request("INVITE", ticket.uri, body=SDP))
    return process


@pytest.mark.parametrize(
    ("target", "status", "gate", "cause"),
    [
        ("+4", 484, Gate.PARSE, "callflow-destination"),
        ("http://x", 484, Gate.PARSE, "callflow-destination"),
        ("sip:@", 400, Gate.PARSE, "callflow-destination"),
        ("+4912345678", 404, Gate.ROUTE, "callflow-no-gateway"),
    ],
)
def test_what_a_callflow_may_not_dial_is_on_record(target: str, status: int, gate: Gate, cause: str) -> None:
    world = World(directory(gateways=[gateway(prefixes=("31",))]))
    process = dials(world, target)
    assert [one.status for one in process.inbox if isinstance(one, Response)] == [100, status]
    (refusal,) = world.said(Refusal)
    assert (refusal.cause, refusal.gate, refusal.sip_status) == (cause, gate, status)
    assert (refusal.account_id, refusal.sip_call_id) == (ACCOUNT, CALL)
    assert refusal.remedy.endswith(".")
    gates = explained(refusal)
    assert gates[Gate.BAN] == ("not asked", "a callflow dialled")
    assert gates[gate] == ("refused", refusal.rule)


def test_in_a_flood_a_callflow_still_finds_its_own_refusals() -> None:
    world = World(directory())
    for number in range(5_000):
        host = f"77.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        world.proxy.receive(b"garbage", Flow("UDP", 1, host, 5060), world.now)
    dials(world, NUMBER)
    assert world.said(Refusal)[-1].source_address == f"call {CALL}"
