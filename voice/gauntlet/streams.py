"""What TCP does to messages: cut, glued, slow, cut off, and connections that hold on to nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from voice.gauntlet.attack import Attack, Failed, judge
from voice.gauntlet.field import Field
from voice.gauntlet.reply import Reply, statuses
from voice.gauntlet.wire import StreamWire
from voice.sip.message import Request

_FAMILY: Final = "streams"
_MERGED: Final = 20
_SILENT: Final = 40
"""Connections of one source; a server may well allow no more than some dozens."""
_BYTE_SECONDS: Final = 0.002


def _options(ground: Field, wire: StreamWire) -> Request:
    return ground.request("OPTIONS", wire, f"sip:{ground.aim.domain}")


async def _answered(ground: Field, wire: StreamWire, asked: list[Request]) -> list[Reply]:
    """The answers to all of the requests.  Raises Failed when one is missing."""
    waiting = {request.call_id for request in asked}
    replies: list[Reply] = []
    until = time.monotonic() + ground.aim.patience
    while waiting and (left := until - time.monotonic()) > 0:
        reply = await wire.receive(left)
        if reply is None:
            break
        if reply.final:
            waiting.discard(reply.get("call-id"))
        replies.append(reply)
    if waiting:
        raise Failed(
            f"{len(asked) - len(waiting)} of {len(asked)} answered",
            "the connection was closed" if wire.ended.is_set() else "a request was lost",
        )
    return replies


async def _in_pieces(ground: Field, size: int, pause: float) -> str:
    wire = await ground.stream()
    request = _options(ground, wire)
    data = request.to_bytes()
    for at in range(0, len(data), size):
        await wire.send(data[at : at + size])
        await asyncio.sleep(pause)
    return statuses(await _answered(ground, wire, [request]))


async def _fragmented(ground: Field) -> str:
    return await _in_pieces(ground, 7, 0)


async def _byte_by_byte(ground: Field) -> str:
    return await _in_pieces(ground, 1, _BYTE_SECONDS)


async def _at_the_blank_line(ground: Field) -> str:
    """Cut inside the CRLFCRLF, where framing by search is at its worst."""
    wire = await ground.stream()
    requests = [_options(ground, wire) for _ in range(3)]
    for back, request in enumerate(requests, 1):
        data = request.to_bytes()
        for part in (data[:-back], data[-back:]):
            await wire.send(part)
            await asyncio.sleep(_BYTE_SECONDS)
    return statuses(await _answered(ground, wire, requests))


async def _merged(ground: Field) -> str:
    wire = await ground.stream()
    requests = [_options(ground, wire) for _ in range(_MERGED)]
    await wire.send(b"".join(request.to_bytes() for request in requests))
    return statuses(await _answered(ground, wire, requests))


async def _merged_and_cut(ground: Field) -> str:
    wire = await ground.stream()
    requests = [_options(ground, wire) for _ in range(_MERGED)]
    data = b"".join(request.to_bytes() for request in requests)
    for at in range(0, len(data), 997):
        await wire.send(data[at : at + 997])
        await asyncio.sleep(0)
    return statuses(await _answered(ground, wire, requests))


async def _crlf(ground: Field) -> str:
    wire = await ground.stream()
    request = _options(ground, wire)
    await wire.send(b"\r\n\r\n" * 50 + request.to_bytes())
    await _answered(ground, wire, [request])
    return f"200, {wire.pongs} pongs" if wire.pongs else "200, no pong"


async def _body(ground: Field) -> str:
    """A body that looks like a request is a body."""
    wire = await ground.stream()
    hidden = _options(ground, wire)
    outer = ground.request("OPTIONS", wire, f"sip:{ground.aim.domain}", body=hidden.to_bytes())
    last = _options(ground, wire)
    await wire.send(outer.to_bytes() + last.to_bytes())
    replies = await _answered(ground, wire, [outer, last])
    smuggled = [reply for reply in replies if reply.get("call-id") == hidden.call_id]
    return judge(not smuggled, statuses(replies), "a body was taken for a request")


def _broken(change: Callable[[bytes], bytes]) -> Callable[[Field], Awaitable[str]]:
    """A message after which nobody can say where the next one begins."""

    async def run(ground: Field) -> str:
        wire = await ground.stream()
        hidden = _options(ground, wire)
        request = ground.request("OPTIONS", wire, f"sip:{ground.aim.domain}", body=b"x" * 10)
        await wire.send(change(request.to_bytes()) + hidden.to_bytes())
        replies = []
        while (reply := await wire.receive(ground.aim.patience)) is not None:
            replies.append(reply)
        if any(reply.get("call-id") == hidden.call_id and reply.status == 200 for reply in replies):
            raise Failed(statuses(replies), "went on reading where no message can be told to begin")
        closed = "closed" if wire.ended.is_set() else "left open"
        return f"{statuses(replies)}, {closed}"

    return run


def _lie(value: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(b"Content-Length: 10", b"Content-Length: " + value)


async def _too_long(ground: Field) -> str:
    """A length that never comes true holds up its own connection and nobody else's."""
    liar, honest = await ground.stream(), await ground.stream()
    request = ground.request("OPTIONS", liar, f"sip:{ground.aim.domain}", body=b"x" * 10)
    await liar.send(_lie(b"60000")(request.to_bytes()))
    good = _options(ground, honest)
    await honest.send(good.to_bytes())
    return statuses(await _answered(ground, honest, [good]))


