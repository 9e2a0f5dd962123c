"""SIP over WebSocket (RFC 7118), without sockets: the server's side of one connection.

One WebSocket message is one SIP message, so its end needs no Content-Length.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Final

from websockets.exceptions import InvalidOrigin
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Origin, Subprotocol

from voice.edge.settings import ANY_ORIGIN
from voice.sip.framing import PING, Ping
from voice.sip.message import MAX_MESSAGE_BYTES

SUBPROTOCOL: Final = "sip"


class Alive:
    """The peer is there and speaks WebSocket, without having said anything."""


ALIVE: Final = Alive()


class Piece:
    """Something came of which nothing has to be done yet: part of a message, or a ping."""


PIECE: Final = Piece()
_SLICE: Final = 2_048
"""Bytes that are looked at together: room for some hundred frames, if they are the smallest."""
_KEEPALIVE: Final = frozenset((b"\r\n\r\n", b"\r\n", b""))
_NORMAL: Final = 1000

_log = logging.getLogger(__name__)
_log.setLevel(logging.WARNING)
"""Connections come and go; the library would say so of each."""


class WebSocketFraming:
    """What comes by one WebSocket connection, cut into SIP messages."""

    def __init__(self, origins: Sequence[str]) -> None:
        """`origins`: of the web pages that may connect; what is no browser names none, and may."""
        self._protocol = ServerProtocol(
            origins=None if ANY_ORIGIN in origins else [None, *map(Origin, origins)],
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            max_size=MAX_MESSAGE_BYTES,
            logger=_log,
        )
        self._message = bytearray()
        self.forwarded: str | None = None
        """For whom a reverse proxy says that it opened the connection: to be believed of one's own only."""

    @property
    def midway(self) -> bool:
        """Whether something has begun and waits for its rest."""
        return self._protocol.state is State.CONNECTING or bool(self._message)

    @property
    def ended(self) -> bool:
        """Whether nothing more will come, and what is owed is the last."""
        return self._protocol.close_expected() or bool(self.problem)

    @property
    def problem(self) -> str:
        """What the peer did against the protocol, after which nothing more is read; empty: nothing."""
        fault = self._protocol.handshake_exc or self._protocol.parser_exc
        return "" if fault is None else str(fault)

    @property
    def foreign(self) -> bool:
        """Whether the problem is the web page that connects."""
        return isinstance(self._protocol.handshake_exc, InvalidOrigin)

    def feed(self, data: bytes) -> Iterator[bytes | Ping | Alive | Piece]:
        """The messages and keepalives that are now whole, and a word of everything else.

        No more is looked at than is asked for: who has heard enough leaves the rest.
        """
        for at in range(0, len(data), _SLICE):
            self._protocol.receive_data(data[at : at + _SLICE])
            yield from self._events()
            if self.ended:
                return

    def _events(self) -> Iterator[bytes | Ping | Alive | Piece]:
        protocol = self._protocol
        for event in protocol.events_received():
            if isinstance(event, Request):
                if protocol.eof_sent:
                    return  # What came with it was against the protocol, or the end.
                protocol.send_response(protocol.accept(event))
                if protocol.state is State.OPEN:
                    self.forwarded = _forwarded(event)
                    yield ALIVE
            elif isinstance(event, Frame):
                yield self._frame(event)

    def wrap(self, message: bytes) -> bytes:
        """A message as it is sent.  Text where it is some: browsers' SIP stacks expect text."""
        if self._protocol.state is not State.OPEN:
            return b""
        try:
            message.decode()
        except UnicodeDecodeError:
            self._protocol.send_binary(message)
        else:
            self._protocol.send_text(message)
        return self.owed()

    def owed(self) -> bytes:
        """What the WebSocket layer itself has to say."""
        return b"".join(self._protocol.data_to_send())

    def ping(self) -> bytes:
        """Asks whether the peer is still there; browsers answer by themselves."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_ping(b"")
        return self.owed()

    def finish(self) -> bytes:
        """The last words."""
        if self._protocol.state is State.OPEN and self._protocol.close_rcvd is None:
            self._protocol.send_close(_NORMAL)
        return self.owed()

    def _frame(self, frame: Frame) -> bytes | Ping | Alive | Piece:
        if frame.opcode is Opcode.PONG:
            return ALIVE
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return PIECE
        self._message += frame.data
        if not frame.fin:
            return PIECE
        message = bytes(self._message)
        self._message.clear()
        return PING if message in _KEEPALIVE else message


def _forwarded(request: Request) -> str | None:
    """The address that the nearest proxy saw: the last one, whatever a client wrote before it."""
    last = ",".join(request.headers.get_all("X-Forwarded-For")).rpartition(",")[2].strip()
    try:
        address = ip_address(last)
    except ValueError:
        return None
    # A proxy that listens for both families at once says it so.
    return str(getattr(address, "ipv4_mapped", None) or address)
