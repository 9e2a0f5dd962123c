"""Cutting a stream into messages (RFC 3261 sections 7.5 and 18.3) and keepalives (RFC 5626 section 3.5.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from voice.sip.errors import SipParseError, StreamError
from voice.sip.mandatory import parse_number
from voice.sip.message import MAX_MESSAGE_BYTES, salvage

PONG: Final = b"\r\n"
"""What a ping is answered with."""

_HEAD_END: Final = b"\r\n\r\n"
_CONTENT_LENGTH: Final = re.compile(
    rb"\r\n(?:content-length|l)[ \t]*+:([^\r\n]*+(?:\r\n[ \t][^\r\n]*+)*+)", re.IGNORECASE
)


class Ping:
    """A double CRLF between messages: the peer wants `PONG` back."""


PING: Final = Ping()


class StreamFramer:
    """One direction of one stream.

    What comes out depends on the bytes alone, never on how they were cut.  Each byte is looked at a bounded
    number of times, and no more is kept than one message of `MAX_MESSAGE_BYTES` and the last `feed`.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        """How much of the buffer is known to hold no end of a head."""
        self._needed = 0
        """Bytes of the message whose head is complete; 0: that is not so yet."""
        self._after_crlf = False
        self._error: StreamError | None = None

    @property
    def midway(self) -> bool:
        """Whether part of a message is waiting for its rest, which should not take long."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes | Ping]:
        """Takes what was received; gives the messages and pings that are now whole, in order.

        The iterator raises StreamError where the stream is lost, and so does every later one.
        """
        if self._error is None:
            self._buffer += data
        return self._frames()

    def _frames(self) -> Iterator[bytes | Ping]:
        if self._error is not None:
            raise self._error
        while True:
            if not self._needed:
                while self._take_crlf():
                    self._after_crlf = not self._after_crlf
                    if not self._after_crlf:
                        yield PING
                if not self._find_head_end():
                    return
            if len(self._buffer) < self._needed:
                return
            message = bytes(self._buffer[: self._needed])
            del self._buffer[: self._needed]
            self._searched = self._needed = 0
            self._after_crlf = False
            yield message

    def _take_crlf(self) -> bool:
        """Takes a CRLF that stands before a message."""
        if not self._buffer.startswith(b"\r\n"):
            return False
        del self._buffer[:2]
        return True

    def _find_head_end(self) -> bool:
        """Finds out how long the message is; False when more has to come first."""
        end = self._buffer.find(_HEAD_END, self._searched, MAX_MESSAGE_BYTES)
        if end < 0:
            if len(self._buffer) >= MAX_MESSAGE_BYTES:
                raise self._lost(f"the headers are longer than {MAX_MESSAGE_BYTES} bytes", 513)
            self._searched = max(0, len(self._buffer) - len(_HEAD_END) + 1)
            return False
        end += len(_HEAD_END)
        self._needed = end + self._content_length(end)
        if self._needed > MAX_MESSAGE_BYTES:
            raise self._lost(f"the message is longer than {MAX_MESSAGE_BYTES} bytes", 513)
        return True

    def _content_length(self, head_end: int) -> int:
        found = _CONTENT_LENGTH.findall(self._buffer, 0, head_end)
        if len(found) != 1:
            said = "the headers hold no" if not found else "the headers hold more than one"
            raise self._lost(f"{said} Content-Length: where the message ends is unknown", 400)
        text = b" ".join(found[0].split()).decode("utf-8", "surrogateescape")
        try:
            return parse_number(text, MAX_MESSAGE_BYTES)
        except SipParseError as error:
            raise self._lost(f"Content-Length: {error.problem}", 513 if text.isdigit() else 400) from None

    def _lost(self, problem: str, status: int) -> StreamError:
        self._error = StreamError(
            problem, status=status, partial=salvage(bytes(self._buffer[:MAX_MESSAGE_BYTES]))
        )
        self._buffer.clear()
        return self._error
