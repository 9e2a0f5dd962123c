"""TLS at the front door and towards gateways: real handshakes, real certificates."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from sip_config.model import Transport
from tests.edge.authority import Authority
from tests.edge.sockets import PATIENCE_SECONDS, address, running, settings
from tests.edge.test_edge_transports import invite, options, read_message
from tests.edge.world import DOMAIN, directory, gateway
from voice.records import CallEnded, CallStatus
from voice.sip.message import Request, Response
from voice.sip.respond import make_response

LOOPBACK = directory(networks=("127.0.0.0/8", "::1/128"))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tls")


@asynccontextmanager
async def connected(
    where: tuple[str, int], context: ssl.SSLContext, name: str
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        reader, writer = await asyncio.open_connection(*where, ssl=context, server_hostname=name)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ssl.SSLError, ConnectionError):
            await writer.wait_closed()


class Carrier:
    """A gateway with a certificate, which answers each INVITE as it is told to."""

    def __init__(self) -> None:
        self.got: asyncio.Queue[tuple[Request, asyncio.StreamWriter]] = asyncio.Queue()
        self.connections = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                message = await read_message(reader)
                assert isinstance(message, Request)
                await self.got.put((message, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def gets(self, method: str) -> tuple[Request, asyncio.StreamWriter]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            message, writer = await self.got.get()
        assert message.method == method
        return message, writer

    def answers(self, request: Request, writer: asyncio.StreamWriter, status: int) -> None:
        response = make_response(request, status, to_tag="carrier")
        if request.method == "INVITE":
            response.headers.add("Contact", f"<sip:carrier@127.0.0.1:{self.port};transport=tls>")
        writer.write(response.to_bytes())


@asynccontextmanager
async def carrier(context: ssl.SSLContext) -> AsyncIterator[Carrier]:
    one = Carrier()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0, ssl=context)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
        await server.wait_closed()


async def test_a_message_by_tls(authority: Authority) -> None:
    chosen = settings(tls=authority.settings(authority.issue("edge.pem", DOMAIN)))
    async with (
        running(LOOPBACK, chosen) as (edge, _),
        connected(address(edge, "TLS"), authority.client(), DOMAIN) as (reader, writer),
    ):
        writer.write(b"\r\n\r\n" + options("TLS"))
        assert await reader.readexactly(2) == b"\r\n"
        assert await status(reader) == 200


async def test_a_call_from_tls_to_tls(authority: Authority) -> None:
    chosen = settings(tls=authority.settings(authority.issue("edge.pem", DOMAIN)))
    far = authority.server(authority.issue("carrier.pem", "127.0.0.1"))
    async with carrier(far) as there:
        config = directory(
            networks=("127.0.0.0/8",),
            gateways=[gateway(host="127.0.0.1", port=there.port, transport=Transport.TLS)],
        )
        async with running(config, chosen) as (edge, records):
            async with connected(address(edge, "TLS"), authority.client(), DOMAIN) as (reader, writer):
                writer.write(invite("TLS", 5061))
                assert (await status(reader)) == 100
                request, back = await there.gets("INVITE")
                assert request.via.transport == "TLS"
                assert ";transport=tls" in str(request.contact)
                there.answers(request, back, 200)
                answer = await read_message(reader)
                assert isinstance(answer, Response)
                assert answer.status == 200
                assert answer.contact is not None
                assert ";transport=tls" in answer.contact.uri
                writer.write(in_dialog("ACK", answer))
                await there.gets("ACK")
                writer.write(in_dialog("BYE", answer))
                bye, back = await there.gets("BYE")
                there.answers(bye, back, 200)
                assert (await status(reader)) == 200
            assert (await records.first(CallEnded)).status is CallStatus.ENDED
            assert there.connections == 1


async def status(reader: asyncio.StreamReader) -> int:
    message = await read_message(reader)
    assert isinstance(message, Response)
    return message.status


def in_dialog(method: str, answer: Response) -> bytes:
    """A request of the caller, as the answer of its INVITE says."""
    assert answer.contact is not None
    routes = "".join(f"Route: {route}\r\n" for route in answer.record_routes[::-1])
    return (
        f"{method} {answer.contact.uri} SIP/2.0\r\n"
        f"Via: SIP/2.0/TLS 127.0.0.1:5061;branch=z9hG4bK{method}\r\n{routes}"
        f"From: {answer.headers.get('From')}\r\nTo: {answer.headers.get('To')}\r\n"
        f"Call-ID: {answer.call_id}\r\nCSeq: {1 if method == 'ACK' else 2} {method}\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()
