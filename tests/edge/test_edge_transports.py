"""The edge's sockets: UDP and TCP, both families, broken peers, and what is bounded."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import pytest

from sip_config.model import Transport
from tests.edge.sockets import (
    PATIENCE_SECONDS,
    NoSeats,
    Records,
    address,
    received,
    running,
    settings,
    udp_socket,
)
from tests.edge.world import BASE, DOMAIN, NUMBER, SDP, directory, gateway
from tests.ports import free_port
from voice.edge.server import Edge
from voice.edge.settings import StreamLimits
from voice.records import CallEnded, LegChanged, LegStatus, Refusal
from voice.sip.message import Request, Response, parse_message
from voice.sip.respond import make_response

LOOPBACK = directory(networks=("127.0.0.0/8", "::1/128"))

OPTIONS = (
    f"OPTIONS sip:{BASE} SIP/2.0\r\n"
    "Via: SIP/2.0/{transport} {host}:{port};branch=z9hG4bK{branch};rport\r\n"
    "From: <sip:a@b>;tag=1\r\nTo: <sip:{base}>\r\nCall-ID: c{branch}\r\nCSeq: 1 OPTIONS\r\n"
    "Content-Length: 0\r\n\r\n"
)


def options(transport: str, sock: socket.socket | None = None, branch: str = "1") -> bytes:
    host, port = sock.getsockname()[:2] if sock else ("127.0.0.1", 5060)
    shown = f"[{host}]" if ":" in host else host
    return OPTIONS.format(transport=transport, host=shown, port=port, branch=branch, base=BASE).encode()


def invite(transport: str, port: int) -> bytes:
    return (
        f"INVITE sip:{NUMBER}@{DOMAIN} SIP/2.0\r\n"
        f"Via: SIP/2.0/{transport} 127.0.0.1:{port};branch=z9hG4bKi\r\n"
        f"From: <sip:a@{DOMAIN}>;tag=1\r\nTo: <sip:{NUMBER}@{DOMAIN}>\r\nCall-ID: i\r\nCSeq: 1 INVITE\r\n"
        f"Contact: <sip:a@127.0.0.1:{port}>\r\nContent-Length: {len(SDP)}\r\n\r\n"
    ).encode() + SDP


async def read_message(reader: asyncio.StreamReader) -> Request | Response:
    async with asyncio.timeout(PATIENCE_SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        return parse_message(head + await reader.readexactly(length))


async def closed(reader: asyncio.StreamReader) -> bytes:
    """What still comes before the other side closes."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_udp(host: str) -> None:
    async with running(LOOPBACK, settings(host)) as (edge, _):
        with udp_socket(host) as sock:
            sock.connect(address(edge, "UDP"))
            sock.send(options("UDP", sock))
            answer = parse_message(await received(sock))
    assert isinstance(answer, Response)
    assert answer.status == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_tcp_takes_messages_however_they_are_cut(host: str) -> None:
    async with running(LOOPBACK, settings(host)) as (edge, _):
        reader, writer = await asyncio.open_connection(*address(edge, "TCP"))
        stream = b"\r\n\r\n" + options("TCP", branch="1") + options("TCP", branch="2")
        for at in range(len(stream)):
            writer.write(stream[at : at + 1])
        assert await reader.readexactly(2) == b"\r\n"
        for branch in ("1", "2"):
            message = await read_message(reader)
            assert message.via.branch == f"z9hG4bK{branch}"
        writer.close()
        await writer.wait_closed()


async def test_a_stream_that_cannot_be_cut_is_answered_and_closed() -> None:
    async with running(LOOPBACK) as (edge, records):
        reader, writer = await asyncio.open_connection(*address(edge, "TCP"))
        writer.write(options("TCP").replace(b"Content-Length: 0\r\n", b""))
        assert (await closed(reader)).startswith(b"SIP/2.0 400 ")
        writer.close()
        await writer.wait_closed()
        assert (await records.first(Refusal)).gate == "parse"


