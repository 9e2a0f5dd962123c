"""SIP over WebSocket (RFC 7118): aiohttp's client and bytes of our own against real sockets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_network
from itertools import product
from pathlib import Path

import aiohttp
import pytest

from tests.edge.authority import Authority
from tests.edge.sockets import PATIENCE_SECONDS, address, received, running, settings, udp_socket
from tests.edge.test_edge_tls import bye
from tests.edge.test_edge_transports import closed
from tests.edge.world import BASE, DOMAIN, NUMBER, SDP, directory, gateway
from voice.edge.server import Edge
from voice.edge.settings import EdgeSettings, StreamLimits
from voice.edge.transports.websocket import WebSocketFraming
from voice.records import CallEnded, Refusal
from voice.sip.digest import answer
from voice.sip.message import Request, Response, parse_message
from voice.sip.respond import make_response

USER, PASSWORD = "browser", "a secret"
LOOPBACK = directory(networks=("127.0.0.0/8",))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tls")


@pytest.fixture
def chosen(authority: Authority) -> EdgeSettings:
    return settings(tls=authority.settings(authority.issue("edge.pem", DOMAIN)))


@asynccontextmanager
async def browser(
    edge: Edge, transport: str, authority: Authority, *, protocols: tuple[str, ...] = ("sip",)
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Connected as a page would be; closed when left."""
    host, port = address(edge, transport)
    async with aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE_SECONDS):
        scheme = "wss" if transport == "WSS" else "ws"
        ssl = authority.client() if scheme == "wss" else True
        async with session.ws_connect(
            f"{scheme}://{host}:{port}/", protocols=protocols, ssl=ssl, server_hostname=DOMAIN
        ) as socket:
            yield socket
        if scheme == "wss":
            # aiohttp closes the TLS transport in the background.
            await asyncio.sleep(0.05)


def request(method: str, uri: str, transport: str, *headers: str, body: bytes = b"", **of: str) -> str:
    """As JsSIP writes it: an invalid host, no Content-Length where there is no body."""
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/{transport} abc123.invalid;branch=z9hG4bK{of.get('branch', method)}",
        "Max-Forwards: 69",
        f"From: <sip:browser@{DOMAIN}>;tag=b",
        of.get("to") or f"To: <{uri}>",
        f"Call-ID: {of.get('call_id', 'call')}",
        f"CSeq: {of.get('cseq', '1')} {method}",
        "Contact: <sip:x7y@abc123.invalid;transport=ws>",
        *headers,
    ]
    if body:
        lines += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", body.decode()])


async def message(socket: aiohttp.ClientWebSocketResponse) -> Request | Response:
    got = await socket.receive()
    assert got.type is aiohttp.WSMsgType.TEXT
    return parse_message(got.data.encode())


async def response(socket: aiohttp.ClientWebSocketResponse, status: int) -> Response:
    got = await message(socket)
    assert isinstance(got, Response)
    assert got.status == status
    return got


@pytest.mark.parametrize("transport", ["WS", "WSS"])
async def test_a_browser_is_answered(transport: str, authority: Authority, chosen: EdgeSettings) -> None:
    async with running(LOOPBACK, chosen) as (edge, _), browser(edge, transport, authority) as socket:
        assert socket.protocol == "sip"
        await socket.send_str(request("OPTIONS", f"sip:{BASE}", transport))
        assert (await response(socket, 200)).via.transport == transport
        await socket.send_bytes(request("OPTIONS", f"sip:{BASE}", transport, branch="2").encode())
        await response(socket, 200)


