"""More than anybody should send, at a bounded rate; meanwhile the good caller must be served in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from voice.gauntlet.attack import Attack, Failed, Full
from voice.gauntlet.call import cancel_of, give_up, prepared
from voice.gauntlet.field import Field, token
from voice.gauntlet.good_caller import GoodCaller
from voice.gauntlet.reply import Reply
from voice.gauntlet.wire import Wire
from voice.sip.message import Request

_FAMILY: Final = "floods"
_IN_TIME: Final = 1.0
"""Seconds that an OPTIONS of the good caller may take during a flood, a retransmission included."""
_CALL_IN_TIME: Final = 4.0
_EVERY: Final = 0.2
"""Seconds between two OPTIONS of the good caller."""
_BURST: Final = 10
_UNACKNOWLEDGED: Final = 10
"""Good calls that never get their ACK."""

Make = Callable[[Field, Wire], bytes]


async def _flood(ground: Field, wire: Wire, make: Make) -> int:
    aim = ground.aim
    began = time.monotonic()
    sent = 0
    while time.monotonic() - began < aim.flood_seconds:
        for _ in range(_BURST):
            await wire.send(make(ground, wire))
        sent += _BURST
        ahead = began + sent / aim.flood_rate - time.monotonic()
        await asyncio.sleep(max(0.0, ahead))
    return sent


async def _beside(ground: Field, flooding: Awaitable[int]) -> str:
    """Runs the flood beside the good caller; says how both fared.  Raises Failed or Full when not served."""
    good = GoodCaller(ground.aim, every=_EVERY, in_time=_IN_TIME, call_in_time=_CALL_IN_TIME)
    work = asyncio.ensure_future(good.work())
    try:
        sent = await _first_failure(asyncio.ensure_future(flooding), work)
        good.stop()
        await work
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    slowest = max((*good.options, *good.calls), default=0.0)
    return (
        f"{sent} sent; {len(good.options)} OPTIONS and {len(good.calls)} calls good, {slowest:.2f} s at most"
    )


async def _first_failure(flood: asyncio.Future[int], work: asyncio.Future[None]) -> int:
    await asyncio.wait((flood, work), return_when=asyncio.FIRST_COMPLETED)
    if work.done():
        flood.cancel()
        await asyncio.gather(flood, return_exceptions=True)
        work.result()
    return flood.result()


def _of(make: Make) -> Callable[[Field], Awaitable[str]]:
    async def run(ground: Field) -> str:
        return await _among_strangers(ground, _flood(ground, await ground.wire(), make))

    return run


async def _among_strangers(ground: Field, flooding: Awaitable[int]) -> str:
    """A flood of those who may not call: they must not be what fills the server."""
    try:
        return await _beside(ground, flooding)
    except Full as full:
        raise Failed(str(full), "strangers leave the good caller no room") from None


def _request(method: str, *headers: tuple[str, str]) -> Make:
    return lambda ground, wire: ground.request(method, wire, None, *headers).to_bytes()


def _bogus_login(ground: Field, wire: Wire) -> bytes:
    request = ground.request("INVITE", wire)
    request.headers.add(
        "Proxy-Authorization",
        f'Digest username="{token(4)}", realm="{ground.aim.domain}", nonce="{token(30)}", '
        f'uri="{request.uri}", response="{token(16)}", algorithm=MD5, cnonce="{token(4)}", qop=auth, '
        "nc=00000001",
    )
    return request.to_bytes()


def _stray(ground: Field, wire: Wire) -> bytes:
    """A response that nobody waits for."""
    return (
        f"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP {ground.aim.server};branch=z9hG4bK{token()}\r\n"
        f"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: {token()}\r\nCSeq: 1 INVITE\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


def _in_dialog(ground: Field, wire: Wire) -> bytes:
    tag = f"<{ground.uri()}>;tag={token(4)}"
    return ground.request("BYE", wire, f"sip:{'A' * 160}@{ground.aim.server}", to=tag).to_bytes()


def _junk(ground: Field, wire: Wire) -> bytes:
    if wire.transport == "UDP":
        return token(300).encode()
    return ground.request("OPTIONS", wire, "sip:" + token(300)).to_bytes()


def _same(ground: Field, wire: Wire) -> bytes:
    """The same request over and over."""
    return ground.request(
        "INVITE", wire, branch="z9hG4bKflood", call_id="flood", from_="<sip:flood@flood>;tag=1"
    ).to_bytes()


async def _connections(ground: Field) -> str:
    """Connections opened and dropped, one after another."""

    async def flood() -> int:
        until = time.monotonic() + ground.aim.flood_seconds
        opened = 0
        while time.monotonic() < until:
            wire = await ground.stream()
            await wire.send(b"INVITE sip:")
            wire.close()
            opened += 1
            await asyncio.sleep(0.005)
        return opened

    return await _among_strangers(ground, flood())


async def _never_acknowledged(ground: Field) -> str:
    """Good calls that are let in and whose answer is not acknowledged; when all is over they are hung up."""
    wire = await ground.wire()
    asked: dict[str, Request] = {}

    async def flood() -> int:
        for _ in range(_UNACKNOWLEDGED):
            invite = await prepared(ground, wire)
            asked[invite.call_id] = invite
            await wire.send(invite.to_bytes())
        await asyncio.sleep(ground.aim.flood_seconds)
        return len(asked)

    try:
        return await _beside(ground, flood())
    finally:
        await _hung_up(ground, wire, asked)


async def _hung_up(ground: Field, wire: Wire, asked: dict[str, Request]) -> None:
    """Nothing may be left of the calls, for it would tell against the server in the next attack."""
    ended: dict[str, Reply] = {}
    await _finals(ground, wire, asked, ended)
    for call_id, invite in asked.items():
        if call_id not in ended:
            await wire.send(cancel_of(invite).to_bytes())
    await _finals(ground, wire, asked, ended)
    for call_id, reply in ended.items():
        await give_up(ground, wire, asked[call_id], reply)


async def _finals(ground: Field, wire: Wire, asked: dict[str, Request], ended: dict[str, Reply]) -> None:
    """Collects how the calls end, until all have or it has taken too long."""
    until = time.monotonic() + ground.aim.patience
    while len(ended) < len(asked) and (left := until - time.monotonic()) > 0:
        reply = await wire.receive(left)
        if reply is None:
            return
        if reply.method:
            await ground.obey(wire, reply)
        elif reply.final and reply.cseq_method == "INVITE" and reply.get("call-id") in asked:
            ended[reply.get("call-id")] = reply


def _attack(name: str, run: Callable[[Field], Awaitable[str]]) -> Attack:
    return Attack(
        family=_FAMILY, name=name, expected="the good caller is served in time", run=run, watched=True
    )


ATTACKS: Final = (
    _attack("INVITEs that never ACK", _of(_request("INVITE"))),
    _attack("the same INVITE", _of(_same)),
    _attack("INVITEs with logins made up", _of(_bogus_login)),
    _attack("good calls that never ACK", _never_acknowledged),
    _attack("OPTIONS", _of(_request("OPTIONS"))),
    _attack("REGISTERs", _of(_request("REGISTER", ("Expires", "3600")))),
    _attack("CANCELs", _of(_request("CANCEL"))),
    _attack("ACKs", _of(_request("ACK"))),
    _attack("BYEs", _of(_in_dialog)),
    _attack("responses", _of(_stray)),
    _attack("junk", _of(_junk)),
    _attack("connections", _connections),
)
