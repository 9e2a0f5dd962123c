"""One connection, whoever opened it: bytes through TLS and WebSocket, where it has them, to SIP messages."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Iterator
from typing import Final, Protocol

from voice.edge.core.pace import Pace
from voice.edge.core.reach import alias_port
from voice.edge.core.unconnected import (
    CHATTER_AT_ONCE,
    FOREIGN_PAGE,
    NO_WEBSOCKET,
    NOT_SECURED,
    TOO_MUCH_CHATTER,
    TOO_SLOW_HANDSHAKE,
    TOO_SLOW_MESSAGE,
)
from voice.edge.settings import StreamLimits
from voice.edge.transports.handshakes import Standing
from voice.edge.transports.secure import TlsChannel, TlsFault
from voice.edge.transports.websocket import PIECE, Alive, Piece, WebSocketFraming
from voice.sip.errors import StreamError
from voice.sip.flow import Flow
from voice.sip.framing import PONG, Ping, StreamFramer

log = logging.getLogger(__name__)

Peer = tuple[int, str, int, str]
"""Door, address, port, and the name that a TLS peer was verified for."""

NO_CONNECTION: Final = "the connection broke"


_UNACKNOWLEDGED_MS: Final = 5_000
"""How long a peer that we connected to may leave data unacknowledged."""
_CHATTER_PER_SECOND: Final = 10.0
_SLICE: Final = 16_384
"""Bytes of TLS that are looked at together."""
_WASTE: Final = 65_536
_WASTE_PER_SECOND: Final = 1_024.0
"""Bytes of TLS that say nothing, beyond as many as say something: changes of keys, records of one byte."""


class StreamUser(Protocol):
    """Who gets what comes by a stream."""

    def stream_standing(self, flow: Flow) -> Standing:
        """What is known of an address, whatever certificate will be shown."""
        ...

    def stream_refused(self, flow: Flow, cause: str, detail: str) -> None:
        """A connection was not taken, or could not be secured; `cause` of `voice.edge.core.unconnected`."""
        ...

    def stream_received(self, data: bytes, flow: Flow) -> bool:
        """One message; False: nothing from this source is wanted, close the connection."""
        ...

    def stream_unreadable(self, error: StreamError, flow: Flow) -> None:
        """The connection is closed after whatever this sends."""
        ...

    def stream_failed(self, flow: Flow, problem: str) -> None:
        """The connection broke, or could not be opened."""
        ...


class Keeper(Protocol):
    """The table that the connection is in."""

    user: StreamUser
    limits: StreamLimits
    origins: tuple[str, ...]
    """Of web pages that may open WebSockets."""

    def came(self, connection: Connection) -> bool:
        """Whether there is room for it."""
        ...

    def secured(self, connection: Connection) -> None:
        """From now on it carries messages."""
        ...

    def forwarded(self, connection: Connection, host: str) -> bool:
        """Its peer says that it speaks for this address; whether there is room for that."""
        ...

    def named(self, connection: Connection, port: int) -> None:
        """Its peer can be reached by it as if it listened there."""
        ...

    def left(self, connection: Connection) -> None:
        """It is gone."""
        ...


class _Plain:
    """Messages one after another on the stream itself (RFC 3261 section 18.3)."""

    ended = False
    problem = ""
    foreign = False
    forwarded: str | None = None

    def __init__(self) -> None:
        self._framer = StreamFramer()
        self.feed = self._framer.feed

    @property
    def midway(self) -> bool:
        return self._framer.midway

    def wrap(self, message: bytes) -> bytes:
        return message

    def owed(self) -> bytes:
        return b""

    def ping(self) -> bytes:
        return b""

    def finish(self) -> bytes:
        return b""


class Connection(asyncio.Protocol):
    """`name`: of the TLS peer that we connect to; `context`: None on a connection without TLS."""

    def __init__(
        self,
        keeper: Keeper,
        number: int,
        transport: str,
        index: int,
        *,
        outgoing: bool = False,
        context: ssl.SSLContext | None = None,
        name: str = "",
    ) -> None:
        self._keeper = keeper
        self.outgoing = outgoing
        self.number = number
        self._framing = WebSocketFraming(keeper.origins) if transport in ("WS", "WSS") else _Plain()
        self._tls = None if context is None else TlsChannel(context, name=name if outgoing else None)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self.alias: tuple[int, str, int] | None = None
        """Door, address and port that its peer can be reached at by it, beside its own."""
        self.standing = Standing.KNOWN if outgoing else Standing.STRANGER
        self._understood = outgoing
        self._heard = self._loop.time()
        """When the last message was whole, or the one that is midway began."""
        self._pinged = False
        self._chatter = Pace(rate=_CHATTER_PER_SECOND, burst=CHATTER_AT_ONCE, most=1)
        self._waste = 0.0
        self._waste_at = self._heard
        self._watch: asyncio.TimerHandle | None = None
        self.flow = Flow(transport, index, "", 0, number, name)
        self.problem = NO_CONNECTION
        """What to tell those who wait for it when it ends."""
        self.ready: asyncio.Future[None] = self._loop.create_future()
        """Done when it carries messages, or never will."""
        self.gone: asyncio.Future[None] = self._loop.create_future()

    @property
    def peer(self) -> Peer:
        return self.flow.local, self.flow.host, self.flow.port, self.flow.name

    @property
    def shaking(self) -> bool:
        """Whether TLS is still being agreed on."""
        return self._tls is not None and not self._tls.ready

    def serves(self, name: str) -> bool:
        """Whether the peer has proven to be this host."""
        return self._tls is not None and self._tls.identities.fit(name)

    @property
    def names(self) -> tuple[str, ...]:
        """What the peer's verified certificate is for."""
        return () if self._tls is None else self._tls.identities.all

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        name = transport.get_extra_info("peername")
        if name is None:
            transport.abort()
            return
        self.flow = self.flow._replace(host=name[0], port=name[1])
        if not self._keeper.came(self):
            transport.abort()
            return
        transport.set_write_buffer_limits(high=self._keeper.limits.send_buffer_bytes)
        if self.outgoing:
            _give_up_soon(transport)
        self._watch_over()
        if self._tls is None:
            self._secured()
        elif self.outgoing:
            self._tls.begin()
            self._write(b"")

    def data_received(self, data: bytes) -> None:
        if self._tls is not None:
            shaking = self.shaking
            try:
                data = self._said(self._tls, data)
            except TlsFault as fault:
                self._not_secure(str(fault), shaking)
                return
            self._write(b"")
            if shaking and self._tls.ready:
                self._secured()
        if data:
            self._read(data)
        if self._tls is not None and self._tls.ended:
            self.close()

    def _said(self, tls: TlsChannel, data: bytes) -> bytes:
        """What comes out of TLS.  Raises TlsFault."""
        parts = []
        for at in range(0, len(data), _SLICE):
            came = data[at : at + _SLICE]
            shaken = tls.ready
            said = tls.receive(came)
            if shaken and self._wasteful(len(came) - 2 * len(said)):
                self._chatters()
                return b""
            parts.append(said)
        return b"".join(parts)

    def _wasteful(self, wasted: int) -> bool:
        """Counts bytes that said nothing, fewer than none where most said something."""
        now = self._loop.time()
        self._waste = max(0.0, self._waste - (now - self._waste_at) * _WASTE_PER_SECOND)
        self._waste_at = now
        self._waste = max(0.0, self._waste + wasted)
        return self._waste > _WASTE

    def _chatters(self) -> None:
        self._keeper.user.stream_refused(self.flow, TOO_MUCH_CHATTER, "")
        self.abort()

    def pause_writing(self) -> None:
        """More waits to be sent than the limit: the peer does not read."""
        log.info("cut off %s, which does not read what it is sent", self.flow)
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        given_up = self._tls is not None and self._tls.given_up
        if given_up and self.problem is NO_CONNECTION and not self.outgoing:
            self._keeper.user.stream_refused(self.flow, NOT_SECURED, "the client ended the handshake")
        self._transport = None
        self._keeper.left(self)
        for future in (self.ready, self.gone):
            if not future.done():
                future.set_result(None)

    def send(self, data: bytes) -> None:
        """One message."""
        self._write(self._framing.wrap(data))

    def close(self) -> None:
        """Ends it after what has been sent."""
        if self._transport is None or self._transport.is_closing():
            return
        self._write(self._framing.finish())
        if self._tls is not None:
            self._tls.finish()
            self._write(b"")
        self._transport.close()
        # Whoever does not read what was sent is not waited for.
        if self._watch is not None:
            self._watch.cancel()
        self._watch = self._loop.call_later(self._keeper.limits.handshake_seconds, self.abort)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _secured(self) -> None:
        self._heard = self._loop.time()
        self._keeper.secured(self)
        if not self.ready.done():
            self.ready.set_result(None)

    def _not_secure(self, problem: str, shaking: bool) -> None:
        self.problem = problem
        self._write(b"", alert=True)
        if shaking and not self.outgoing:
            self._keeper.user.stream_refused(self.flow, NOT_SECURED, problem)
        if self._transport is not None:
            self._transport.close()

    def _read(self, data: bytes) -> None:
        user = self._keeper.user
        midway = self._framing.midway
        try:
            for frame in self._frames(data):
                if not isinstance(frame, bytes) and not self._chatter.allows("", self._loop.time()):
                    self._chatters()
                    return
                if frame is PIECE:
                    continue
                midway = False
                if isinstance(frame, Ping):
                    self.send(PONG)
                if isinstance(frame, Alive) and not self._forward():
                    self.abort()
                    return
                if not isinstance(frame, bytes):
                    self._understood = self._understood or self.standing is not Standing.STRANGER
                    continue
                if self.names and not self._understood:
                    self._name(frame)
                self._understood = True
                if not user.stream_received(frame, self.flow):
                    self.abort()
                    return
        except StreamError as error:
            user.stream_unreadable(error, self.flow)
            self.close()
            return
        if not midway:
            # So that a byte now and then does not keep half a message for ever.
            self._heard = self._loop.time()
            self._pinged = False
        self._write(self._framing.owed())
        if self._framing.problem:
            cause = FOREIGN_PAGE if self._framing.foreign else NO_WEBSOCKET
            user.stream_refused(self.flow, cause, self._framing.problem)
        if self._framing.ended:
            self.close()

    def _forward(self) -> bool:
        """Passes on, once, for whom a reverse proxy speaks; False: the connection is not wanted."""
        host, self._framing.forwarded = self._framing.forwarded, None
        return host is None or self._keeper.forwarded(self, host)

    def _name(self, first: bytes) -> None:
        """Who has proven its name may be reached by the connection that it opened (RFC 5923)."""
        port = alias_port(first)
        if port is not None:
            self._keeper.named(self, port)

    def _frames(self, data: bytes) -> Iterator[bytes | Ping | Alive | Piece]:
        yield from self._framing.feed(data)

    def _write(self, data: bytes, *, alert: bool = False) -> None:
        """Sends bytes of the innermost layer, and whatever TLS owes."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._tls is not None:
            if data and not alert:
                try:
                    self._tls.send(data)
                except TlsFault as fault:
                    self.problem = str(fault)
                    self.abort()
                    return
            data = self._tls.owed()
        if data:
            transport.write(data)

    def _watch_over(self) -> None:
        """Closes the connection once it is silent for too long."""
        limits = self._keeper.limits
        if self.shaking:
            patience = limits.handshake_seconds
        elif not self._understood or self._framing.midway:
            # A message that has begun has to end soon, so that half messages cannot hold connections.
            patience = limits.first_message_seconds
        else:
            patience = limits.idle_seconds
        left = self._heard + patience - self._loop.time()
        if left <= 0:
            if self.shaking and not self.outgoing:
                self.problem = "the handshake took too long"
                self._keeper.user.stream_refused(self.flow, TOO_SLOW_HANDSHAKE, "")
            elif self._framing.midway and not self.shaking:
                self._keeper.user.stream_refused(self.flow, TOO_SLOW_MESSAGE, "")
            if self._understood:
                self.close()
            else:
                self.abort()
            return
        if not self._pinged and patience == limits.idle_seconds and left < patience / 2:
            self._pinged = True
            self._write(self._framing.ping())
        step = min(left, limits.handshake_seconds, limits.first_message_seconds, limits.idle_seconds / 3)
        self._watch = self._loop.call_later(step, self._watch_over)


def _give_up_soon(transport: asyncio.Transport) -> None:
    """Has the system drop a connection whose peer acknowledges nothing, which it would try for minutes.

    Then the next message opens another, which finds a peer that is back at once.
    """
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)