async def test_a_browser_calls_with_a_digest_and_is_called_back_on_its_connection(
    authority: Authority, chosen: EdgeSettings
) -> None:
    with udp_socket() as carrier:
        config = directory(
            networks=(),
            users={USER: PASSWORD},
            gateways=[gateway(host="127.0.0.1", port=carrier.getsockname()[1])],
        )
        async with running(config, chosen) as (edge, records):
            async with browser(edge, "WSS", authority) as socket:
                uri = f"sip:{NUMBER}@{DOMAIN}"
                await socket.send_str(request("INVITE", uri, "WSS", body=SDP))
                challenge = await response(socket, 407)
                await socket.send_str(
                    request("ACK", uri, "WSS", branch="INVITE", to=f"To: {challenge.headers.get('To')}")
                )
                given = answer(
                    challenge, method="INVITE", uri=uri, username=USER, password=PASSWORD, cnonce="c"
                )
                await socket.send_str(
                    request(
                        "INVITE",
                        uri,
                        "WSS",
                        f"{given.header}: {given.value}",
                        body=SDP,
                        branch="i2",
                        cseq="2",
                    )
                )
                await response(socket, 100)
                invite = parse_message(await received(carrier))
                assert isinstance(invite, Request)
                accepted = make_response(invite, 200, to_tag="carrier")
                port = carrier.getsockname()[1]
                accepted.headers.add("Contact", f"<sip:carrier@127.0.0.1:{port}>")
                door = address(edge, "UDP")
                carrier.sendto(accepted.to_bytes(), door)
                answered = await response(socket, 200)
                assert answered.contact is not None
                assert ";transport=ws" in answered.contact.uri
                to = f"To: {answered.headers.get('To')}"
                routes = [f"Route: {route}" for route in answered.record_routes]
                await socket.send_str(
                    request("ACK", answered.contact.uri, "WSS", *routes, to=to, branch="a2", cseq="2")
                )
                ack = parse_message(await received(carrier))
                assert isinstance(ack, Request)
                assert invite.contact is not None
                carrier.sendto(bye(invite, accepted, port), door)
                hangup = await message(socket)
                assert isinstance(hangup, Request)
                assert hangup.method == "BYE"
                assert hangup.uri == "sip:x7y@abc123.invalid;transport=ws"
                await socket.send_str(make_response(hangup, 200).to_bytes().decode())
                done = parse_message(await received(carrier))
                assert isinstance(done, Response)
                assert done.status == 200
            await records.first(CallEnded)


@pytest.mark.parametrize("protocols", [(), ("xmpp",)])
async def test_only_sip_is_spoken(
    protocols: tuple[str, ...], authority: Authority, chosen: EdgeSettings
) -> None:
    async with running(LOOPBACK, chosen) as (edge, records):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with browser(edge, "WS", authority, protocols=protocols):
                pass
        assert caught.value.status == 400
        refusal = await records.first(Refusal)
    assert (refusal.gate, refusal.cause) == ("source", "websocket-failed")
    assert "subprotocol" in refusal.remedy.partition(").")[0]


@pytest.mark.parametrize(
    ("listed", "origin", "taken"),
    [
        ((), None, True),
        ((), "https://evil.example", False),
        (("https://phone.acme.example",), "https://phone.acme.example", True),
        (("https://phone.acme.example",), None, True),
        (("https://phone.acme.example",), "https://phone.acme.example.evil.example", False),
        (("https://phone.acme.example",), "http://phone.acme.example", False),
        (("https://phone.acme.example",), "null", False),
        (("*",), "https://evil.example", True),
    ],
)
async def test_a_web_page_has_to_be_listed(
    listed: tuple[str, ...], origin: str | None, taken: bool, chosen: EdgeSettings
) -> None:
    """Else whatever page is looked at in a customer's office could call with the office's address."""
    header = "" if origin is None else f"Origin: {origin}\r\n"
    async with running(LOOPBACK, replace(chosen, websocket_origins=listed)) as (edge, records):
        reader, writer = await asyncio.open_connection(*address(edge, "WS"))
        writer.write(UPGRADE[:-2] + header.encode() + b"\r\n")
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 " if taken else b"HTTP/1.1 403 ")
        if not taken:
            refusal = await records.first(Refusal)
            assert refusal.cause == "websocket-origin"
            assert str(origin) in refusal.remedy
            await closed(reader)
        writer.close()


async def test_keepalives_are_answered(authority: Authority, chosen: EdgeSettings) -> None:
    async with running(LOOPBACK, chosen) as (edge, _), browser(edge, "WS", authority) as socket:
        await socket.send_str("\r\n\r\n")
        assert (await socket.receive()).data == "\r\n"
        await socket.ping(b"there?")
        await socket.send_str(request("OPTIONS", f"sip:{BASE}", "WS"))
        await response(socket, 200)


async def raw(edge: Edge) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """An open WebSocket of our own making."""
    reader, writer = await asyncio.open_connection(*address(edge, "WS"))
    writer.write(UPGRADE)
    async with asyncio.timeout(PATIENCE_SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    return reader, writer


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\n\r\n"
)


def frame(first: int, data: bytes) -> bytes:
    """Of a client: masked, with a mask that changes nothing."""
    length = bytes((0x80 | len(data),)) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return bytes((first,)) + length + bytes(4) + data


