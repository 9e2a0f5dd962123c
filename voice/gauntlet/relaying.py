"""Who may be reached through the server: nobody whom its configuration does not name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from voice.gauntlet.attack import Attack, Failed
from voice.gauntlet.call import ack_of, give_up, next_request, prepared
from voice.gauntlet.challenges import header_for
from voice.gauntlet.field import METHODS, Field, token
from voice.gauntlet.logins import login_for
from voice.gauntlet.reply import Reply, statuses
from voice.gauntlet.wire import UdpWire, Wire
from voice.sip.message import Request

_FAMILY: Final = "relay"
_EXPECTED: Final = "a third party gets nothing"

Aimed = Callable[[Field, Wire, str, str], Request]
"""A request of this method by which the third party at this address might be reached."""


def _by_uri(ground: Field, wire: Wire, method: str, third: str) -> Request:
    return ground.request(method, wire, f"sip:third@{third}")


def _by_route(ground: Field, wire: Wire, method: str, third: str) -> Request:
    return ground.request(method, wire, None, ("Route", f"<sip:{third};lr>"))


def _by_two_routes(ground: Field, wire: Wire, method: str, third: str) -> Request:
    return ground.request(
        method, wire, f"sip:third@{third}", ("Route", f"<sip:{ground.aim.server};lr>, <sip:{third};lr>")
    )


def _by_strict_route(ground: Field, wire: Wire, method: str, third: str) -> Request:
    return ground.request(method, wire, f"sip:{ground.aim.server};lr", ("Route", f"<sip:third@{third}>"))


def _by_maddr(ground: Field, wire: Wire, method: str, third: str) -> Request:
    host, _, port = third.rpartition(":")
    return ground.request(
        method, wire, f"sip:{ground.aim.number or '100'}@{ground.aim.domain}:{port};maddr={host}"
    )


def _by_dialog(ground: Field, wire: Wire, method: str, third: str) -> Request:
    """As if in a dialog: many servers relay along the Route of such a request without another thought."""
    return ground.request(
        method,
        wire,
        f"sip:third@{third}",
        ("Route", f"<sip:{ground.aim.server};lr>"),
        to=f"<{ground.uri()}>;tag={token(4)}",
        cseq="2",
    )


def _by_dialog_route(ground: Field, wire: Wire, method: str, third: str) -> Request:
    return ground.request(
        method,
        wire,
        f"sip:third@{third}",
        ("Route", f"<sip:{ground.aim.server};lr>, <sip:{third};lr>"),
        to=f"<{ground.uri()}>;tag={token(4)}",
        cseq="2",
    )


_WAYS: Final[dict[str, Aimed]] = {
    "its address in the Request-URI": _by_uri,
    "a Route": _by_route,
    "a Route behind the server's": _by_two_routes,
    "a strict Route": _by_strict_route,
    "maddr": _by_maddr,
    "the Request-URI of a made-up dialog": _by_dialog,
    "the Route of a made-up dialog": _by_dialog_route,
}


def _way(name: str, aimed: Aimed) -> Attack:
    async def run(ground: Field) -> str:
        wire, victim = await ground.wire(), ground.victim()
        came: list[Reply] = []
        for method in METHODS:
            request = aimed(ground, wire, method, address_of(victim))
            await wire.send(request.to_bytes())
            replies = [one for one in await ground.settled(wire) if one.get("call-id") == request.call_id]
            if method == "INVITE":
                await _acknowledged(ground, wire, request, replies)
            came += replies[-1:]
        await ground.nothing_at(victim, came)
        return statuses(came)

    return Attack(family=_FAMILY, name=f"all methods by {name}", expected=_EXPECTED, run=run)


def _logged_in(name: str, aimed: Aimed) -> Attack:
    """Who may call may not thereby call anywhere."""

    async def run(ground: Field) -> str:
        wire, victim = await ground.wire(), ground.victim()
        request = aimed(ground, wire, "INVITE", address_of(victim))
        login = await login_for(ground)
        request.headers.add(header_for(login.reply), login.credentials(request.uri))
        request = next_request(request)
        replies = await ground.ask(wire, request)
        await _acknowledged(ground, wire, request, replies)
        await ground.nothing_at(victim, replies)
        return statuses(replies)

    return Attack(family=_FAMILY, name=f"a good login by {name}", expected=_EXPECTED, run=run)


async def _acknowledged(ground: Field, wire: Wire, invite: Request, replies: list[Reply]) -> None:
    last = replies[-1] if replies else None
    if last is not None and last.let_in:
        await give_up(ground, wire, invite, last)
    elif last is not None and last.final:
        await wire.send(ack_of(invite, last).to_bytes())


def address_of(wire: UdpWire) -> str:
    return f"[{wire.host}]:{wire.port}" if ":" in wire.host else f"{wire.host}:{wire.port}"


async def _answer_to_via(ground: Field) -> str:
    """Answers go to where the request came from, whatever its Via says (RFC 3261 section 18.2.1)."""
    wire, victim = await ground.wire(), ground.victim()
    via = f"SIP/2.0/{wire.transport} {address_of(victim)};branch=z9hG4bK{token()}"
    if victim.host == wire.host:
        # Without rport the port of the Via is the right one; the address alone can be another's.
        via += ";rport"
    for params in ("", f";received={victim.host}", f";maddr={victim.host}"):
        for method in ("OPTIONS", "INVITE", "REGISTER", "BYE"):
            request = ground.request(method, wire, via=via + params)
            await wire.send(request.to_bytes())
    replies = await ground.settled(wire)
    await ground.nothing_at(victim, replies)
    return statuses(replies)


async def _answer_below(ground: Field) -> str:
    """Responses that nobody waits for are not passed down a made-up Via."""
    wire, victim = await ground.wire(), ground.victim()
    aim = ground.aim
    for status in ("100 Trying", "180 Ringing", "200 OK", "302 Moved", "404 Not Found", "407 Auth"):
        data = (
            f"SIP/2.0 {status}\r\nVia: SIP/2.0/UDP {aim.server};branch=z9hG4bK{token()}\r\n"
            f"Via: SIP/2.0/UDP {address_of(victim)};branch=z9hG4bK{token()}\r\nFrom: <sip:a@b>;tag=1\r\n"
            f"To: <sip:c@d>;tag=2\r\nCall-ID: {token()}\r\nCSeq: 1 INVITE\r\n"
            f"Contact: <sip:x@{address_of(victim)}>\r\nContent-Length: 0\r\n\r\n"
        )
        await wire.send(data.encode())
    replies = await ground.settled(wire)
    await ground.nothing_at(victim, replies)
    return statuses(replies)


async def _named_elsewhere(ground: Field) -> str:
    """Headers that name somebody are no reason to ask them."""
    wire, victim = await ground.wire(), ground.victim()
    uri = f"<sip:x@{address_of(victim)}>"
    names = (
        "Contact",
        "Reply-To",
        "Alert-Info",
        "Call-Info",
        "Error-Info",
        "Path",
        "Service-Route",
        "Refer-To",
    )
    for method in ("OPTIONS", "REGISTER", "SUBSCRIBE", "PUBLISH", "NOTIFY", "REFER"):
        request = ground.request(method, wire, None, *((name, uri) for name in names), ("Event", "presence"))
        await wire.send(request.to_bytes())
    replies = await ground.settled(wire)
    await ground.nothing_at(victim, replies)
    return statuses(replies)


async def _registered(ground: Field) -> str:
    """A REGISTER without a login must not take somebody's calls."""
    wire, victim = await ground.wire(), ground.victim()
    aim = ground.aim
    user = aim.number or aim.user or "100"
    register = ground.request(
        "REGISTER",
        wire,
        f"sip:{aim.domain}",
        ("Expires", "60"),
        to=f"<sip:{user}@{aim.domain}>",
        from_=f"<sip:{user}@{aim.domain}>;tag={token(4)}",
        contact=f"<sip:{user}@{address_of(victim)}>",
    )
    replies = await ground.ask(wire, register)
    if replies and 200 <= replies[-1].status < 300:
        raise Failed(statuses(replies), "registered without a login")
    await ground.nothing_at(victim, replies)
    return statuses(replies)


async def _preloaded(ground: Field) -> str:
    """A good call with somebody's address on its route."""
    wire, victim = await ground.wire(), ground.victim()
    invite = await prepared(ground, wire, ("Route", f"<sip:{address_of(victim)};lr>"))
    replies = await ground.ask(wire, invite, within=10)
    await _acknowledged(ground, wire, invite, replies)
    await ground.nothing_at(victim, replies)
    return statuses(replies)


def _attack(name: str, run: Callable[[Field], Awaitable[str]]) -> Attack:
    return Attack(family=_FAMILY, name=name, expected=_EXPECTED, run=run)


ATTACKS: Final = (
    *(_way(name, aimed) for name, aimed in _WAYS.items()),
    *(_logged_in(name, aimed) for name, aimed in _WAYS.items()),
    _attack("a good call with a Route", _preloaded),
    _attack("a Via that names it", _answer_to_via),
    _attack("a response with its Via below", _answer_below),
    _attack("headers that name it", _named_elsewhere),
    _attack("a REGISTER that names it", _registered),
)
