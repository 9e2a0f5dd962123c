"""What scanners send, and what a server should not tell them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

from voice.gauntlet.attack import Attack, Failed, Skipped, judge
from voice.gauntlet.call import ack_of, give_up
from voice.gauntlet.field import METHODS, Field, token
from voice.gauntlet.reply import Reply, statuses

_FAMILY: Final = "scans"
_SCANNERS: Final = (
    "friendly-scanner",
    "sipvicious",
    "sipcli/v1.8",
    "VaxSIPUserAgent/3.1",
    "eyeBeam release 3006o",
)
_VERSION: Final = re.compile(r"\d+\.\d+")
_MOST_TIMES: Final = 3.0


async def _scanners(ground: Field) -> str:
    wire = await ground.wire()
    came: list[Reply] = []
    for agent in _SCANNERS:
        for method in ("OPTIONS", "REGISTER", "INVITE"):
            request = ground.request(
                method,
                wire,
                "sip:100@1.1.1.1",
                ("User-Agent", agent),
                from_=f'"100" <sip:100@1.1.1.1>;tag={token(4)}',
            )
            await wire.send(request.to_bytes())
            replies = [one for one in await ground.settled(wire) if one.get("call-id") == request.call_id]
            if method == "INVITE" and replies and replies[-1].let_in:
                await give_up(ground, wire, request, replies[-1])
                raise Failed(statuses(replies), "a scanner's call was let in")
            if method == "INVITE" and replies and replies[-1].final:
                await wire.send(ack_of(request, replies[-1]).to_bytes())
            if method == "REGISTER" and any(200 <= one.status < 300 for one in replies):
                raise Failed(statuses(replies), "a scanner could register")
            came += replies[-1:]
    return statuses(came)


async def _extensions(ground: Field) -> str:
    """Trying names by REGISTER: all get the same answer."""
    wire = await ground.wire()
    came: dict[int, list[str]] = {}
    for user in (
        "100",
        "101",
        "1000",
        "admin",
        "test",
        "sip",
        *((ground.aim.user,) if ground.aim.user else ()),
    ):
        request = ground.request(
            "REGISTER",
            wire,
            f"sip:{ground.aim.domain}",
            to=f"<sip:{user}@{ground.aim.domain}>",
            from_=f"<sip:{user}@{ground.aim.domain}>;tag={token(4)}",
        )
        replies = await ground.ask(wire, request)
        came.setdefault(replies[-1].status if replies else 0, []).append(user)
    shown = ", ".join(f"{status or 'nothing'} for {len(users)}" for status, users in came.items())
    return judge(len(came) == 1, shown, "names are answered differently: which ones exist can be found out")


async def _numbers(ground: Field) -> str:
    """Trying numbers by INVITE without a login."""
    wire = await ground.wire()
    came: list[Reply] = []
    for user in ("100", "00442070000000", "900442070000000", "+972595000000", "011972595000000", "*97"):
        request = ground.request("INVITE", wire, ground.uri(user))
        replies = await ground.ask(wire, request)
        last = replies[-1] if replies else None
        if last is not None and last.let_in:
            await give_up(ground, wire, request, last)
            raise Failed(statuses(replies), f"{user} may be called without a login")
        if last is not None and last.final:
            await wire.send(ack_of(request, last).to_bytes())
        came += replies[-1:]
    return statuses(came)


async def _methods(ground: Field) -> str:
    """All methods, and some that there are not, outside of any call."""
    wire = await ground.wire()
    came: list[str] = []
    for method in (*METHODS, "HELLO", "GET", "X", "invite", "*"):
        request = ground.request(method, wire)
        await wire.send(request.to_bytes())
        replies = [one for one in await ground.settled(wire) if one.get("call-id") == request.call_id]
        last = replies[-1] if replies else None
        if method == "INVITE" and last is not None:
            if last.let_in:
                await give_up(ground, wire, request, last)
                raise Skipped(
                    "this address is let in as it is: run the gauntlet from one that is not (--source)"
                )
            await wire.send(ack_of(request, last).to_bytes())
        if method == "ACK" and last is not None:
            raise Failed(statuses(replies), "an ACK was answered")
        if last is not None and last.status == 500:
            raise Failed(statuses(replies), f"the server could not handle {method}")
        if last is not None and last.status < 300 and method not in ("INVITE", "OPTIONS"):
            raise Failed(statuses(replies), f"{method} of a stranger was taken")
        came.append(str(last.status) if last else "nothing")
    return ", ".join(dict.fromkeys(came))


async def _says_little(ground: Field) -> str:
    wire = await ground.wire()
    told = set()
    for method in ("OPTIONS", "INVITE", "REGISTER"):
        request = ground.request(method, wire)
        replies = await ground.ask(wire, request)
        if replies and method == "INVITE" and replies[-1].final:
            await wire.send(ack_of(request, replies[-1]).to_bytes())
        told |= {one.get(name) for one in replies for name in ("server", "user-agent", "warning")}
    told.discard("")
    return judge(
        not any(_VERSION.search(text) for text in told),
        "; ".join(sorted(told)) or "no Server or User-Agent",
        "a scanner learns which software this is, and its version",
    )


async def _amplification(ground: Field) -> str:
    """What comes must not be much more than what was sent: the sender may be a victim's address."""
    wire = ground.udp()
    worst, shown = 0.0, ""
    for method in ("OPTIONS", "INVITE", "REGISTER", "SUBSCRIBE"):
        small = (
            f"{method} sip:{ground.aim.domain} SIP/2.0\r\n"
            f"v:SIP/2.0/UDP {wire.host}:{wire.port};branch=z9hG4bK{token(4)}\r\nf:<sip:a@b>;tag=1\r\n"
            f"t:<sip:c@d>\r\ni:{token(4)}\r\nCSeq:1 {method}\r\nl:0\r\n\r\n"
        ).encode()
        await wire.send(small)
        replies = [one for one in await ground.settled(wire) if one.cseq_method == method]
        times = sum(len(one.data) for one in replies) / len(small)
        if times > worst:
            worst, shown = times, method
    return judge(
        worst <= _MOST_TIMES,
        f"{worst:.1f} times for {shown}",
        f"more than {_MOST_TIMES:g} times what was sent comes back",
    )


