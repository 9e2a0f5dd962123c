"""Gateways on real sockets: registrations, OPTIONS and failover, with sipp as carrier."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sip_config.gateway_options import GatewayOptions
from sip_config.model import DigestAlgorithm, Number, Transport
from tests.edge.authority import Authority
from tests.edge.nameserver import ORIGIN, serving
from tests.edge.sockets import PATIENCE_SECONDS, address, received, running, settings, udp_socket
from tests.edge.test_edge_tls import carrier as carrier_by_tls
from tests.edge.test_edge_tls import connected, status
from tests.edge.test_edge_transports import invite
from tests.edge.world import ACCOUNT, DOMAIN, FLOW, NUMBER, SDP, directory, gateway
from tests.ports import free_port
from tests.sipp import caller_arguments, sipp
from voice.edge.core.registration import Standing
from voice.edge.server import Edge
from voice.records import CallStarted, Event, LegStarted
from voice.sip.digest import digest, digest_response, parse_credentials
from voice.sip.message import Request, parse_message
from voice.sip.respond import make_response

CHALLENGE = (
    'Digest realm="carrier.example", nonce="n1", qop="auth", algorithm=SHA-512-256',
    'Digest realm="carrier.example", nonce="n1", qop="auth", algorithm=MD5',
)


OURS = Number(id="n", account_id=ACCOUNT, e164=NUMBER, callflow_id="flow")
REGISTERING = GatewayOptions(register=True, register_domain="carrier.example")


async def next_request(carrier: socket.socket, *methods: str) -> tuple[Request, tuple[str, int]]:
    """The next request of these methods."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            data, peer = await loop.sock_recvfrom(carrier, 65_535)
            message = parse_message(data)
            if isinstance(message, Request) and message.method in methods:
                return message, peer


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not true():
            await asyncio.sleep(0.02)


def standing(edge: Edge) -> Standing | None:
    view = edge.gateways().get("carrier")
    return view.registration.standing if view is not None and view.registration is not None else None


def is_right(request: Request) -> bool:
    """Whether the digest is that of the password, by the first challenge."""
    credentials = parse_credentials(request.headers.get("Authorization") or "Basic x")
    if credentials is None:
        return False
    algorithm = DigestAlgorithm.SHA_512_256
    return credentials.algorithm is algorithm and credentials.response == digest_response(
        algorithm,
        digest(algorithm, "trunk4711:carrier.example:secret"),
        method="REGISTER",
        uri=request.uri,
        nonce="n1",
        nc=credentials.nc,
        cnonce=credentials.cnonce,
        qop="auth",
    )


async def test_it_registers_takes_calls_by_its_contact_and_takes_the_registration_back() -> None:
    loop = asyncio.get_running_loop()
    with udp_socket() as carrier, udp_socket("127.0.0.2") as elsewhere:
        port = carrier.getsockname()[1]
        config = directory(
            networks=("192.0.2.1/32",),
            gateways=[
                gateway(
                    "carrier",
                    "127.0.0.1",
                    port=port,
                    username="trunk4711",
                    password="secret",
                    options=REGISTERING,
                )
            ],
            numbers=[OURS],
            callflows=[FLOW],
        )
        async with running(config) as (edge, records):
            first, peer = await next_request(carrier, "REGISTER")
            headers = [("WWW-Authenticate", text) for text in CHALLENGE]
            refused = make_response(first, 401, to_tag="t", headers=headers)
            await loop.sock_sendto(carrier, refused.to_bytes(), peer)
            while True:
                second, _ = await next_request(carrier, "REGISTER")
                if second.cseq.number > first.cseq.number:
                    break
            assert is_right(second)
            contact = second.headers.get("Contact") or ""
            ok = make_response(second, 200, to_tag="t", headers=[("Contact", contact)])
            await loop.sock_sendto(carrier, ok.to_bytes(), peer)
            await until(lambda: standing(edge) is Standing.REGISTERED)

            # Another machine of the carrier calls the Contact: nothing but the Contact says who it is.
            uri = second.contact.uri if second.contact else ""
            invite = (
                f"INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.2:{elsewhere.getsockname()[1]};"
                f"branch=z9hG4bKx;rport\r\nMax-Forwards: 70\r\nFrom: <sip:+31612345678@carrier>;tag=c\r\n"
                f"To: <sip:{NUMBER}@carrier>\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\n"
                f"Contact: <sip:127.0.0.2>\r\nContent-Type: application/sdp\r\n"
                f"Content-Length: {len(SDP)}\r\n\r\n"
            ).encode() + SDP
            await loop.sock_sendto(elsewhere, invite, peer)
            assert b"100 Trying" in await received(elsewhere)
            assert (await records.first(CallStarted)).destination == NUMBER

            stopping = loop.create_task(edge.stop())
            last, _ = await next_request(carrier, "REGISTER")
            assert last.headers.get("Expires") == "0"
            assert last.contact is not None
            assert last.contact.uri == uri
            assert not stopping.done()
            ok = make_response(last, 200, to_tag="t")
            await loop.sock_sendto(carrier, ok.to_bytes(), peer)
            await asyncio.wait_for(stopping, 1.0)


