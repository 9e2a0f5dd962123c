"""Nothing is refused without a record, and no record says another cause than its own."""

from __future__ import annotations

from itertools import product

import pytest

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
    an_account,
    directory,
    established,
    gateway,
    with_credentials,
)
from voice.records import Refusal
from voice.sip.message import Request, Response

USERS = {"pbx": "secret"}
STRANGER = "77.1.2.3"
FOLDED_SECONDS = 6


def trunk(**config: object) -> tuple[World, Agent, Agent]:
    world = World(directory(gateways=[gateway()], **config))  # type: ignore[arg-type]
    return world, world.agent(PBX), world.agent(CARRIER)


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
