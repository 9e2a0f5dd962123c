"""Bytes as a row of decisions: one input of the fuzzers, whoever makes it up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

_T = TypeVar("_T")

PIECES: Final = (
    *(b"\r\n", b"\r\n\r\n", b"\r", b"\n", b"\r\n ", b"\0", b"\t", b" ", b'"', b"\\", b"<", b">", b",", b";"),
    *(b":", b"=", b"%", b"%00", b"@", b"[", b"]", b"[::1]", b"\xff", b"\xc3\xa9", b"\xe2\x80\xa8", b"*"),
    *(b"0", b"-1", b"255", b"256", b"2147483647", b"2147483648", b"99999999999999999999", b"A" * 300),
    *(b"Via: ", b"v:", b"l: 5\r\n", b"Content-Length: 0\r\n", b"SIP/2.0", b"sip:", b"sips:", b"tel:"),
    *(b"z9hG4bK", b"From: <sip:a@b>\r\n", b"CSeq: 1 ACK\r\n", b";tag=x", b";rport", b";received=127.0.0.1"),
    *(b"Route: <sip:8.8.4.4;lr>\r\n", b"Record-Route: <sip:x.invalid;lr>\r\n", b";maddr=127.0.0.1", b";lr"),
    *(b"Contact: *\r\n", b"Contact: <sip:x@127.0.0.1:4000>\r\n", b"Require: 100rel\r\n", b"RSeq: 1\r\n"),
    *(b"Proxy-Require: x\r\n", b"Max-Forwards: 0\r\n", b"Expires: 0\r\n", b"Session-Expires: 90\r\n"),
    *(b"Proxy-Authorization: Digest\r\n", b"Privacy: id\r\n", b"P-Asserted-Identity: <sip:x@y>\r\n"),
    *(b"Replaces: a;from-tag=b;to-tag=c\r\n", b"Retry-After: 1\r\n", b"Reason: SIP;cause=200\r\n"),
    *(
        b"INVITE",
        b"ACK",
        b"BYE",
        b"CANCEL",
        b"UPDATE",
        b"PRACK",
        b"application/sdp",
        b"m=audio 0 RTP/AVP 0\r\n",
    ),
)
"""What is special in SIP."""


class Choices:
    """Reads decisions until the bytes are used up; then everything is 0 and `over`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def over(self) -> bool:
        return self._at >= len(self._data)

    def below(self, limit: int) -> int:
        """A number from 0 up to, not including, `limit`."""
        if limit <= 1:
            return 0
        size = 1 if limit <= 256 else 2
        taken = self._data[self._at : self._at + size]
        self._at += size
        return int.from_bytes(taken, "big") % limit

    def one_of(self, things: Sequence[_T]) -> _T:
        return things[self.below(len(things))]

    def chance(self, one_in: int) -> bool:
        return self.below(one_in) == one_in - 1


def mutated(data: bytes, choices: Choices) -> bytes:
    """The message with a few changes."""
    for _ in range(1 + choices.below(4)):
        at = choices.below(len(data) + 1)
        end = min(len(data), at + choices.below(60))
        match choices.below(8):
            case 0:
                data = data[:at] + choices.one_of(PIECES) + data[at:]
            case 1:
                data = data[:at] + choices.one_of(PIECES) + data[end:]
            case 2:
                data = data[:at] + data[end:]
            case 3:
                data = data[:end] + data[at:end] * (1 + choices.below(4)) + data[end:]
            case 4:
                data = _header_added(data, choices.one_of(PIECES), choices)
            case 5:
                data = _line_moved(data, choices)
            case 6:
                data = _line_dropped(data, choices)
            case _:
                data = data[:at] + bytes([choices.below(256)]) + data[at + 1 :]
    return data


def _header_added(data: bytes, piece: bytes, choices: Choices) -> bytes:
    line, _, rest = data.partition(b"\r\n")
    if piece.endswith(b"\r\n") and len(piece) > 4:
        return line + b"\r\n" + piece + rest
    name = choices.one_of((b"Subject", b"Contact", b"Via", b"Route", b"Record-Route", b"To", b"Supported"))
    return line + b"\r\n" + name + b": " + piece + b"\r\n" + rest


def _line_moved(data: bytes, choices: Choices) -> bytes:
    lines = data.split(b"\r\n")
    line = lines.pop(choices.below(len(lines)))
    lines.insert(choices.below(len(lines) + 1), line)
    return b"\r\n".join(lines)


def _line_dropped(data: bytes, choices: Choices) -> bytes:
    lines = data.split(b"\r\n")
    del lines[choices.below(len(lines))]
    return b"\r\n".join(lines)
