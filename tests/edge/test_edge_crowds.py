"""Crowds of connections: whoever holds them, those who are known get in."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from sip_config.directory import Directory
from tests.edge.authority import Authority
from tests.edge.sockets import PATIENCE_SECONDS, address, running, settings
from tests.edge.test_edge_tls import LOOPBACK
from tests.edge.test_edge_transports import closed, options, read_message
from tests.edge.test_edge_websocket import UPGRADE, frame
from tests.edge.world import DOMAIN, directory, gateway
from voice.edge.settings import StreamLimits
from voice.edge.transports.websocket import WebSocketFraming
from voice.records import Refusal
from voice.sip.message import Response

NAMED = "127.0.0.1"
STRANGERS = directory(networks=(f"{NAMED}/32",))
POSSIBLE = directory(networks=("0.0.0.0/0",), gateways=[gateway(host=NAMED)])
"""Whom a list admits that names nobody."""


@pytest.mark.parametrize(
    ("config", "share"), [(STRANGERS, 2), (POSSIBLE, 6)], ids=["strangers", "who may be a customer"]
)
async def test_addresses_that_nothing_names_leave_connections_to_those_who_are_named(
    config: Directory, share: int
) -> None:
    async with running(config, settings(streams=StreamLimits(total=8))) as (edge, records):
        where = address(edge, "TCP")
        held = [
            await asyncio.open_connection(*where, local_addr=(f"127.0.0.{at + 2}", 0)) for at in range(share)
        ]
        reader, writer = await asyncio.open_connection(*where, local_addr=("127.0.0.99", 0))
        assert await closed(reader) == b""
        writer.close()
        refusal = await records.first(Refusal)
        assert refusal.cause == "connections-unnamed"
        assert refusal.source_address.startswith("127.0.0.99:")
        assert edge.snapshot().connections == share
        held.append(await asyncio.open_connection(*where, local_addr=(NAMED, 0)))
        reader, writer = held[-1]
        writer.write(options("TCP"))
        answer = await read_message(reader)
        assert isinstance(answer, Response)
        assert answer.status == 200
        for _, writer in held:
            writer.close()


async def test_one_source_that_never_finishes_leaves_handshakes_to_others(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    chosen = settings(
        tls=authority.settings(authority.issue("edge.pem", DOMAIN)), streams=StreamLimits(handshakes=16)
    )
    async with running(POSSIBLE, chosen) as (edge, records):
        where = address(edge, "TLS")
        held = [await asyncio.open_connection(*where, local_addr=("127.0.0.2", 0)) for _ in range(3)]
        assert await closed(held[2][0]) == b""
        refusal = await records.first(Refusal)
        assert refusal.cause == "tls-handshakes"
        assert refusal.source_address.startswith("127.0.0.2:")
        async with asyncio.timeout(PATIENCE_SECONDS):
            held.append(
                await asyncio.open_connection(
                    *where, local_addr=("127.0.0.3", 0), ssl=authority.client(), server_hostname=DOMAIN
                )
            )
        assert isinstance(held[-1][1].get_extra_info("ssl_object"), ssl.SSLObject)
        for _, writer in held:
            writer.close()


PING = b"\r\n\r\n"
WEB_PING, WEB_PONG, FIRST_PIECE, PIECE = frame(0x89, b""), frame(0x8A, b""), frame(0x01, b"x"), frame(0, b"")


@pytest.mark.parametrize("config", [STRANGERS, LOOPBACK], ids=["stranger", "customer"])
@pytest.mark.parametrize(
    ("transport", "first", "chatter"),
    [
        ("TCP", b"", PING),
        ("WS", UPGRADE, frame(0x81, PING)),
        ("WS", UPGRADE, WEB_PING),
        ("WS", UPGRADE, WEB_PONG),
        ("WS", UPGRADE + FIRST_PIECE, PIECE),
    ],
    ids=["CRLF", "CRLF in frames", "pings", "pongs", "pieces"],
)
async def test_who_has_no_end_of_keepalives_is_cut_off(
    config: Directory, transport: str, first: bytes, chatter: bytes, tmp_path: Path
) -> None:
    """However much comes at once, a hundred are looked at, or little more."""
    authority = Authority(tmp_path / "tls")
    chosen = settings(tls=authority.settings(authority.issue("edge.pem", DOMAIN)))
    async with running(config, chosen) as (edge, records):
        reader, writer = await asyncio.open_connection(*address(edge, transport), local_addr=("127.0.0.2", 0))
        writer.write(first)
        if transport == "WS":
            await reader.readuntil(b"\r\n\r\n")
        writer.write(chatter * 1_000)
        refusal = await records.first(Refusal)
        assert refusal.cause == "connection-keepalives"
        assert refusal.source_address.startswith("127.0.0.2:")
        answers = await closed(reader)
        assert len(answers) < 150 * len(chatter)
        writer.close()


def test_of_much_that_comes_at_once_no_more_is_looked_at_than_is_asked_for() -> None:
    framing = WebSocketFraming(())
    assert len(list(framing.feed(UPGRADE))) == 1
    framing.owed()
    chatter = framing.feed(WEB_PING * 40_000)
    for _ in range(100):
        next(chatter)
    assert 100 <= len(framing.owed()) // len(b"\x8a\x00") < 1_000, "pongs"


async def test_keepalives_that_waited_somewhere_are_all_answered() -> None:
    async with running(LOOPBACK) as (edge, _):
        reader, writer = await asyncio.open_connection(*address(edge, "TCP"))
        writer.write(PING * 90 + options("TCP"))
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await reader.readexactly(180) == b"\r\n" * 90
        answer = await read_message(reader)
        assert isinstance(answer, Response)
        assert answer.status == 200
        writer.close()


@pytest.mark.parametrize("config", [STRANGERS, LOOPBACK], ids=["stranger", "customer"])
async def test_who_says_next_to_nothing_in_much_tls_is_cut_off(config: Directory, tmp_path: Path) -> None:
    """A byte in each record: what changes of keys without end cost is the same."""
    authority = Authority(tmp_path / "tls")
    chosen = settings(tls=authority.settings(authority.issue("edge.pem", DOMAIN)))
    async with running(config, chosen) as (edge, records):
        reader, writer = await asyncio.open_connection(
            *address(edge, "TLS"), local_addr=("127.0.0.2", 0), ssl=authority.client(), server_hostname=DOMAIN
        )
        long = options("TLS").replace(b"\r\n", b"\r\nX: " + b"x" * 10_000 + b"\r\n", 1)
        for at in range(8_000):
            writer.write(long[at : at + 1])
        assert (await records.first(Refusal)).cause == "connection-keepalives"
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()


async def test_long_messages_and_small_pieces_pass_by_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    chosen = settings(tls=authority.settings(authority.issue("edge.pem", DOMAIN)))
    async with running(LOOPBACK, chosen) as (edge, _):
        reader, writer = await asyncio.open_connection(
            *address(edge, "TLS"), ssl=authority.client(), server_hostname=DOMAIN
        )
        small = options("TLS")
        for at in range(len(small)):
            writer.write(small[at : at + 1])
        for at in range(20):
            head, _, rest = options("TLS", branch=f"long{at}").partition(b"\r\n")
            writer.write(head + b"\r\nX: " + b"x" * 9_000 + b"\r\n" + rest)
        for _ in range(21):
            answer = await read_message(reader)
            assert isinstance(answer, Response)
            assert answer.status == 200
        writer.close()