async def test_messages_in_fragments_and_bytes(chosen: EdgeSettings) -> None:
    data = request("OPTIONS", f"sip:{BASE}", "WS").encode()
    async with running(LOOPBACK, chosen) as (edge, _):
        reader, writer = await raw(edge)
        stream = frame(0x01, data[:50]) + frame(0x89, b"hi") + frame(0x00, b"") + frame(0x80, data[50:])
        for at in range(len(stream)):
            writer.write(stream[at : at + 1])
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await reader.readexactly(4) == b"\x8a\x02hi"
            head = await reader.readexactly(4)
            assert head[0] == 0x81
            body = await reader.readexactly(int.from_bytes(head[2:4], "big"))
        assert body.startswith(b"SIP/2.0 200 ")
        writer.close()


async def test_a_quiet_browser_stays_as_long_as_it_answers_pings(authority: Authority) -> None:
    limits = StreamLimits(idle_seconds=1.0)
    tls = authority.settings(authority.issue("edge.pem", DOMAIN))
    async with running(LOOPBACK, settings(tls=tls, streams=limits)) as (edge, _):
        reader, writer = await raw(edge)
        async with asyncio.timeout(PATIENCE_SECONDS):
            for _ in range(3):
                assert await reader.readexactly(2) == b"\x89\x00"
                writer.write(frame(0x8A, b""))
            # Answers no more: is told that the connection ends.
            assert await closed(reader) == b"\x89\x00\x88\x02\x03\xe8"
        writer.close()


@pytest.mark.parametrize(
    ("proxies", "header", "source"),
    [
        ((), b"X-Forwarded-For: 10.1.2.3\r\n", "127.0.0.1"),
        (("127.0.0.0/8",), b"X-Forwarded-For: 10.1.2.3\r\n", "10.1.2.3"),
        (("127.0.0.0/8",), b"X-Forwarded-For: 192.0.2.1, 10.1.2.3\r\n", "10.1.2.3"),
        (("127.0.0.0/8",), b"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 2001:DB8::1\r\n", "2001:db8::1"),
        (("127.0.0.0/8",), b"X-Forwarded-For: ::ffff:10.1.2.3\r\n", "10.1.2.3"),
        (("127.0.0.0/8",), b"X-Forwarded-For: 10.1.2.3, unknown\r\n", "127.0.0.1"),
        (("127.0.0.0/8",), b"", "127.0.0.1"),
    ],
)
async def test_a_reverse_proxy_that_is_trusted_says_where_the_client_is(
    proxies: tuple[str, ...], header: bytes, source: str, chosen: EdgeSettings
) -> None:
    """No list admits anybody: the refusal names the source that was looked at."""
    trusting = replace(chosen, websocket_proxies=tuple(ip_network(proxy) for proxy in proxies))
    async with running(directory(networks=("203.0.113.0/24",)), trusting) as (edge, records):
        reader, writer = await asyncio.open_connection(*address(edge, "WS"))
        writer.write(
            UPGRADE[:-2] + header + b"\r\n" + frame(0x81, request("OPTIONS", f"sip:{BASE}", "WS").encode())
        )
        await closed(reader)
        writer.close()
        refusal = await records.first(Refusal)
        assert refusal.source_address.rpartition(":")[0] == source


@pytest.mark.parametrize(
    "clients",
    [(b"10.1.2.3", b"10.1.2.4", b"10.1.2.3"), (b"2001:db8::1", b"2001:db8:0:1::1", b"2001:db8::2")],
    ids=["addresses", "networks of 64 bits"],
)
async def test_clients_behind_a_proxy_are_counted_each_for_itself(
    clients: tuple[bytes, ...], chosen: EdgeSettings
) -> None:
    trusting = replace(
        chosen, websocket_proxies=(ip_network("127.0.0.0/8"),), streams=StreamLimits(per_source=1)
    )
    async with running(LOOPBACK, trusting) as (edge, records):
        writers = []
        for client in clients:
            reader, writer = await asyncio.open_connection(*address(edge, "WS"))
            writers.append(writer)
            writer.write(UPGRADE[:-2] + b"X-Forwarded-For: " + client + b"\r\n\r\n")
            if len(writers) < 3:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            else:
                assert await closed(reader) == b""
        refusal = await records.first(Refusal)
        assert refusal.cause == "connections-per-source"
        assert refusal.source_address.rpartition(":")[0] == clients[-1].decode()
        for writer in writers:
            writer.close()


