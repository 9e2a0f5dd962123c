"""Requests that come round: loops are cut, and what only looks like one is not."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final, Unpack

from voice.gauntlet.attack import Attack, Failed, Skipped, judge
from voice.gauntlet.call import ack_of, give_up, prepared, refused
from voice.gauntlet.field import Field, Said, token
from voice.gauntlet.reply import Reply, statuses
from voice.sip.message import Request

_FAMILY: Final = "loops"


async def _sent(
    ground: Field, method: str, uri: str | None = None, *headers: tuple[str, str], **of: Unpack[Said]
) -> list[Reply]:
    """What a request gets; whatever comes of it is ended."""
    wire = await ground.wire()
    request = ground.request(method, wire, uri, *headers, **of)
    replies = await ground.ask(wire, request)
    last = replies[-1] if replies else None
    if last is not None and method == "INVITE":
        if last.let_in:
            await give_up(ground, wire, request, last)
        elif last.final:
            await wire.send(ack_of(request, last).to_bytes())
    return replies


def _once(method: str, uri: Callable[[Field], str], *, routes: int = 0) -> Callable[[Field], Awaitable[str]]:
    """A request that leads to the server itself is answered once, and soon."""

    async def run(ground: Field) -> str:
        route = f"<sip:{ground.aim.server};lr>"
        began = time.monotonic()
        replies = await _sent(ground, method, uri(ground), *(("Route", route) for _ in range(routes)))
        took = time.monotonic() - began
        finals = [reply for reply in replies if reply.final]
        came = f"{statuses(replies)} after {took:.2f} s"
        if len(finals) > 1:
            raise Failed(came, "one request got several final answers")
        if any(reply.let_in for reply in replies) and method == "INVITE":
            if ground.aim.user is None and ground.aim.number is not None:
                raise Skipped("calls are let in without a login from this address")
            raise Failed(came, "let in without a login")
        return judge(took < ground.aim.patience, came, "the server was busy with itself")

    return run


def _own(user: str = "x", params: str = "") -> Callable[[Field], str]:
    return lambda ground: f"sip:{user}@{ground.aim.server}{params}"


def _is_not_the_called_one(ground: Field, replies: list[Reply]) -> None:
    """Raises Skipped when the server itself was called: Max-Forwards is for those who pass a call on."""
    for reply in replies:
        own = f"@{ground.aim.server}" in reply.get("contact") and not reply.get("record-route")
        if reply.let_in and ground.aim.number is not None and own:
            raise Skipped(f"{ground.aim.number} is the server itself, and nothing is passed on")


async def _no_hops(ground: Field) -> str:
    replies = await _sent(ground, "INVITE", max_forwards="0")
    _is_not_the_called_one(ground, replies)
    last = replies[-1] if replies else None
    good = last is not None and 300 <= last.status < 700
    return judge(good, statuses(replies), "Max-Forwards 0 was let pass")


async def _no_hops_logged_in(ground: Field) -> str:
    wire = await ground.wire()
    invite = await prepared(ground, wire)
    invite.headers.set("Max-Forwards", "0")
    replies = await ground.ask(wire, invite)
    last = replies[-1] if replies else None
    if last is not None and last.let_in:
        await give_up(ground, wire, invite, last)
    elif last is not None and last.final:
        await wire.send(ack_of(invite, last).to_bytes())
    if last is not None and last.status == 503:
        raise refused(replies, "")
    _is_not_the_called_one(ground, replies)
    return judge(
        last is not None and last.status == 483, statuses(replies), "Max-Forwards 0 was not refused with 483"
    )


async def _spiral(ground: Field) -> str:
    """The server's own Via below ours, with another branch: it has been here, and may come again."""
    wire = await ground.wire()
    aim = ground.aim
    below = f"SIP/2.0/{wire.transport} {aim.server};branch=z9hG4bK{token()}"
    invite = await prepared(ground, wire, ("Via", below))
    replies = await ground.ask(wire, invite)
    last = replies[-1] if replies else None
    if last is not None and last.let_in:
        await give_up(ground, wire, invite, last)
    elif last is not None and last.final:
        await wire.send(ack_of(invite, last).to_bytes())
    return judge(last is not None and last.status != 482, statuses(replies), "a spiral was taken for a loop")


