"""Requests put into calls of others: with a dialog that was guessed, and with half of one that is real."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Unpack

from voice.gauntlet.attack import Attack, Failed, judge
from voice.gauntlet.call import Dialog, ack_of, established, give_up
from voice.gauntlet.field import Field, Said, token
from voice.gauntlet.reply import Reply, statuses
from voice.gauntlet.wire import Wire
from voice.sip.message import Request

_FAMILY: Final = "dialogs"
_REFUSED: Final = "refused, or nothing"
_STANDS: Final = "refused, and the call goes on"

_METHODS: Final = ("BYE", "INVITE", "INFO", "UPDATE", "REFER", "NOTIFY", "MESSAGE", "PRACK", "OPTIONS", "ACK")

Injection = Callable[[Field, Wire, Dialog, str], Request]
"""A request of this method by somebody else for the call."""


def _guessed(method: str) -> Attack:
    async def run(ground: Field) -> str:
        wire = await ground.wire()
        host = ground.aim.server
        came: list[Reply] = []
        for target in (ground.uri(), f"sip:{token(8)}@{host}", f"sip:{'A' * 160}@{host}", f"sip:{host}"):
            request = ground.request(
                method,
                wire,
                target,
                to=f"<{ground.uri()}>;tag={token(4)}",
                cseq="2",
            )
            replies = await _sent(ground, wire, request)
            if any(100 < one.status < 300 for one in replies) and method != "OPTIONS":
                raise Failed(statuses(replies), "a request in no call was taken")
            came += replies[-1:]
        if method == "ACK" and came:
            raise Failed(statuses(came), "an ACK was answered")
        return statuses(came)

    return Attack(family=_FAMILY, name=f"{method} in a guessed dialog", expected=_REFUSED, run=run)


async def _sent(ground: Field, wire: Wire, request: Request) -> list[Reply]:
    await wire.send(request.to_bytes())
    replies = [one for one in await ground.settled(wire) if one.get("call-id") == request.call_id]
    last = replies[-1] if replies else None
    if request.method == "INVITE" and last is not None:
        if last.let_in:
            await give_up(ground, wire, request, last)
        elif last.final:
            await wire.send(ack_of(request, last).to_bytes())
    return replies


def _as_said(
    ground: Field, wire: Wire, dialog: Dialog, method: str, target: str | None = None, **of: Unpack[Said]
) -> Request:
    """A request in the dialog as its caller would send it, but from another socket."""
    said: Said = {
        "from_": dialog.local,
        "to": dialog.remote,
        "call_id": dialog.call_id,
        "cseq": str(dialog.cseq + 1),
        **of,
    }
    routes = (("Route", route) for route in dialog.routes)
    return ground.request(method, wire, target or dialog.target, *routes, **said)


def _tagless(name_addr: str, tag: str) -> str:
    return name_addr.partition(";tag=")[0] + f";tag={tag}"


def _other_tags(ground: Field, wire: Wire, dialog: Dialog, method: str) -> Request:
    return _as_said(
        ground,
        wire,
        dialog,
        method,
        from_=_tagless(dialog.local, token(4)),
        to=_tagless(dialog.remote, token(4)),
    )


def _other_call_id(ground: Field, wire: Wire, dialog: Dialog, method: str) -> Request:
    return _as_said(ground, wire, dialog, method, call_id=token())


def _stolen_target(ground: Field, wire: Wire, dialog: Dialog, method: str) -> Request:
    """The call's Contact, in a dialog of the thief's own."""
    return ground.request(
        method,
        wire,
        dialog.target,
        *(("Route", route) for route in dialog.routes),
        to=f"<{ground.uri()}>;tag={token(4)}",
        cseq="2",
    )


def _stolen_afresh(ground: Field, wire: Wire, dialog: Dialog, method: str) -> Request:
    """The call's Contact as if it were somebody's address."""
    return ground.request(method, wire, dialog.target)


def _no_call_id_match(ground: Field, wire: Wire, dialog: Dialog, method: str) -> Request:
    return _as_said(ground, wire, dialog, method, from_=dialog.remote, to=dialog.local, call_id=token())


def _altered_target(change: Callable[[str], str]) -> Injection:
    """The call's Contact with its user part changed, and tags that fit nothing."""

    def make(ground: Field, wire: Wire, dialog: Dialog, method: str) -> Request:
        scheme, _, rest = dialog.target.partition(":")
        user, at, host = rest.partition("@")
        changed = f"{scheme}:{change(user)}{at}{host}" if at else dialog.target + ";x=1"
        return _as_said(ground, wire, dialog, method, target=changed, to=_tagless(dialog.remote, token(4)))

    return make


