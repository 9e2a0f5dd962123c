"""By which transport a message travels: promises of sips, long requests, connections that are gone."""

from __future__ import annotations

import pytest

from sip_config.model import Transport
from tests.edge.world import (
    CARRIER,
    CARRIER2,
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
from voice.edge.core.reach import (
    LargeRequests,
    Unreachable,
    alias_port,
    port_of,
    response_flow,
    wanted_transport,
)
from voice.records import LegChanged, LegStarted, Refusal
from voice.sip.flow import Flow
from voice.sip.message import Request
from voice.sip.uri import parse_uri

TCP = Flow("TCP", 2, CARRIER, 5060)
LONG = ("X-Long", "x" * 900)


def trunk(*gateways: Transport) -> tuple[World, Agent]:
    chosen = [
        gateway(f"carrier{at}", host, priority=at, transport=transport, port=transport.usual_port)
        for at, (transport, host) in enumerate(zip(gateways, (CARRIER, CARRIER2), strict=False))
    ]
    world = World(directory(gateways=chosen))
    return world, world.agent(PBX)


def failed(world: World, flow: Flow, problem: str = "") -> None:
    world.proxy.transport_failed(flow, world.now, problem)
    world.deliver()


# -- what a URI asks for ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "transport", "port"),
    [
        ("sip:a@b", None, 5060),
        ("sip:a@b;transport=udp", "UDP", 5060),
        ("sip:a@b;transport=TCP", "TCP", 5060),
        ("sip:a@b;transport=tls", "TLS", 5061),
        ("sips:a@b", "TLS", 5061),
        ("sips:a@b;transport=tcp", "TLS", 5061),
        ("sips:a@b:5071;transport=tls", "TLS", 5071),
    ],
)
def test_a_uri_names_its_transport_and_port(uri: str, transport: str | None, port: int) -> None:
    assert wanted_transport(parse_uri(uri)) == transport
    assert port_of(parse_uri(uri)) == port


@pytest.mark.parametrize(
    "uri",
    ["sip:a@b;transport=ws", "sips:a@b;transport=ws", "sips:a@b;transport=udp", "sip:a@b;transport=sctp"],
)
def test_what_cannot_be_reached_is_said(uri: str) -> None:
    with pytest.raises(Unreachable):
        wanted_transport(parse_uri(uri))


# -- sips ------------------------------------------------------------------------------------------


def test_a_sips_call_goes_out_by_tls_alone_and_is_shown_sips_on_both_sides() -> None:
    world, _ = trunk(Transport.UDP, Transport.TLS)
    pbx = world.agent(PBX, 40000, transport="TLS", contact=f"sips:pbx@{PBX}:40000")
    plain, secure = world.agent(CARRIER), world.agent(CARRIER2, 5061, transport="TLS")
    pbx.send(pbx.request("INVITE", f"sips:{NUMBER}@{DOMAIN}", body=SDP))
    invite = secure.gets_request("INVITE")
    plain.gets_nothing()
    assert invite.via.transport == "TLS"
    secure.answer(invite, 200)
    pbx.gets_response(100)
    answer = pbx.gets_response(200)
    assert answer.contact is not None
    assert answer.contact.uri.startswith("sips:")
    assert all(route.uri.startswith("sips:") for route in answer.record_routes)
    caller = Dialog.of_caller(pbx, answer)
    caller.send("ACK")
    secure.gets_request("ACK")
    caller.send("BYE")
    secure.answer(secure.gets_request("BYE"), 200)
    pbx.gets_response(200)


def test_a_sips_call_without_a_gateway_that_has_tls_is_refused() -> None:
    world, _ = trunk(Transport.TCP)
    pbx = world.agent(PBX, 40000, transport="TLS")
    pbx.send(pbx.request("INVITE", f"sips:{NUMBER}@{DOMAIN}", body=SDP))
    pbx.gets_response(404)
    (refusal,) = world.said(Refusal)
    assert refusal.cause == "no-secure-gateway"


