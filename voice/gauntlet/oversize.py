"""More of everything than there should be, numbers beyond their range, and datagrams with nothing in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Unpack

from voice.gauntlet.attack import Attack, Failed, Skipped
from voice.gauntlet.call import give_up, invite_behind
from voice.gauntlet.field import Field, Said
from voice.gauntlet.reply import Reply, statuses
from voice.gauntlet.wire import Wire

_FAMILY: Final = "oversize"
_EXPECTED: Final = "refused, or nothing"
_DATAGRAM: Final = 65_507
"""The most that a UDP datagram over IPv4 carries."""

Make = Callable[[Field, Wire], bytes]


def _headers(method: str, *headers: tuple[str, str], **of: Unpack[Said]) -> Make:
    return lambda ground, wire: ground.request(method, wire, None, *headers, **of).to_bytes()


def _uri(uri: str) -> Make:
    return lambda ground, wire: ground.request("INVITE", wire, uri, to="<sip:x@x>").to_bytes()


def _body(size: int) -> Make:
    return lambda ground, wire: ground.request("INVITE", wire, body=b"\0" * size).to_bytes()


def _replaced(old: bytes, new: bytes, method: str = "INVITE") -> Make:
    """A request with a piece replaced; `old` ends before the value that is replaced up to the line's end."""

    def make(ground: Field, wire: Wire) -> bytes:
        before, found, rest = ground.request(method, wire).to_bytes().partition(old)
        if not found:
            raise AssertionError(f"no {old!r} in the request")
        return before + old + new + b"\r\n" + rest.partition(b"\r\n")[2]

    return make


def _raw(data: bytes) -> Make:
    return lambda _ground, _wire: data


def _many_vias(ground: Field, wire: Wire) -> bytes:
    below = (("Via", f"SIP/2.0/UDP 192.0.2.{n % 250}:5060;branch=z9hG4bK{n}") for n in range(600))
    return ground.request("INVITE", wire, None, *below).to_bytes()


def _vias_in_one(ground: Field, wire: Wire) -> bytes:
    below = ", ".join(f"SIP/2.0/UDP 192.0.2.{n % 250};branch=z9hG4bK{n}" for n in range(600))
    return ground.request("INVITE", wire, None, ("Via", below)).to_bytes()


def _nested(sign: str) -> Make:
    return _headers("INVITE", ("Subject", sign * 30_000), ("Contact", sign * 10_000))