async def test_a_carrier_that_does_not_answer_any_more_does_not_keep_the_edge_from_stopping() -> None:
    loop = asyncio.get_running_loop()
    with udp_socket() as carrier:
        port = carrier.getsockname()[1]
        made = gateway("carrier", "127.0.0.1", port=port, username="u", password="p", options=REGISTERING)
        async with running(directory(gateways=[made])) as (edge, _):
            first, peer = await next_request(carrier, "REGISTER")
            await loop.sock_sendto(carrier, make_response(first, 200, to_tag="t").to_bytes(), peer)
            await until(lambda: standing(edge) is Standing.REGISTERED)
            began = loop.time()
            await edge.stop()
            assert 1.5 < loop.time() - began < 4


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
async def test_options_over_udp_and_tcp_say_whether_a_gateway_works(transport: Transport) -> None:
    asked = asyncio.Event()
    server: asyncio.AbstractServer | None = None
    carrier = udp_socket()
    port = carrier.getsockname()[1]
    if transport is Transport.TCP:

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = parse_message(await reader.readuntil(b"\r\n\r\n"))
            assert isinstance(request, Request)
            writer.write(make_response(request, 200, to_tag="t").to_bytes())
            asked.set()
            await reader.read()
            writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
    made = gateway(
        "carrier", "127.0.0.1", port=port, transport=transport, options=GatewayOptions(keepalive_seconds=60.0)
    )
    try:
        async with running(directory(gateways=[made])) as (edge, _):
            if transport is Transport.UDP:
                request, peer = await next_request(carrier, "OPTIONS")
                answer = make_response(request, 200, to_tag="t").to_bytes()
                await asyncio.get_running_loop().sock_sendto(carrier, answer, peer)
            else:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await asked.wait()
            await until(lambda: edge.gateways()["carrier"].health.round_trip is not None)
            assert edge.gateways()["carrier"].health.available
    finally:
        carrier.close()
        if server is not None:
            server.close()
            await server.wait_closed()


async def test_a_port_at_which_nobody_is_is_found_out_by_options() -> None:
    options = GatewayOptions(keepalive_seconds=5.0, cooldown_after=1)
    made = gateway("carrier", "127.0.0.1", port=free_port(), options=options)
    async with running(directory(gateways=[made])) as (edge, records):
        event = await records.first(Event)
        assert event.kind == "gateway-out"
        assert not edge.gateways()["carrier"].health.available


@pytest.mark.peer
async def test_sipp_checks_the_digest_of_a_registration(tmp_path: Path) -> None:
    port = free_port()
    made = gateway(
        "carrier",
        "127.0.0.1",
        port=port,
        username="trunk4711",
        password="secret",
        options=GatewayOptions(register=True, register_seconds=600),
    )
    async with sipp("registrar", None, folder=tmp_path / "carrier", port=port) as carrier:
        async with running(directory(gateways=[made])) as (edge, records):
            event = await records.first(Event)
            assert event.kind == "gateway-registered"
            until_ = edge.gateways()["carrier"].registration
            assert until_ is not None
            assert until_.standing is Standing.REGISTERED
        run = await carrier.done()
    run.check()
    requests = run.received("REGISTER")
    expires = [re.findall(r"^Expires: (\d+)", one, re.MULTILINE) for one in requests]
    assert expires == [["600"], ["600"], ["0"], ["0"]]
    assert len({re.findall(r"^Call-ID: (\S+)", one, re.MULTILINE)[0] for one in requests}) == 1
    assert "403 Forbidden" not in run.messages