async def test_a_proxy_itself_may_have_as_many_connections_as_there_are_clients(
    chosen: EdgeSettings,
) -> None:
    trusting = replace(
        chosen, websocket_proxies=(ip_network("127.0.0.0/8"),), streams=StreamLimits(per_source=1)
    )
    async with running(LOOPBACK, trusting) as (edge, _):
        opened = [await asyncio.open_connection(*address(edge, "WS")) for _ in range(3)]
        for at, (reader, writer) in enumerate(opened):
            writer.write(UPGRADE[:-2] + b"X-Forwarded-For: 10.1.2.%d\r\n\r\n" % at)
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            writer.close()


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (b"\x81\x05hello", b"\x03\xea"),
        (frame(0x80, b"x"), b"\x03\xea"),
        (b"\x81\xff" + (10**6).to_bytes(8, "big") + bytes(4), b"\x03\xf1"),
    ],
    ids=["not masked", "continues nothing", "too long"],
)
async def test_what_is_against_the_protocol_ends_the_connection(
    sent: bytes, says: bytes, chosen: EdgeSettings
) -> None:
    async with running(LOOPBACK, chosen) as (edge, records):
        reader, writer = await raw(edge)
        writer.write(sent)
        last = await closed(reader)
        assert last[:1] == b"\x88"
        assert last[2:4] == says
        writer.close()
        assert (await records.first(Refusal)).cause == "websocket-failed"


@pytest.mark.parametrize("handshake", [UPGRADE, b"GET / HTTP/1.1\r\n\r\n"], ids=["good", "bad"])
async def test_a_fault_that_comes_with_the_handshake_ends_the_connection(
    handshake: bytes, chosen: EdgeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(LOOPBACK, chosen) as (edge, records):
        reader, writer = await asyncio.open_connection(*address(edge, "WS"))
        writer.write(handshake + b"\x81\x05hello")
        assert await closed(reader) == b""
        writer.close()
        assert (await records.first(Refusal)).cause == "websocket-failed"
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


PIECES = [UPGRADE, UPGRADE.replace(b"sip", b"xmpp"), b"GET / HTTP/1.1\r\n\r\n", b"\x00", b"\x81\x05hello",
          frame(0x01, b"INV"), frame(0x80, b"x"), frame(0x82, b"\r\n\r\n"), frame(0x88, b"\x03\xe8"),
          frame(0x88, b"\x03"), frame(0x89, b"?"), frame(0x8A, b""), frame(0xC1, b"x")]  # fmt: skip


@pytest.mark.parametrize("cuts", [1, 7, 10_000])
def test_whatever_comes_in_whatever_order_is_met_without_a_fault(cuts: int) -> None:
    for pieces in product(PIECES, repeat=3):
        sent, framing = b"".join(pieces), WebSocketFraming(())
        for at in range(0, len(sent), cuts):
            for _ in framing.feed(sent[at : at + cuts]):
                framing.wrap(b"SIP/2.0 200 OK\r\n\r\n")
            framing.owed()
            framing.ping()
            if framing.ended:
                break
        framing.finish()


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x00", b"GET / HTTP/1.1\r\n\r\n", b"INVITE sip:x SIP/2.0\r\n\r\n"]
)
async def test_what_is_no_websocket_is_closed(sent: bytes, chosen: EdgeSettings) -> None:
    async with running(LOOPBACK, chosen) as (edge, records):
        reader, writer = await asyncio.open_connection(*address(edge, "WS"))
        writer.write(sent + b"\r\n\r\n")
        assert b"101" not in await closed(reader)
        writer.close()
        assert (await records.first(Refusal)).cause == "websocket-failed"


async def test_a_handshake_that_never_ends_is_closed(authority: Authority) -> None:
    limits = StreamLimits(first_message_seconds=0.1)
    tls = authority.settings(authority.issue("edge.pem", DOMAIN))
    async with running(LOOPBACK, settings(tls=tls, streams=limits)) as (edge, _):
        reader, writer = await asyncio.open_connection(*address(edge, "WS"))
        writer.write(UPGRADE[:-2])
        assert await closed(reader) == b""
        writer.close()


async def test_a_stranger_that_says_nothing_after_the_handshake_is_closed(authority: Authority) -> None:
    limits = StreamLimits(first_message_seconds=0.1)
    tls = authority.settings(authority.issue("edge.pem", DOMAIN))
    async with running(directory(networks=("10.0.0.0/8",)), settings(tls=tls, streams=limits)) as (edge, _):
        reader, writer = await raw(edge)
        assert await closed(reader) == b""
        writer.close()
