"""Messages that come again: each is served once and answered the same."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

from voice.gauntlet.attack import Attack, Failed, judge
from voice.gauntlet.call import ANSWER_SECONDS, ack_of, dialog_of, prepared, refused
from voice.gauntlet.field import Field, token
from voice.gauntlet.reply import Reply, statuses
from voice.gauntlet.wire import Wire

_FAMILY: Final = "retransmission"
_COPIES: Final = 5
_TWO_T1: Final = 1.3
"""Within this the first two retransmissions of a 2xx fall, and some more."""


def _never(_reply: Reply) -> bool:
    return False


async def _collect(
    ground: Field, wire: Wire, call_id: str, seconds: float, enough: Callable[[Reply], bool] = _never
) -> list[Reply]:
    """The responses of the call that come within this time, up to the first that is `enough`."""
    replies: list[Reply] = []
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        reply = await wire.receive(left)
        if reply is None:
            break
        if reply.method:
            await ground.obey(wire, reply)
        elif reply.get("call-id") == call_id and reply.status:
            replies.append(reply)
            if enough(reply):
                break
    return replies


def _repeated(method: str) -> Callable[[Field], Awaitable[str]]:
    async def run(ground: Field) -> str:
        wire = ground.udp()
        request = ground.request(method, wire, None if method == "INVITE" else f"sip:{ground.aim.domain}")
        for _ in range(_COPIES):
            await wire.send(request.to_bytes())
        replies = [one for one in await ground.settled(wire) if one.get("call-id") == request.call_id]
        finals = [one for one in replies if one.final]
        if method == "INVITE" and finals:
            await wire.send(ack_of(request, finals[-1]).to_bytes())
        if len({one.status for one in finals}) > 1:
            raise Failed(statuses(replies), "the same request was answered differently")
        tags = {one.get("to") for one in finals}
        return judge(
            len(tags) <= 1, statuses(replies), "each copy got a To tag of its own: it was served anew"
        )

    return run


async def _invite(ground: Field) -> str:
    """A good call, asked for five times, rings once."""
    wire = ground.udp()
    invite = await prepared(ground, wire)
    for _ in range(_COPIES):
        await wire.send(invite.to_bytes())
    replies = await _until_final(ground, wire, invite.call_id)
    final = replies[-1]
    if final.status >= 300:
        await wire.send(ack_of(invite, final).to_bytes())
        raise refused(replies, "a good call was refused")
    dialog = dialog_of(ground, wire, invite, final)
    await dialog.ack()
    replies += await _collect(ground, wire, invite.call_id, 0.3)
    await dialog.bye()
    tags = {one.get("to") for one in replies if one.final}
    return judge(len(tags) == 1, statuses(replies), "one call was answered several times")


async def _until_final(ground: Field, wire: Wire, call_id: str) -> list[Reply]:
    replies = await _collect(ground, wire, call_id, ANSWER_SECONDS, lambda reply: reply.final)
    if not replies or not replies[-1].final:
        raise Failed(statuses(replies), "the call got no final response")
    return replies


async def _answer_again(ground: Field) -> str:
    """A 2xx comes again until it is acknowledged, and then no more (RFC 3261 section 13.3.1.4)."""
    wire = ground.udp()
    invite = await prepared(ground, wire)
    await wire.send(invite.to_bytes())
    replies = await _until_final(ground, wire, invite.call_id)
    final = replies[-1]
    if final.status >= 300:
        await wire.send(ack_of(invite, final).to_bytes())
        raise refused(replies, "a good call was refused")
    # Acknowledged as soon as one copy has come, so that the next is far off, and a late one is no chance.
    again = await _collect(ground, wire, invite.call_id, _TWO_T1, lambda _copy: True)
    dialog = dialog_of(ground, wire, invite, final)
    await dialog.ack()
    # One that crosses the ACK is here before the answer to what was asked after it.
    await ground.settled(wire)
    late = await _collect(ground, wire, invite.call_id, _TWO_T1)
    came = await dialog.end(f"{len(again)} copies before the ACK, {len(late)} after")
    if not again:
        raise Failed(came, "an answer that was not acknowledged was not sent again")
    return judge(not late, came, "an answer that was acknowledged was sent again")


async def _refusal_ends(ground: Field) -> str:
    """A refusal that was acknowledged is not sent again."""
    wire = ground.udp()
    invite = ground.request("INVITE", wire, f"sip:nobody-{token(4)}@{ground.aim.domain}")
    replies = await ground.ask(wire, invite)
    if not replies or replies[-1].status < 300:
        return statuses(replies)
    for _ in range(_COPIES):
        await wire.send(ack_of(invite, replies[-1]).to_bytes())
    await _collect(ground, wire, invite.call_id, 0.1)
    late = await _collect(ground, wire, invite.call_id, _TWO_T1)
    return judge(
        not late, f"{statuses(replies)}, {len(late)} after the ACK", "sent again, although acknowledged"
    )


async def _branch_reused(ground: Field) -> str:
    """One branch for different requests: they may be taken for one, and must not be mixed up."""
    wire = ground.udp()
    branch = f"z9hG4bK{token()}"
    asked = [
        ground.request(method, wire, f"sip:{ground.aim.domain}", branch=branch)
        for method in ("OPTIONS", "REGISTER", "OPTIONS", "MESSAGE", "INFO")
    ]
    for request in asked:
        await wire.send(request.to_bytes())
    replies = await ground.settled(wire)
    known = {(request.call_id, f"1 {request.method}") for request in asked}
    mixed = [one for one in replies if (one.get("call-id"), one.get("cseq")) not in known]
    return judge(not mixed, statuses(replies), "a response belongs to none of the requests")


async def _bye_again(ground: Field) -> str:
    wire = ground.udp()
    invite = await prepared(ground, wire)
    await wire.send(invite.to_bytes())
    final = (await _until_final(ground, wire, invite.call_id))[-1]
    if final.status >= 300:
        await wire.send(ack_of(invite, final).to_bytes())
        raise refused([final], "a good call was refused")
    dialog = dialog_of(ground, wire, invite, final)
    await dialog.ack()
    bye = dialog.request("BYE")
    for _ in range(_COPIES):
        await wire.send(bye.to_bytes())
    replies = [
        one
        for one in await _collect(ground, wire, invite.call_id, 0.5)
        if one.cseq_method == "BYE" and one.final
    ]
    kinds = {one.status for one in replies}
    return judge(kinds == {200}, statuses(replies), "copies of one BYE were answered differently")


def _attack(name: str, expected: str, run: Callable[[Field], Awaitable[str]]) -> Attack:
    return Attack(family=_FAMILY, name=name, expected=expected, run=run)


ATTACKS: Final = (
    _attack(f"an INVITE {_COPIES} times", "the same answer", _repeated("INVITE")),
    _attack(f"an OPTIONS {_COPIES} times", "the same answer", _repeated("OPTIONS")),
    _attack(f"a REGISTER {_COPIES} times", "the same answer", _repeated("REGISTER")),
    _attack(f"a good INVITE {_COPIES} times", "one call", _invite),
    _attack(f"a BYE {_COPIES} times", "200", _bye_again),
    _attack("an answer without an ACK, then with one", "sent again, then not", _answer_again),
    _attack("a refusal acknowledged five times", "nothing more", _refusal_ends),
    _attack("one branch for five requests", "answers that fit", _branch_reused),
)