# -- long requests (RFC 3261 section 18.1.1) -------------------------------------------------------


def test_a_request_too_long_for_a_datagram_goes_over_tcp() -> None:
    world, pbx = trunk(Transport.UDP)
    datagrams, stream = world.agent(CARRIER), world.agent(CARRIER, transport="TCP")
    pbx.send(pbx.invite(NUMBER, LONG))
    invite = stream.gets_request("INVITE")
    assert invite.via.transport == "TCP"
    datagrams.gets_nothing()
    stream.answer(invite, 486)
    stream.gets_request("ACK")
    pbx.gets_response(100)
    pbx.gets_response(486)
    pbx.send(pbx.invite())
    datagrams.gets_request("INVITE")


def test_a_peer_without_tcp_gets_long_requests_over_udp_after_all_and_the_next_at_once() -> None:
    world, pbx = trunk(Transport.UDP)
    carrier = world.agent(CARRIER)
    pbx.send(pbx.invite(NUMBER, LONG))
    ((tcp, _),) = world.nowhere
    assert tcp.transport == "TCP"
    failed(world, tcp)
    carrier.gets_request("INVITE")
    assert len(world.said(LegStarted)) == 2, "the caller's and one of the carrier's"
    pbx.send(pbx.invite(NUMBER, LONG))
    carrier.gets_request("INVITE")
    world.wait(601)
    carrier.inbox.clear()
    world.nowhere.clear()
    pbx.send(pbx.invite(NUMBER, LONG))
    ((tcp, _),) = world.nowhere
    assert tcp.transport == "TCP", "it may have TCP by now"
    carrier.gets_nothing()


def test_peers_without_tcp_are_forgotten_when_there_are_too_many() -> None:
    large = LargeRequests()
    peers = [Flow("UDP", 1, f"10.0.{at >> 8}.{at & 255}", 5060) for at in range(5_000)]
    for flow in peers:
        large.failed(flow, 0.0)
    without = [flow for flow in peers if large.flow_for(flow, TCP, 1.0) is flow]
    assert len(without) <= 4_096
    assert peers[-1] in without


def test_a_long_request_in_a_dialog_falls_back_as_well() -> None:
    world, pbx = trunk(Transport.UDP)
    carrier = world.agent(CARRIER)
    caller, _ = established(pbx, carrier)
    caller.send("MESSAGE", ("X-Long", "x" * 1_200))
    tcp, _ = world.nowhere[-1]
    failed(world, tcp)
    carrier.answer(carrier.gets_request("MESSAGE"), 200)
    pbx.gets_response(200)


def test_long_requests_stay_on_udp_where_the_operator_says_so() -> None:
    world = World(directory(gateways=[gateway()]), large_requests_by_tcp=False)
    pbx, carrier = world.agent(PBX), world.agent(CARRIER)
    pbx.send(pbx.invite(NUMBER, LONG))
    carrier.gets_request("INVITE")


# -- connections that serve both ways (RFC 5923) ---------------------------------------------------


@pytest.mark.parametrize(
    ("head", "port"),
    [
        ("OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TLS pbx.example:5071;alias;branch=z9hG4bK1", 5071),
        ("OPTIONS sip:a@b SIP/2.0\r\nv: SIP/2.0/TLS pbx.example;branch=z9hG4bK1;alias", 5061),
        ("OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TLS pbx.example:5071;branch=z9hG4bK1", None),
        ("OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TLS a;branch=z9hG4bK1, SIP/2.0/TLS b;alias", None),
        ("SIP/2.0 200 OK\r\nVia: SIP/2.0/TLS pbx.example:5071;alias;branch=z9hG4bK1", None),
        ("OPTIONS sip:a@b SIP/2.0\r\nVia: ?;alias", None),
        ("OPTIONS sip:a@b SIP/2.0\r\nX: Via: SIP/2.0/TLS pbx.example;alias", None),
    ],
    ids=["port", "no port", "not asked for", "of another", "response", "unreadable", "none"],
)
def test_who_asks_for_it_is_reached_by_its_own_connection(head: str, port: int | None) -> None:
    assert alias_port(head.encode() + b"\r\nCSeq: 1 OPTIONS\r\n\r\nVia: SIP/2.0/TLS x;alias") == port