async def test_a_stream_from_a_source_that_nothing_admits_is_closed() -> None:
    async with running(directory(networks=("10.0.0.0/8",))) as (edge, records):
        reader, writer = await asyncio.open_connection(*address(edge, "TCP"))
        writer.write(options("TCP"))
        assert await closed(reader) == b""
        writer.close()
        assert (await records.first(Refusal)).gate == "source"


async def test_connections_of_one_source_are_bounded() -> None:
    limits = StreamLimits(per_source=2)
    async with running(LOOPBACK, settings(streams=limits)) as (edge, _):
        connections = [await asyncio.open_connection(*address(edge, "TCP")) for _ in range(3)]
        assert await closed(connections[2][0]) == b""
        # One that ends makes room.
        connections[0][1].close()
        await connections[0][1].wait_closed()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                reader, writer = await asyncio.open_connection(*address(edge, "TCP"))
                writer.write(options("TCP"))
                if await reader.read(7) == b"SIP/2.0":
                    break
                writer.close()
        for _, each in [*connections[1:], (reader, writer)]:
            each.close()


async def test_a_connection_that_says_nothing_is_closed() -> None:
    limits = StreamLimits(first_message_seconds=0.2)
    async with running(LOOPBACK, settings(streams=limits)) as (edge, records):
        silent, silent_writer = await asyncio.open_connection(*address(edge, "TCP"))
        half, half_writer = await asyncio.open_connection(*address(edge, "TCP"))
        half_writer.write(options("TCP")[:40])
        assert await closed(silent) == b""
        assert await closed(half) == b""
        refusal = await records.first(Refusal)
        host, port = half_writer.get_extra_info("sockname")
        assert (refusal.cause, refusal.source_address) == ("message-time", f"{host}:{port}")
        assert "Content-Length" in refusal.remedy
        silent_writer.close()
        half_writer.close()


async def test_an_idle_connection_is_closed() -> None:
    limits = StreamLimits(first_message_seconds=0.05, idle_seconds=0.1)
    async with running(LOOPBACK, settings(streams=limits)) as (edge, _):
        reader, writer = await asyncio.open_connection(*address(edge, "TCP"))
        writer.write(options("TCP"))
        await read_message(reader)
        assert await closed(reader) == b""
        writer.close()


async def test_a_peer_that_does_not_read_is_cut_off() -> None:
    limits = StreamLimits(send_buffer_bytes=4_096)
    async with running(LOOPBACK, settings(streams=limits)) as (edge, _):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            sock.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, address(edge, "TCP"))

            async def send_for_ever() -> None:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while True:
                        await loop.sock_sendall(sock, options("TCP"))

            with pytest.raises(ConnectionError):
                await send_for_ever()


async def test_an_icmp_error_ends_the_attempt_at_a_gateway_at_once() -> None:
    dead = free_port()
    config = directory(
        networks=("127.0.0.0/8",), gateways=[gateway(host="127.0.0.1", port=dead, attempt_seconds=9.0)]
    )
    async with running(config) as (edge, records):
        with udp_socket() as sock:
            sock.connect(address(edge, "UDP"))
            sock.send(invite("UDP", sock.getsockname()[1]))
            statuses = [parse_message(await received(sock)) for _ in range(2)]
        ended = await records.first(CallEnded)
    assert [one.status for one in statuses if isinstance(one, Response)] == [100, 500]
    assert "cannot be reached" in ended.reason or "500" in ended.reason


async def test_a_connection_to_a_gateway_that_is_refused_is_a_transport_error() -> None:
    dead = free_port()
    config = directory(
        networks=("127.0.0.0/8",), gateways=[gateway(host="127.0.0.1", port=dead, transport=Transport.TCP)]
    )
    async with running(config) as (edge, records):
        with udp_socket() as sock:
            sock.connect(address(edge, "UDP"))
            sock.send(invite("UDP", sock.getsockname()[1]))
            failed = [
                change for change in [await records.first(LegChanged)] if change.status is LegStatus.FAILED
            ]
    assert failed