_CASES: Final[dict[str, Make]] = {
    "a header of 8 kB": _headers("INVITE", ("X-Long", "a" * 8_000)),
    "a header of 60 kB": _headers("INVITE", ("X-Long", "a" * 60_000)),
    "a header name of 30 kB": _headers("INVITE", ("X" * 30_000, "1")),
    "200 headers": _headers("INVITE", *((f"X-{n}", "1") for n in range(200))),
    "5,000 headers": _headers("INVITE", *(("X", "1") for n in range(5_000))),
    "a header of 3,000 folded lines": _replaced(b"Max-Forwards: ", b"70\r\nX: a" + b"\r\n b" * 3_000),
    "600 Vias": _many_vias,
    "600 Vias in one line": _vias_in_one,
    "2,000 Contacts": _headers("REGISTER", ("Contact", ", ".join(f"<sip:{n}@x>" for n in range(2_000)))),
    "1,000 Routes": _headers("INVITE", ("Route", ", ".join(f"<sip:x{n}.invalid;lr>" for n in range(1_000)))),
    "1,000 Record-Routes": _headers(
        "INVITE", ("Record-Route", ", ".join("<sip:x.invalid;lr>" for _ in range(1_000)))
    ),
    "1,000 Proxy-Require": _headers("INVITE", ("Proxy-Require", ",".join(f"o{n}" for n in range(1_000)))),
    "a Request-URI of 3 kB": _uri("sip:" + "1" * 3_000 + "@example.com"),
    "a Request-URI of 40 kB": _uri("sip:" + "1" * 40_000 + "@example.com"),
    "a host name of 5 kB": _uri("sip:x@" + "a." * 2_500 + "com"),
    "10,000 URI parameters": _uri("sip:x@example.com" + ";a=b" * 10_000),
    "5,000 escapes in a URI": _uri("sip:" + "%41" * 5_000 + "@example.com"),
    "a method of 20 kB": lambda ground, wire: b"M" * 20_000 + ground.request("INVITE", wire).to_bytes()[6:],
    "a display name of 30 kB": _headers("INVITE", from_=f'"{"n" * 30_000}" <sip:x@x>;tag=1'),
    "a From tag of 10 kB": _headers("INVITE", from_=f"<sip:x@x>;tag={'t' * 10_000}"),
    "a Call-ID of 10 kB": _headers("INVITE", call_id="c" * 10_000),
    "a branch of 10 kB": _headers("INVITE", branch="z9hG4bK" + "b" * 10_000),
    "10,000 From parameters": _headers("INVITE", from_="<sip:x@x>;tag=1" + ";a" * 10_000),
    "30,000 quotes": _nested('"'),
    "30,000 backslashes": _nested("\\"),
    "30,000 brackets": _nested("<"),
    "30,000 commas": _nested(","),
    "a body of 50 kB": _body(50_000),
    "Content-Length of 0 before a body": _replaced(b"Content-Length: ", b"0"),
    "Content-Length of 99999": _replaced(b"Content-Length: ", b"99999"),
    "Content-Length of -1": _replaced(b"Content-Length: ", b"-1"),
    "Content-Length of 2**32": _replaced(b"Content-Length: ", b"4294967296"),
    "Content-Length of 2**64 and 10": _replaced(b"Content-Length: ", b"18446744073709551626"),
    "Content-Length of 4,000 digits": _replaced(b"Content-Length: ", b"9" * 4_000),
    "an empty Content-Length": _replaced(b"Content-Length: ", b""),
    "a CSeq of 2**31": _replaced(b"CSeq: ", b"2147483648 INVITE"),
    "a CSeq of 2**32 and 1": _replaced(b"CSeq: ", b"4294967297 INVITE"),
    "a CSeq of 4,000 digits": _replaced(b"CSeq: ", b"9" * 4_000 + b" INVITE"),
    "a negative CSeq": _replaced(b"CSeq: ", b"-1 INVITE"),
    "Max-Forwards of 256": _replaced(b"Max-Forwards: ", b"256"),
    "Max-Forwards of 2**64": _replaced(b"Max-Forwards: ", b"18446744073709551616"),
    "Max-Forwards of -1": _replaced(b"Max-Forwards: ", b"-1"),
    "Max-Forwards in words": _replaced(b"Max-Forwards: ", b"seventy"),
    "a port of 65536": _uri("sip:x@example.com:65536"),
    "a Via port of 99999": lambda ground, wire: ground.request(
        "INVITE", wire, sent_by=f"{wire.host}:99999"
    ).to_bytes(),
    "Expires of 4,000 digits": _headers("REGISTER", ("Expires", "9" * 4_000)),
    "NUL in a header": _replaced(b"Max-Forwards: ", b"70\r\nX: a\0b"),
    "a bare CR in a header": _replaced(b"Max-Forwards: ", b"70\r\nX: a\rVia: b"),
    "a bare LF in a header": _replaced(b"Max-Forwards: ", b"70\r\nX: a\nVia: b"),
    "no UTF-8 anywhere": _replaced(b"Max-Forwards: ", b"70\r\nX: \xff\xfe\xc0\x80"),
    "lines that end with LF alone": lambda ground, wire: (
        ground.request("INVITE", wire).to_bytes().replace(b"\r\n", b"\n")
    ),
    "a full datagram of one letter": _raw(b"A" * _DATAGRAM),
    "a full datagram of line ends": _raw(b"\r\n" * (_DATAGRAM // 2)),
    "a full datagram of one header name": _raw(b"INVITE sip:x SIP/2.0\r\n" + b"v" * (_DATAGRAM - 40)),
    "an empty datagram": _raw(b""),
    "one byte": _raw(b"I"),
    "zeros": _raw(b"\0" * 1_000),
    "every byte there is": _raw(bytes(range(256)) * 4),
    "half a request line": _raw(b"INVITE sip:x"),
    "a request line and nothing": _raw(b"INVITE sip:x@x SIP/2.0\r\n\r\n"),
    "a status line and nothing": _raw(b"SIP/2.0 200 OK\r\n\r\n"),
    "a status of 000": _raw(b"SIP/2.0 000 X\r\n\r\n"),
}


def _attack(name: str, make: Make) -> Attack:
    async def run(ground: Field) -> str:
        wire = await ground.wire()
        data = make(ground, wire)
        if wire.transport == "UDP" and len(data) > _DATAGRAM:
            raise Skipped(f"{len(data)} bytes fit in no datagram: say --transport tcp")
        await wire.send(data)
        replies = [reply for reply in await ground.settled(wire) if reply.status]
        await _ended(ground, wire, data, replies)
        return statuses(replies)

    return Attack(family=_FAMILY, name=name, expected=_EXPECTED, run=run)


async def _ended(ground: Field, wire: Wire, data: bytes, replies: list[Reply]) -> None:
    """Ends what came of it.  Raises Failed when it should not have come."""
    last = replies[-1] if replies else None
    if last is None:
        return
    if data.startswith(b"INVITE"):
        await give_up(ground, wire, invite_behind(ground, last), last)
    if last.status == 500:
        raise Failed(statuses(replies), "the server could not handle it")
    if not last.final:
        raise Failed(statuses(replies), "it was taken up and got no final answer")


ATTACKS: Final = tuple(_attack(name, make) for name, make in _CASES.items())
