"""An edge on real sockets of loopback, with a pool that gives no seats."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

from sip_config.directory import Directory
from sip_config.model import Transport
from tests.edge.world import BASE
from voice.edge.server import Edge
from voice.edge.settings import EdgeSettings, Listen, StreamLimits, TlsSettings
from voice.pool.orders import CallOrder, PoolFull, Seat
from voice.records import Record

PATIENCE_SECONDS = 20

Kind = TypeVar("Kind")


class NoSeats:
    """A pool that is full for ever."""

    async def seat(self, order: CallOrder) -> Seat:
        raise PoolFull(f"no seat for {order.destination}", 5)

    def release(self, call_id: str, refused: str | None = None) -> None:
        """Nothing was given."""


class Records:
    """A journal that keeps everything."""

    def __init__(self) -> None:
        self.all: list[Record] = []
        self._more = asyncio.Event()

    def write(self, record: Record) -> None:
        self.all.append(record)
        self._more.set()

    async def first(self, kind: type[Kind]) -> Kind:
        """Waits for a record of a kind."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                found = [record for record in self.all if isinstance(record, kind)]
                if found:
                    return found[0]
                self._more.clear()
                await self._more.wait()


def settings(
    host: str = "127.0.0.1", streams: StreamLimits | None = None, tls: TlsSettings | None = None
) -> EdgeSettings:
    """UDP and TCP on ports of the system's choice; with `tls`, every transport."""
    transports = tuple(Transport) if tls else (Transport.UDP, Transport.TCP)
    made = EdgeSettings(
        listen=tuple(Listen(transport=transport, host=host, port=0) for transport in transports),
        tls=tls,
        base_domain=BASE,
        seal_key=b"k" * 32,
        digest_secret=b"s" * 32,
        allow_private_targets=True,
    )
    return made if streams is None else replace(made, streams=streams)


@asynccontextmanager
async def running(
    config: Directory, chosen: EdgeSettings | None = None
) -> AsyncIterator[tuple[Edge, Records]]:
    """A started edge."""
    records = Records()
    edge = Edge(chosen or settings(), lambda: config, NoSeats(), records)
    await edge.start()
    try:
        yield edge, records
        assert edge.snapshot().bugs == 0, "the edge met a bug of its own: see the log"
    finally:
        await edge.stop()


def address(edge: Edge, transport: str) -> tuple[str, int]:
    door = next(door for door in edge.addresses if door.transport == transport)
    return door.local_host, door.port


def udp_socket(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.bind((host, port))
    made.setblocking(False)
    return made


async def received(sock: socket.socket) -> bytes:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await asyncio.get_running_loop().sock_recv(sock, 65_535)