# -- connections that are gone (section 18.2.2) ----------------------------------------------------


@pytest.mark.parametrize(
    ("via", "transport", "port", "name"),
    [
        ("SIP/2.0/TCP pbx.example:5070;branch=z9hG4bK1;received=9.9.9.9", "TCP", 5070, ""),
        ("SIP/2.0/TCP 9.9.9.9;branch=z9hG4bK1, SIP/2.0/UDP 1.1.1.1", "TCP", 5060, ""),
        ("SIP/2.0/TLS pbx.example;branch=z9hG4bK1;rport=40000;received=9.9.9.9", "TLS", 5061, "pbx.example"),
    ],
)
def test_a_response_without_its_connection_goes_where_the_via_says(
    via: str, transport: str, port: int, name: str
) -> None:
    lost = Flow(transport, 2, PBX, 40000, 9)
    data = f"SIP/2.0 200 OK\r\nVia: {via}\r\nVia: SIP/2.0/UDP x\r\n\r\nbody".encode()
    assert response_flow(data, lost) == Flow(transport, 2, PBX, port, 0, name)


def test_neither_a_request_nor_a_response_to_a_websocket_has_another_way() -> None:
    response = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bK1\r\n\r\n"
    assert response_flow(response, Flow("WS", 4, PBX, 40000, 9)) is None
    assert response_flow(b"BYE sip:a@b SIP/2.0\r\n\r\n", Flow("TCP", 2, PBX, 40000, 9)) is None
    assert response_flow(b"SIP/2.0 200 OK\r\nVia: ?\r\n\r\n", Flow("TCP", 2, PBX, 40000, 9)) is None
    assert response_flow(b"SIP/2.0 200 OK\r\n\r\n", Flow("TCP", 2, PBX, 40000, 9)) is None


def test_a_websocket_client_that_is_gone_cannot_be_called_back() -> None:
    world, _ = trunk(Transport.UDP)
    browser = world.agent(PBX, 40000, transport="WSS", contact="sip:x@abc.invalid;transport=ws")
    carrier = world.agent(CARRIER)
    caller, callee = established(browser, carrier)
    assert f"@{EDGE}:443;transport=ws" in caller.target
    callee.send("INFO")
    browser.answer(browser.gets_request("INFO"), 200)
    carrier.gets_response(200)
    del world._agents["WSS", PBX, 40000]
    callee.send("INFO")
    carrier.gets_response(500)
    assert world.nowhere == []


def test_a_tls_gateway_is_called_again_by_the_name_that_was_verified() -> None:
    world = World(
        directory(gateways=[gateway("named", "sip.carrier.example", transport=Transport.TLS, port=5061)])
    )
    world.names["sip.carrier.example"] = [("TLS", CARRIER, 5061)]
    pbx, carrier = world.agent(PBX), world.agent(CARRIER, 5061, transport="TLS")
    caller, _ = established(pbx, carrier)
    del world._agents["TLS", CARRIER, 5061]
    caller.send("BYE")
    flow, data = world.nowhere[-1]
    assert flow == Flow("TLS", 3, CARRIER, 5061, 0, "sip.carrier.example")
    assert data.startswith(b"BYE ")


def test_why_a_connection_failed_is_on_record() -> None:
    world, pbx = trunk(Transport.TLS)
    pbx.send(pbx.invite())
    ((tls, _),) = world.nowhere
    assert tls.name == CARRIER
    failed(world, tls, "the certificate for 1.1.1.1 is not good: self-signed certificate")

    assert any("self-signed" in (change.sip_reason or "") for change in world.said(LegChanged))
    message = pbx.inbox[-1]
    assert not isinstance(message, Request)
    assert message.status == 500