def _foreign(data: bytes) -> Callable[[Field], Awaitable[str]]:
    """Packets of other protocols."""

    async def run(ground: Field) -> str:
        wire = ground.udp()
        await wire.send(data)
        replies = await ground.settled(wire)
        return judge(
            not any(one.status and one.status < 300 for one in replies), statuses(replies), "took it for SIP"
        )

    return run


def _attack(name: str, expected: str, run: Callable[[Field], Awaitable[str]]) -> Attack:
    return Attack(family=_FAMILY, name=name, expected=expected, run=run)


_NOTHING: Final = "nothing, or an error"

ATTACKS: Final = (
    _attack("well-known scanners", "not let in, not registered", _scanners),
    _attack("names tried by REGISTER", "all answered alike", _extensions),
    _attack("numbers tried by INVITE", "not let in", _numbers),
    _attack("all methods and some more", "no 2xx but for OPTIONS, no 500", _methods),
    _attack("what the answers tell", "no software version", _says_little),
    _attack("amplification", f"at most {_MOST_TIMES:g} times what was sent", _amplification),
    _attack("a STUN request", _NOTHING, _foreign(bytes.fromhex("000100002112a442") + b"gauntletgaun")),
    _attack("an RTP packet", _NOTHING, _foreign(bytes.fromhex("80000001000000a000000001") + b"\xd5" * 160)),
    _attack(
        "a DNS question",
        _NOTHING,
        _foreign(b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07version\x04bind\0\0\x10\0\x03"),
    ),
    _attack("a DTLS hello", _NOTHING, _foreign(bytes.fromhex("16feff0000000000000000") + b"\0" * 100)),
    _attack("an HTTP request", _NOTHING, _foreign(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")),
)
