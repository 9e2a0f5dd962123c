"""Who is let in by the address it has must not be let in by an address it claims."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from voice.gauntlet.attack import Attack, Failed, Skipped, judge
from voice.gauntlet.call import ack_of, give_up
from voice.gauntlet.field import Field, token
from voice.gauntlet.reply import Reply, statuses
from voice.gauntlet.wire import Wire
from voice.sip.message import Request

_FAMILY: Final = "acl"
_EXPECTED: Final = "refused as without the claim"
_NOBODY: Final = (404, 604)

Spoof = Callable[[Field, Wire, str], Request]
"""The INVITE that claims an address."""


def _with(*names: str, form: str = "<sip:gauntlet@{}>") -> Spoof:
    """Says the address in headers of these names."""

    def spoof(ground: Field, wire: Wire, claim: str) -> Request:
        value = form.format(claim)
        return ground.request("INVITE", wire, None, *((name, value) for name in names))

    return spoof


def _from(ground: Field, wire: Wire, claim: str) -> Request:
    return ground.request("INVITE", wire, from_=f"<sip:{ground.aim.user or '1000'}@{claim}>;tag={token(4)}")


def _contact(ground: Field, wire: Wire, claim: str) -> Request:
    return ground.request("INVITE", wire, contact=f"<sip:1000@{claim}:5060>")


def _via(params: str) -> Spoof:
    def spoof(ground: Field, wire: Wire, claim: str) -> Request:
        own = f"[{wire.host}]:{wire.port}" if ":" in wire.host else f"{wire.host}:{wire.port}"
        branch = f"branch=z9hG4bK{token()};rport"
        return ground.request(
            "INVITE", wire, via=f"SIP/2.0/{wire.transport} {own};{branch}{params.format(claim)}"
        )

    return spoof


def _sent_by(ground: Field, wire: Wire, claim: str) -> Request:
    return ground.request("INVITE", wire, sent_by=f"{claim}:{wire.port}")


def _via_below(ground: Field, wire: Wire, claim: str) -> Request:
    below = f"SIP/2.0/UDP {claim}:5060;branch=z9hG4bK{token()};received={claim};rport=5060"
    return ground.request("INVITE", wire, None, ("Via", below))


def _everything(ground: Field, wire: Wire, claim: str) -> Request:
    uri = f"<sip:1000@{claim}>"
    return ground.request(
        "INVITE",
        wire,
        None,
        *((name, uri) for name in ("P-Asserted-Identity", "Remote-Party-ID", "P-Preferred-Identity")),
        *((name, claim) for name in ("X-Forwarded-For", "X-Real-IP", "X-Real-Ip", "X-Src-IP")),
        ("Record-Route", f"<sip:{claim};lr>"),
        from_=f"{uri};tag={token(4)}",
        contact=uri,
    )


_SPOOFS: Final[dict[str, Spoof]] = {
    "From": _from,
    "Contact": _contact,
    "Via sent-by": _sent_by,
    "Via received": _via(";received={}"),
    "Via maddr": _via(";maddr={}"),
    "a second Via": _via_below,
    "P-Asserted-Identity": _with("P-Asserted-Identity"),
    "P-Preferred-Identity": _with("P-Preferred-Identity"),
    "Remote-Party-ID": _with("Remote-Party-ID", form="<sip:1000@{}>;party=calling;screen=yes;privacy=off"),
    "X-Forwarded-For": _with("X-Forwarded-For", "X-Real-IP", "X-Src-IP", form="{}"),
    "Forwarded": _with("Forwarded", form="for={};proto=sip"),
    "Record-Route": _with("Record-Route", form="<sip:{};lr>"),
    "P-Charging-Vector and P-Access-Network-Info": _with(
        "P-Charging-Vector", "P-Access-Network-Info", form="icid-value=1;orig-ioi={}"
    ),
    "Diversion and History-Info": _with("Diversion", "History-Info"),
    "Referred-By": _with("Referred-By"),
    "all headers at once": _everything,
}


def _attack(name: str, spoof: Spoof) -> Attack:
    async def run(ground: Field) -> str:
        wire = await ground.wire()
        plain = await _sent(ground, wire, ground.request("INVITE", wire))
        if any(reply.let_in for reply in plain):
            raise Skipped("this address is let in as it is: run the gauntlet from one that is not (--source)")
        if ground.aim.number is None and plain and plain[-1].status in _NOBODY:
            raise Skipped(
                f"{ground.uri()} is {plain[-1].status} there, claim or no claim: say --domain or --number"
            )
        came: list[Reply] = []
        for claim in (*ground.aim.claims, ground.aim.host):
            shown = f"[{claim}]" if ":" in claim else claim
            replies = await _sent(ground, wire, spoof(ground, wire, shown))
            if any(reply.let_in for reply in replies):
                raise Failed(statuses(replies), f"let in by claiming {claim}")
            came += replies[-1:]
        return judge(
            all(reply.final for reply in came), statuses(came), "a call was taken up and got no final answer"
        )

    return Attack(family=_FAMILY, name=f"an allowed address in {name}", expected=_EXPECTED, run=run)


async def _sent(ground: Field, wire: Wire, invite: Request) -> list[Reply]:
    """What an INVITE gets; whatever comes of it is ended."""
    await wire.send(invite.to_bytes())
    replies = [reply for reply in await ground.settled(wire) if reply.get("call-id") == invite.call_id]
    last = replies[-1] if replies else None
    if last is not None and last.let_in:
        await give_up(ground, wire, invite, last)
    elif last is not None and last.final:
        await wire.send(ack_of(invite, last).to_bytes())
    return replies


def _attacks() -> Iterator[Attack]:
    for name, spoof in _SPOOFS.items():
        yield _attack(name, spoof)


ATTACKS: Final = tuple(_attacks())