def _flipped(text: str) -> str:
    middle = len(text) // 2
    return text[:middle] + ("A" if text[middle : middle + 1] != "A" else "B") + text[middle + 1 :]


_INJECTIONS: Final[dict[str, Injection]] = {
    "with other tags": _other_tags,
    "with another Call-ID": _other_call_id,
    "with its sides swapped and another Call-ID": _no_call_id_match,
    "with its Contact stolen": _stolen_target,
    "with its Contact stolen, as a new request": _stolen_afresh,
    "with its Contact altered": _altered_target(_flipped),
    "with its Contact cut": _altered_target(lambda user: user[: len(user) // 2] or "x"),
    "with its Contact made longer": _altered_target(lambda user: user + "AAAA"),
}


def _injected(name: str, make: Injection) -> Attack:
    async def run(ground: Field) -> str:
        good, evil = await ground.wire(), await ground.wire(_elsewhere(ground))
        dialog = await established(ground, good)
        came: list[Reply] = []
        for method in _METHODS:
            request = make(ground, evil, dialog, method)
            replies = await _sent(ground, evil, request)
            taken = method not in ("OPTIONS", "ACK") and any(100 < one.status < 300 for one in replies)
            begins_a_call = method == "INVITE" and request.to.tag is None
            if taken and not (begins_a_call and await _may_call(ground, evil)):
                await dialog.bye()
                raise Failed(statuses(replies), f"{method} was taken for the call of somebody else")
            came += replies[-1:]
        return await dialog.end(statuses(came))

    return Attack(family=_FAMILY, name=f"into a call {name}", expected=_STANDS, run=run)


async def _may_call(ground: Field, wire: Wire) -> bool:
    """Whether a call of a stranger is let in anyhow, as a telephone does that takes calls from everybody."""
    return any(one.let_in for one in await _sent(ground, wire, ground.request("INVITE", wire)))


def _elsewhere(ground: Field) -> str | None:
    return "127.88.0.2" if ground.aim.loopback and not ground.aim.ipv6 else None


async def _after_the_end(ground: Field) -> str:
    """A call that is over stays over.  A second BYE may be told that all is well, as when two cross."""
    wire = await ground.wire()
    dialog = await established(ground, wire)
    await dialog.bye()
    came: list[Reply] = []
    for method in ("BYE", "INFO", "INVITE", "UPDATE"):
        replies = await _sent(ground, wire, dialog.request(method))
        if method != "BYE" and any(100 < one.status < 300 for one in replies):
            raise Failed(statuses(replies), f"{method} was taken after the call's end")
        came += replies[-1:]
    return statuses(came)


async def _cseq_back(ground: Field) -> str:
    """A request that counts back belongs to the past (RFC 3261 section 12.2.2)."""
    wire = await ground.wire()
    dialog = await established(ground, wire)
    replies = await _sent(ground, wire, dialog.request("INFO", cseq=0))
    return await dialog.end(statuses(replies))


async def _late_acks(ground: Field) -> str:
    """ACKs that nobody asked for get no answer and end nothing."""
    wire = await ground.wire()
    dialog = await established(ground, wire)
    for _ in range(10):
        await dialog.ack()
    replies = [one for one in await ground.settled(wire) if one.get("call-id") == dialog.call_id]
    came = await dialog.end(statuses(replies))
    return judge(not any(one.cseq_method == "ACK" for one in replies), came, "an ACK was answered")


def _attack(name: str, expected: str, run: Callable[[Field], Awaitable[str]]) -> Attack:
    return Attack(family=_FAMILY, name=name, expected=expected, run=run)


ATTACKS: Final = (
    *(_guessed(method) for method in _METHODS),
    *(_injected(name, make) for name, make in _INJECTIONS.items()),
    _attack("requests after the call's end", "refused", _after_the_end),
    _attack("a CSeq that goes back", "the call goes on", _cseq_back),
    _attack("ten ACKs too many", "nothing, and the call goes on", _late_acks),
)