async def _vias(ground: Field) -> str:
    """Many Vias of the server below ours."""
    aim = ground.aim
    below = [("Via", f"SIP/2.0/UDP {aim.server};branch=z9hG4bK{token()}") for _ in range(50)]
    return statuses(await _sent(ground, "OPTIONS", f"sip:{aim.domain}", *below))


async def _same_again(ground: Field) -> str:
    """The very same request by a second way (RFC 3261 section 8.2.2.2): it is not served twice."""
    wire = await ground.wire()
    first = await prepared(ground, wire)
    second = first.copy()
    second.headers.set(
        "Via", (first.headers.get("via") or "").replace(first.via.branch or "", f"z9hG4bK{token()}")
    )
    await wire.send(first.to_bytes())
    await wire.send(second.to_bytes())
    finals: dict[str, Reply] = {}
    ringing: dict[str, Reply] = {}
    until = time.monotonic() + ground.aim.patience
    while len(finals) < 2 and (left := until - time.monotonic()) > 0:
        reply = await wire.receive(left)
        if reply is None:
            break
        if reply.get("call-id") == first.call_id and reply.status:
            (finals if reply.final else ringing)[reply.get("via")] = reply
    let_in = [reply for reply in (*finals.values(), *ringing.values()) if reply.let_in]
    await _end_all(ground, (first, second), finals, ringing)
    answered = {reply.get("to") for reply in let_in if reply.final}
    return judge(len(answered) <= 1, statuses(list(finals.values())), "one call was answered twice")


async def _end_all(
    ground: Field, invites: tuple[Request, ...], finals: dict[str, Reply], ringing: dict[str, Reply]
) -> None:
    wire = await ground.wire()
    for invite in invites:
        branch = invite.via.branch or ""
        came = [reply for via, reply in (*finals.items(), *ringing.items()) if branch in via]
        if came:
            await give_up(ground, wire, invite, came[0])


def _attack(name: str, expected: str, run: Callable[[Field], Awaitable[str]]) -> Attack:
    return Attack(family=_FAMILY, name=name, expected=expected, run=run)


_ONE: Final = "one answer, soon"

ATTACKS: Final = (
    _attack("Max-Forwards 0", "refused", _no_hops),
    _attack("Max-Forwards 0 with a login", "483", _no_hops_logged_in),
    _attack("a Request-URI that is the server", _ONE, _once("INVITE", _own())),
    _attack(
        "a Request-URI that is the server, by maddr", _ONE, _once("INVITE", _own(params=";maddr=127.0.0.1"))
    ),
    _attack("a Request-URI that is loopback", _ONE, _once("INVITE", lambda _: "sip:x@127.0.0.1")),
    _attack("a Request-URI that is any address", _ONE, _once("INVITE", lambda _: "sip:x@0.0.0.0")),
    _attack("a Request-URI that is broadcast", _ONE, _once("INVITE", lambda _: "sip:x@255.255.255.255")),
    _attack("a Request-URI that is multicast", _ONE, _once("INVITE", lambda _: "sip:x@224.0.1.75")),
    _attack("a Route to the server", _ONE, _once("INVITE", lambda ground: ground.uri(), routes=1)),
    _attack("sixty Routes to the server", _ONE, _once("INVITE", lambda ground: ground.uri(), routes=60)),
    _attack("sixty Routes to the server for OPTIONS", _ONE, _once("OPTIONS", _own(), routes=60)),
    _attack("the server's Via fifty times", "any answer, or nothing", _vias),
    _attack("a spiral", "not taken for a loop", _spiral),
    _attack("one call by two ways", "answered once", _same_again),
)