@pytest.mark.parametrize("takes_tcp", [True, False])
async def test_a_request_too_long_for_a_datagram_goes_over_tcp_to_a_gateway_that_takes_it(
    takes_tcp: bool,
) -> None:
    came: asyncio.Queue[Request | Response] = asyncio.Queue()

    async def by_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_message(reader)
        assert isinstance(request, Request)
        await came.put(request)
        writer.write(make_response(request, 486, to_tag="carrier").to_bytes())
        await read_message(reader)
        writer.close()

    port = free_port()
    with udp_socket(port=port) as carrier, udp_socket() as pbx:
        server = await asyncio.start_server(by_tcp, "127.0.0.1", port) if takes_tcp else None
        config = directory(networks=("127.0.0.0/8",), gateways=[gateway(host="127.0.0.1", port=port)])
        async with running(config) as (edge, _):
            pbx.connect(address(edge, "UDP"))
            long = b"X-Long: " + b"x" * 1_000 + b"\r\nContact:"
            pbx.send(invite("UDP", pbx.getsockname()[1]).replace(b"Contact:", long))
            answer = parse_message(await received(pbx))
            assert isinstance(answer, Response)
            assert answer.status == 100
            if takes_tcp:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    request = await came.get()
            else:
                request = parse_message(await received(carrier))
                assert isinstance(request, Request)
                carrier.sendto(make_response(request, 486, to_tag="x").to_bytes(), address(edge, "UDP"))
            assert request.via.transport == ("TCP" if takes_tcp else "UDP")
            assert len(request.to_bytes()) > 1_300
            answer = parse_message(await received(pbx))
            assert isinstance(answer, Response)
            assert answer.status == 486
        if server is not None:
            server.close()
            await server.wait_closed()


async def test_a_connection_that_a_gateway_breaks_fails_what_waits_for_it() -> None:
    took: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    async def carrier(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_message(reader)
        await took.put(writer)

    server = await asyncio.start_server(carrier, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = directory(
        networks=("127.0.0.0/8",), gateways=[gateway(host="127.0.0.1", port=port, transport=Transport.TCP)]
    )
    async with running(config) as (edge, records):
        reader, writer = await asyncio.open_connection(*address(edge, "TCP"))
        writer.write(invite("TCP", 5060))
        assert isinstance(await read_message(reader), Response)
        (await took.get()).close()
        final = await read_message(reader)
        assert isinstance(final, Response)
        assert final.status == 500
        await records.first(CallEnded)
        writer.close()
        await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def test_the_inside_door_takes_nothing_but_loopback_and_knows_no_gates() -> None:
    async with running(LOOPBACK) as (edge, _):
        host, port = edge.inside_address
        assert host == "127.0.0.1"
        with udp_socket() as sock:
            sock.connect((host, port))
            sock.send(options("UDP", sock))
            assert (await received(sock)).startswith(b"SIP/2.0 200 ")


async def test_a_port_that_is_taken_leaves_nothing_open() -> None:
    with udp_socket() as sock:
        taken = settings()
        first = replace(taken.listen[0], port=sock.getsockname()[1])
        edge = Edge(replace(taken, listen=(taken.listen[1], first)), lambda: LOOPBACK, NoSeats(), Records())
        with pytest.raises(OSError, match="in use"):
            await edge.start()
        await edge.stop()


async def test_the_receive_buffer_is_raised() -> None:
    async with running(LOOPBACK) as (edge, _):
        assert all(size > 212_992 for size in edge.receive_buffers)


async def test_a_snapshot_says_what_goes_on() -> None:
    async with running(LOOPBACK) as (edge, _):
        snapshot = edge.snapshot()
        assert snapshot.addresses == tuple(f"{door.transport} {door.sent_by}" for door in edge.addresses)
        assert (snapshot.calls, snapshot.bugs, snapshot.draining) == ({}, 0, False)
        edge.drain()
        assert edge.snapshot().draining