@pytest.mark.peer
async def test_a_full_carrier_is_left_alone_after_three_calls(tmp_path: Path) -> None:
    full, good = free_port(), free_port()
    config = directory(
        networks=("127.0.0.0/8",),
        users={"pbx": "secret"},
        gateways=[
            gateway("full", "127.0.0.1", port=full, priority=1),
            gateway("good", "127.0.0.1", port=good, priority=2),
        ],
    )
    who = caller_arguments(NUMBER, DOMAIN, "pbx", "secret")
    async with (
        running(config) as (edge, records),
        sipp("carrier_that_is_full", None, folder=tmp_path / "full", port=full, calls=3) as one,
        sipp("carrier", None, folder=tmp_path / "good", port=good, calls=8) as two,
    ):
        host, door = address(edge, "UDP")
        calling = sipp(
            "trunk_call", f"{host}:{door}", "-l", "1", *who, folder=tmp_path / "pbx", calls=8
        )  # fmt: skip
        async with calling as pbx:
            (await pbx.done()).check()
        refused = await one.done()
        refused.check()
        (await two.done()).check()
        assert not edge.gateways()["full"].health.available
        assert edge.gateways()["good"].calls == 0
    tried = [record.gateway for record in records.all if isinstance(record, LegStarted) and record.gateway]
    assert tried == ["full", "good"] * 3 + ["good"] * 5


async def test_a_registration_by_tls_brings_the_carriers_calls_by_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    chosen = settings(tls=authority.settings(authority.issue("edge.pem", DOMAIN, "127.0.0.1")))
    async with carrier_by_tls(authority.server(authority.issue("carrier.pem", "127.0.0.1"))) as there:
        made = gateway(
            "carrier",
            "127.0.0.1",
            port=there.port,
            transport=Transport.TLS,
            username="trunk",
            password="secret",
            options=GatewayOptions(register=True),
        )
        config = directory(networks=("192.0.2.1/32",), gateways=[made], numbers=[OURS], callflows=[FLOW])
        async with running(config, chosen) as (edge, records):
            register, back = await there.gets("REGISTER")
            there.answers(register, back, 200)
            assert register.uri == f"sip:127.0.0.1:{there.port};transport=tls"
            assert register.contact is not None
            uri = register.contact.uri
            assert ";transport=tls;line=" in uri
            assert (await records.first(Event)).kind == "gateway-registered"
            async with connected(address(edge, "TLS"), authority.client(), "127.0.0.1") as (reader, writer):
                _, *others = invite("TLS", 5061).decode().splitlines(keepends=True)
                writer.write("".join([f"INVITE {uri} SIP/2.0\r\n", *others]).encode())
                assert await status(reader) == 100
                assert (await records.first(CallStarted)).destination == NUMBER
            leaving = asyncio.create_task(edge.stop())
            last, back = await there.gets("REGISTER")
            assert last.headers.get("Expires") == "0"
            there.answers(last, back, 200)
            await asyncio.wait_for(leaving, 1.5)


async def test_a_carrier_that_dns_names_may_call_from_its_addresses() -> None:
    loop = asyncio.get_running_loop()
    with udp_socket("127.0.0.3") as carrier:
        port = carrier.getsockname()[1]
        zone = "_sip._udp.carrier 60 IN SRV 1 1 5080 two.carrier\ntwo.carrier 60 IN A 127.0.0.3\n"
        async with serving(zone) as dns:
            made = gateway("carrier", f"carrier.{ORIGIN}")
            config = directory(networks=("192.0.2.1/32",), gateways=[made], numbers=[OURS], callflows=[FLOW])
            chosen = replace(settings("0.0.0.0"), name_servers=(dns.address,), public_host="127.0.0.1")
            async with running(config, chosen) as (edge, records):
                await until(lambda: edge.gateways()["carrier"].addresses == 1 if edge.gateways() else False)
                door = address(edge, "UDP")[1]
                _, *others = invite("UDP", port).decode().splitlines(keepends=True)
                request = "".join([f"INVITE sip:{NUMBER}@127.0.0.1:{door} SIP/2.0\r\n", *others])
                await loop.sock_sendto(carrier, request.encode(), ("127.0.0.1", door))
                assert (await records.first(CallStarted)).destination == NUMBER
