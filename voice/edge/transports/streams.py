"""All connections of an edge, whoever opened them: one table, bounded in every direction.

A connection is used for all messages to its peer for as long as it lasts (RFC 3261 section 18).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from itertools import count
from typing import Final

from sip_config.networks import Network, NetworkTable
from voice.bans import ban_key
from voice.edge.core.doors import Door
from voice.edge.core.unconnected import (
    TOO_MANY,
    TOO_MANY_HANDSHAKES,
    TOO_MANY_OF_SOURCE,
    TOO_MANY_UNNAMED,
)
from voice.edge.settings import StreamLimits
from voice.edge.transports.certificates import Certificates
from voice.edge.transports.connection import Connection, Peer, StreamUser
from voice.edge.transports.handshakes import Handshakes, Standing
from voice.sip.flow import Flow

log = logging.getLogger(__name__)

MAX_WAITING: Final = 64
"""Messages that wait for one connection to be opened."""
SECURE: Final = frozenset(("TLS", "WSS"))
WEBSOCKET: Final = frozenset(("WS", "WSS"))


class Streams:
    """`certificates`: None where nothing listens with TLS; `proxies`: whose word is believed on for whom they
    open WebSockets; `origins`: of web pages that may open them."""

    def __init__(
        self,
        user: StreamUser,
        limits: StreamLimits,
        certificates: Certificates | None = None,
        proxies: Sequence[Network] = (),
        origins: Sequence[str] = (),
    ) -> None:
        self.user = user
        self.limits = limits
        self.origins = tuple(origins)
        self._certificates = certificates
        self._proxies = NetworkTable((proxy, 1) for proxy in proxies)
        self._servers: list[asyncio.Server] = []
        self._by_peer: dict[Peer, Connection] = {}
        self._aliases: dict[tuple[int, str, int], Connection] = {}
        """By where the peers that opened them say that they listen."""
        self._opening: dict[Peer, list[bytes]] = {}
        self._per_source: Counter[str] = Counter()
        self._of_standing: Counter[Standing] = Counter()
        self._shares = {
            Standing.STRANGER: limits.total // 4,
            Standing.POSSIBLE: limits.total * 3 // 4,
            Standing.KNOWN: limits.total,
        }
        """The rest is kept for those who are known: strangers have no end of addresses."""
        self._handshakes = Handshakes(limits.handshakes)
        self._shaking: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = count(1)
        self._open: set[Connection] = set()
        self.refused = 0
        """Connections closed at once because there were too many."""

    async def listen(self, transport: str, host: str, port: int, index: int) -> tuple[str, int]:
        """Binds a listener, which `serve` starts; returns its address.  Raises OSError."""
        loop = asyncio.get_running_loop()

        def connection() -> Connection:
            context = None
            if transport in SECURE:
                assert self._certificates is not None, "TLS without certificates"
                context = self._certificates.server_context
            return Connection(self, next(self._numbers), transport, index, context=context)

        server = await loop.create_server(connection, host, port, backlog=256, start_serving=False)
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
        connection = self._of(flow)
        return connection is not None and connection.number == flow.connection

    def names(self, flow: Flow) -> tuple[str, ...]:
        """What the verified certificate of the flow's peer is for; empty without one."""
        connection = self._of(flow)
        return connection.names if connection is not None and connection.number == flow.connection else ()

    def send(self, data: bytes, flow: Flow, door: Door) -> None:
        """Sends on the peer's connection, opening one if there is none."""
        if flow.secure and not flow.connection and not flow.name:
            flow = flow._replace(name=flow.host)
        connection = self._of(flow)
        if connection is not None:
            connection.send(data)
            return
        peer = (flow.local, flow.host, flow.port, flow.name)
        waiting = self._opening.get(peer)
        if waiting is None:
            self._opening[peer] = [data]
            task = asyncio.get_running_loop().create_task(self._connect(flow._replace(connection=0), door))
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

    # -- what connections tell -------------------------------------------------------------------

    def came(self, connection: Connection) -> bool:
        if not connection.outgoing:
            proxy = self._is_proxy(connection.flow)
            connection.standing = Standing.KNOWN if proxy else self.user.stream_standing(connection.flow)
            limit = self._limit_met(connection, proxy=proxy)
            if limit is not None:
                self._refuse(connection, limit)
                return False
        self._count(connection)
        self._open.add(connection)
        return True

    def secured(self, connection: Connection) -> None:
        self._shaken(connection)
        self._by_peer[connection.peer] = connection

    def forwarded(self, connection: Connection, host: str) -> bool:
        if not self._is_proxy(connection.flow):
            return True
        self._uncount(connection)
        del self._by_peer[connection.peer]
        connection.flow = connection.flow._replace(host=host)
        connection.standing = self.user.stream_standing(connection.flow)
        limit = self._share_met(connection)
        self._count(connection)
        if limit is not None:
            self._refuse(connection, limit)
            return False
        self._by_peer[connection.peer] = connection
        return True

    def named(self, connection: Connection, port: int) -> None:
        connection.alias = connection.flow.local, connection.flow.host, port
        self._aliases[connection.alias] = connection

    def left(self, connection: Connection) -> None:
        if connection not in self._open:
            return
        self._open.discard(connection)
        self._shaken(connection)
        self._uncount(connection)
        if self._by_peer.get(connection.peer) is connection:
            del self._by_peer[connection.peer]
            self.user.stream_failed(connection.flow, connection.problem)
        alias = connection.alias
        if alias is not None and self._aliases.get(alias) is connection:
            del self._aliases[alias]
            self.user.stream_failed(connection.flow._replace(port=alias[2]), connection.problem)

    def _is_proxy(self, flow: Flow) -> bool:
        return flow.transport in WEBSOCKET and self._proxies.masks(flow.host) != 0

    def _count(self, connection: Connection) -> None:
        self._of_standing[connection.standing] += 1
        self._per_source[ban_key(connection.flow.host)] += 1

    def _uncount(self, connection: Connection) -> None:
        self._of_standing[connection.standing] -= 1
        source = ban_key(connection.flow.host)
        self._per_source[source] -= 1
        if not self._per_source[source]:
            del self._per_source[source]

    def _refuse(self, connection: Connection, limit: str) -> None:
        self.refused += 1
        self.user.stream_refused(connection.flow, limit, "")

    def _limit_met(self, connection: Connection, *, proxy: bool) -> str | None:
        if len(self._open) >= self.limits.total:
            return TOO_MANY
        if not proxy and (limit := self._share_met(connection)) is not None:
            return limit
        if connection.shaking:
            now = asyncio.get_running_loop().time()
            if not self._handshakes.begin(connection.standing, connection.flow.host, now):
                return TOO_MANY_HANDSHAKES
            self._shaking.add(connection)
        return None

    def _share_met(self, connection: Connection) -> str | None:
        """Whether its source, or all whose standing is the same, have what they may."""
        if self._of_standing[connection.standing] >= self._shares[connection.standing]:
            return TOO_MANY_UNNAMED
        if self._per_source[ban_key(connection.flow.host)] >= self.limits.per_source:
            return TOO_MANY_OF_SOURCE
        return None

    def _shaken(self, connection: Connection) -> None:
        if connection in self._shaking:
            self._shaking.discard(connection)
            self._handshakes.end(connection.standing, connection.flow.host)

    def _of(self, flow: Flow) -> Connection | None:
        connection = self._by_peer.get((flow.local, flow.host, flow.port, flow.name))
        if connection is None and flow.name:
            alias = self._aliases.get((flow.local, flow.host, flow.port))
            return alias if alias is not None and alias.serves(flow.name) else None
        return connection

    async def _connect(self, flow: Flow, door: Door) -> None:
        problem = await self._opened(flow, door)
        waiting = self._opening.pop((flow.local, flow.host, flow.port, flow.name), ())
        connection = self._of(flow)
        if connection is None:
            log.info("could not connect to %s: %s", flow, problem)
            self.user.stream_failed(flow, problem)
            return
        for data in waiting:
            connection.send(data)

    async def _opened(self, flow: Flow, door: Door) -> str:
        """Opens a connection; returns why there is none, when there is none."""
        loop = asyncio.get_running_loop()
        local = None if door.local_host in ("0.0.0.0", "::", "") else (door.local_host, 0)  # noqa: S104
        context = None
        if flow.transport in SECURE:
            assert self._certificates is not None, "TLS without certificates"
            context = self._certificates.client_context
        connection = Connection(
            self,
            next(self._numbers),
            flow.transport,
            flow.local,
            outgoing=True,
            context=context,
            name=flow.name,
        )
        try:
            async with asyncio.timeout(self.limits.connect_seconds):
                await loop.create_connection(lambda: connection, flow.host, flow.port, local_addr=local)
                await connection.ready
        except OSError as fault:
            connection.abort()
            return str(fault) or "no answer"
        return connection.problem
