"""TCP: connections that peers open and that we open, one table of both, bounded in every direction.

A connection is used for all messages to its peer for as long as it lasts (RFC 3261 section 18).
"""

from __future__ import annotations

import asyncio
import logging
from itertools import count
from typing import Final, Protocol

from voice.edge.core.doors import Door
from voice.edge.settings import StreamLimits
from voice.sip.errors import StreamError
from voice.sip.flow import Flow
from voice.sip.framing import PONG, Ping, StreamFramer

log = logging.getLogger(__name__)

MAX_WAITING: Final = 64
"""Messages that wait for one connection to be opened."""

Peer = tuple[int, str, int]
"""Door, address, port."""


class StreamUser(Protocol):
    """Who gets what comes by a stream."""

    def stream_received(self, data: bytes, flow: Flow) -> bool:
        """One message; False: nothing from this source is wanted, close the connection."""
        ...

    def stream_unreadable(self, error: StreamError, flow: Flow) -> None:
        """The connection is closed after whatever this sends."""
        ...

    def stream_failed(self, flow: Flow) -> None:
        """The connection broke, or could not be opened."""
        ...


class Streams:
    """All TCP connections of an edge."""

    def __init__(self, user: StreamUser, limits: StreamLimits) -> None:
        self._user = user
        self._limits = limits
        self._servers: list[asyncio.Server] = []
        self._by_peer: dict[Peer, _Connection] = {}
        self._opening: dict[Peer, list[bytes]] = {}
        self._per_source: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = count(1)
        self._open: set[_Connection] = set()
        self.refused = 0
        """Connections closed at once because there were too many."""

    async def listen(self, host: str, port: int, index: int) -> tuple[str, int]:
        """Binds a listener, which `serve` starts; returns its address.  Raises OSError."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: _Connection(self, index), host, port, backlog=256, start_serving=False
        )
        self._servers.append(server)
        name = server.sockets[0].getsockname()
        return name[0], name[1]

    async def serve(self) -> None:
        """Takes connections from now on."""
        for server in self._servers:
            await server.start_serving()

    def __len__(self) -> int:
        return len(self._open)

    def connected(self, flow: Flow) -> bool:
        """Whether the flow still has the connection it was made with."""
        connection = self._by_peer.get((flow.local, flow.host, flow.port))
        return connection is not None and connection.number == flow.connection

    def send(self, data: bytes, flow: Flow, door: Door) -> None:
        """Sends on the peer's connection, opening one if there is none."""
        peer = (flow.local, flow.host, flow.port)
        connection = self._by_peer.get(peer)
        if connection is not None:
            connection.send(data)
            return
        waiting = self._opening.get(peer)
        if waiting is None:
            self._opening[peer] = [data]
            task = asyncio.get_running_loop().create_task(self._connect(peer, door))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif len(waiting) < MAX_WAITING:
            waiting.append(data)

    async def close(self) -> None:
        """Ends all connections and listeners."""
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        gone = [connection.gone for connection in self._open]
        for connection in list(self._open):
            connection.abort()
        await asyncio.gather(*gone)
        for server in self._servers:
            await server.wait_closed()

    async def _connect(self, peer: Peer, door: Door) -> None:
        index, host, port = peer
        loop = asyncio.get_running_loop()
        local = None if door.local_host in ("0.0.0.0", "::", "") else (door.local_host, 0)  # noqa: S104
        try:
            async with asyncio.timeout(self._limits.connect_seconds):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self, index, outgoing=True), host, port, local_addr=local
                )
        except OSError as fault:
            log.info("could not connect to %s:%d: %s", host, port, str(fault) or "no answer")
            self._opening.pop(peer, None)
            self._user.stream_failed(Flow("TCP", index, host, port))
            return
        for data in self._opening.pop(peer, ()):
            connection.send(data)

    def _added(self, connection: _Connection) -> bool:
        """Whether there is room for it."""
        host = connection.flow.host
        mine = self._per_source.get(host, 0)
        full = len(self._open) >= self._limits.total or mine >= self._limits.per_source
        if full and not connection.outgoing:
            self.refused += 1
            return False
        self._per_source[host] = mine + 1
        self._open.add(connection)
        self._by_peer[connection.peer] = connection
        return True

    def _removed(self, connection: _Connection) -> None:
        if connection not in self._open:
            return
        self._open.discard(connection)
        host = connection.flow.host
        if self._per_source[host] == 1:
            del self._per_source[host]
        else:
            self._per_source[host] -= 1
        if self._by_peer.get(connection.peer) is connection:
            del self._by_peer[connection.peer]
        self._user.stream_failed(connection.flow)


class _Connection(asyncio.Protocol):
    """One connection, whoever opened it."""

    def __init__(self, streams: Streams, index: int, *, outgoing: bool = False) -> None:
        self._streams = streams
        self._index = index
        self.outgoing = outgoing
        self._framer = StreamFramer()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._understood = outgoing
        self._heard = self._loop.time()
        self._watch: asyncio.TimerHandle | None = None
        self.number = next(streams._numbers)
        self.flow = Flow("TCP", index, "", 0, self.number)
        self.gone: asyncio.Future[None] = self._loop.create_future()

    @property
    def peer(self) -> Peer:
        return self.flow.local, self.flow.host, self.flow.port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        name = transport.get_extra_info("peername")
        if name is None:
            transport.abort()
            return
        self.flow = Flow("TCP", self._index, name[0], name[1], self.number)
        if not self._streams._added(self):
            transport.abort()
            return
        transport.set_write_buffer_limits(high=self._streams._limits.send_buffer_bytes)
        self._watch_over()

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        user = self._streams._user
        try:
            for frame in self._framer.feed(data):
                if isinstance(frame, Ping):
                    self.send(PONG)
                    continue
                self._understood = True
                if not user.stream_received(frame, self.flow):
                    self.abort()
                    return
        except StreamError as error:
            user.stream_unreadable(error, self.flow)
            if self._transport is not None:
                self._transport.close()

    def pause_writing(self) -> None:
        """More waits to be sent than the limit: the peer does not read."""
        log.info("cut off %s, which does not read what it is sent", self.flow)
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._transport = None
        self._streams._removed(self)
        if not self.gone.done():
            self.gone.set_result(None)

    def send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _watch_over(self) -> None:
        """Closes the connection once it is silent for too long."""
        limits = self._streams._limits
        # A message that has begun has to end soon, so that half messages cannot hold connections.
        midway = not self._understood or self._framer.midway
        patience = limits.first_message_seconds if midway else limits.idle_seconds
        left = self._heard + patience - self._loop.time()
        if left <= 0:
            self.abort()
        else:
            self._watch = self._loop.call_later(min(left, limits.first_message_seconds), self._watch_over)