async def _too_short(ground: Field) -> str:
    """What is left over is no message."""
    wire = await ground.stream()
    request = ground.request("OPTIONS", wire, f"sip:{ground.aim.domain}", body=b"\x00\x01garbage\r\n\r\n" * 3)
    data = request.to_bytes()
    length = b"Content-Length: %d" % len(request.body)
    await wire.send(data.replace(length, b"Content-Length: 4"))
    replies = []
    while (reply := await wire.receive(ground.aim.patience / 4)) is not None:
        replies.append(reply)
    return judge(bool(replies), statuses(replies), "the request itself was not answered")


async def _silent(ground: Field) -> str:
    """Connections that say nothing, half a word, or one byte now and then; a good one is served meanwhile."""
    wires = [await ground.stream() for _ in range(_SILENT)]
    for number, wire in enumerate(wires):
        await wire.send(_options(ground, wire).to_bytes()[: number * 3])
    honest = await ground.stream(ground.aim.probe_source or ground.aim.source_of(9_999))
    began = time.monotonic()
    for wire in wires:
        await wire.send(b"x")
        request = _options(ground, honest)
        await honest.send(request.to_bytes())
        await _answered(ground, honest, [request])
    each = (time.monotonic() - began) / len(wires)
    return f"a good connection answered in {each * 1_000:.0f} ms beside {_SILENT}"


async def _dropped(ground: Field) -> str:
    """Connections that break in the middle of a message and before their answer."""
    for number in range(_SILENT):
        wire = await ground.stream()
        data = _options(ground, wire).to_bytes()
        await wire.send(data if number % 2 else data[: len(data) // 2])
        wire.close()
    honest = await ground.stream()
    request = _options(ground, honest)
    await honest.send(request.to_bytes())
    return statuses(await _answered(ground, honest, [request]))


def _junk(data: bytes) -> Callable[[Field], Awaitable[str]]:
    """Bytes that are no SIP; then a good connection."""

    async def run(ground: Field) -> str:
        wire = await ground.stream()
        await wire.send(data)
        reply = await wire.receive(ground.aim.patience / 4)
        if reply is not None and 100 < reply.status < 300:
            raise Failed(str(reply), "said yes to what is no SIP")
        honest = await ground.stream()
        request = _options(ground, honest)
        await honest.send(request.to_bytes())
        await _answered(ground, honest, [request])
        return f"{reply or 'nothing'}, {'closed' if wire.ended.is_set() else 'left open'}"

    return run


async def _endless_header(ground: Field) -> str:
    """A header that never ends must cost the server no more than it chose to keep."""
    wire = await ground.stream()
    await wire.send(b"OPTIONS sip:x SIP/2.0\r\nX: ")
    for _ in range(64):
        await wire.send(b"a" * 16_384)
        await asyncio.sleep(0)
        if wire.ended.is_set():
            break
    closed = await wire.closes(ground.aim.patience * 2)
    reply = await wire.receive(0.1)
    return judge(
        closed, f"{reply or 'nothing'}, {'closed' if closed else 'left open'}", "reads 1 MB of one header"
    )


async def _plain_to_tls(ground: Field) -> str:
    if ground.aim.transport != "TLS":
        return await _junk(bytes.fromhex("16030100c8010000c40303") + b"\0" * 192)(ground)
    wire = await ground.stream(tls=False)
    await wire.send(_options(ground, wire).to_bytes())
    reply = await wire.receive(ground.aim.patience)
    return judge(reply is None or not reply.status, str(reply or "nothing"), "a TLS port answers plain text")


def _attack(name: str, expected: str, run: Callable[[Field], Awaitable[str]]) -> Attack:
    return Attack(family=_FAMILY, name=name, expected=expected, run=run)


_LOST: Final = "an error or nothing, and no further message read"

ATTACKS: Final = (
    _attack("in pieces of seven bytes", "answered", _fragmented),
    _attack("byte by byte, slowly", "answered", _byte_by_byte),
    _attack("cut inside the blank line", "answered", _at_the_blank_line),
    _attack(f"{_MERGED} requests in one segment", "all answered", _merged),
    _attack(f"{_MERGED} requests cut anywhere", "all answered", _merged_and_cut),
    _attack("a hundred keepalives before a request", "answered", _crlf),
    _attack("a request inside a body", "the body is not read", _body),
    _attack("no Content-Length", _LOST, _broken(lambda data: data.replace(b"Content-Length: 10\r\n", b""))),
    _attack("two Content-Lengths", _LOST, _broken(_lie(b"10\r\nContent-Length: 0"))),
    _attack("two Content-Lengths, one compact", _LOST, _broken(_lie(b"0\r\nl: 10"))),
    _attack("a negative Content-Length", _LOST, _broken(_lie(b"-10"))),
    _attack("a Content-Length beyond 2**32", _LOST, _broken(_lie(b"4294967306"))),
    _attack("a Content-Length beyond 2**64", _LOST, _broken(_lie(b"18446744073709551626"))),
    _attack("a Content-Length in hexadecimal", _LOST, _broken(_lie(b"0xa"))),
    _attack("a Content-Length that is too long", "others are served", _too_long),
    _attack("a Content-Length that is too short", "answered", _too_short),
    _attack(f"{_SILENT} connections that dawdle", "a good one is served", _silent),
    _attack(f"{_SILENT} connections that break", "a good one is served", _dropped),
    _attack("HTTP", "an error or nothing", _junk(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")),
    _attack("zeros", "an error or nothing", _junk(b"\0" * 4_096)),
    _attack("every byte there is", "an error or nothing", _junk(bytes(range(256)) * 16)),
    _attack("a header without an end", "closed", _endless_header),
    _attack("TLS to plain, or plain to TLS", "an error or nothing", _plain_to_tls),
)
