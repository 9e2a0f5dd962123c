"""CANCEL at every wrong moment: each INVITE still gets one final response, and others' calls go on."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

from voice.gauntlet.attack import Attack, Failed, Skipped, judge
from voice.gauntlet.call import (
    ack_of,
    cancel_of,
    dialog_of,
    established,
    give_up,
    prepared,
    refused,
)
from voice.gauntlet.field import Field, token
from voice.gauntlet.reply import Reply, statuses
from voice.gauntlet.wire import Wire
from voice.sip.message import Request

_FAMILY: Final = "cancel"
_ONE_END: Final = "one final response to the INVITE"
_TO_NOTHING: Final = "481, or nothing"
_END_SECONDS: Final = 10.0


async def _end(ground: Field, wire: Wire, invite: Request) -> tuple[list[Reply], list[Reply]]:
    """What INVITE and CANCEL got until the INVITE had its final response and a moment had passed.

    An answered call is hung up.  Raises Failed when there is no final response, or two different ones.
    """
    invited: list[Reply] = []
    cancelled: list[Reply] = []
    until = time.monotonic() + _END_SECONDS
    while (left := until - time.monotonic()) > 0:
        reply = await wire.receive(left)
        if reply is None:
            break
        if reply.method:
            await ground.obey(wire, reply)
        if reply.get("call-id") != invite.call_id or not reply.status:
            continue
        (cancelled if reply.cseq_method == "CANCEL" else invited).append(reply)
        if reply.final and reply.cseq_method == "INVITE":
            await _acknowledge(ground, wire, invite, reply)
            until = min(until, time.monotonic() + 2 * ground.aim.grace)
    finals = {reply.status for reply in invited if reply.final}
    if not finals:
        raise Failed(statuses(invited + cancelled), "the INVITE got no final response")
    if finals == {503}:
        raise refused([one for one in invited if one.final], "a good call was refused")
    if len(finals) > 1:
        raise Failed(statuses(invited), "the INVITE got several final responses")
    return invited, cancelled


async def _acknowledge(ground: Field, wire: Wire, invite: Request, final: Reply) -> None:
    if final.status < 300:
        dialog = dialog_of(ground, wire, invite, final)
        await dialog.ack()
        await wire.send(dialog.request("BYE").to_bytes())
    else:
        await wire.send(ack_of(invite, final).to_bytes())


async def _without_invite(ground: Field) -> str:
    wire = await ground.wire()
    replies = await ground.ask(wire, ground.request("CANCEL", wire))
    return judge(
        not any(one.status == 200 for one in replies), statuses(replies), "cancelled what there is not"
    )


async def _before_invite(ground: Field) -> str:
    """CANCEL overtakes its INVITE."""
    wire = await ground.wire()
    invite = await prepared(ground, wire)
    await wire.send(cancel_of(invite).to_bytes())
    await wire.send(invite.to_bytes())
    invited, cancelled = await _end(ground, wire, invite)
    return f"CANCEL {statuses(cancelled)}; INVITE {statuses(invited)}"


async def _at_once(ground: Field) -> str:
    wire = await ground.wire()
    invite = await prepared(ground, wire)
    await wire.send(invite.to_bytes())
    await wire.send(cancel_of(invite).to_bytes())
    invited, cancelled = await _end(ground, wire, invite)
    return f"CANCEL {statuses(cancelled)}; INVITE {statuses(invited)}"


async def _while_ringing(ground: Field) -> str:
    wire = await ground.wire()
    invite = await prepared(ground, wire)
    await wire.send(invite.to_bytes())
    first = await wire.receive(_END_SECONDS)
    await wire.send(cancel_of(invite).to_bytes())
    invited, cancelled = await _end(ground, wire, invite)
    return f"{first}; CANCEL {statuses(cancelled)}; INVITE {statuses(invited)}"


async def _twice(ground: Field) -> str:
    """The same CANCEL again is a retransmission; one with its own branch cancels nothing."""
    wire = await ground.wire()
    invite = await prepared(ground, wire)
    await wire.send(invite.to_bytes())
    for _ in range(5):
        await wire.send(cancel_of(invite).to_bytes())
    invited, cancelled = await _end(ground, wire, invite)
    kinds = {reply.status for reply in cancelled}
    return judge(
        len(kinds) <= 1,
        f"CANCEL {statuses(cancelled)}; INVITE {statuses(invited)}",
        "equal CANCELs were answered differently",
    )


async def _after_refusal(ground: Field) -> str:
    """RFC 3261 section 9.2: a CANCEL after the final response has no effect."""
    wire = await ground.wire()
    invite = ground.request("INVITE", wire)
    refusal = await ground.ask(wire, invite)
    if not refusal or refusal[-1].status < 300:
        if refusal:
            await give_up(ground, wire, invite, refusal[-1])
        raise Skipped("the server refuses no call without a login from this address")
    await wire.send(ack_of(invite, refusal[-1]).to_bytes())
    replies = await ground.ask(wire, cancel_of(invite))
    return judge(
        not any(one.cseq_method == "INVITE" and one.status == 487 for one in replies),
        statuses(replies),
        "an INVITE that was over got another final response",
    )


async def _after_answer(ground: Field) -> str:
    """An answered call is not cancelled but hung up."""
    wire = await ground.wire()
    invite = await prepared(ground, wire)
    dialog = await established(ground, wire, invite)
    replies = await ground.ask(wire, cancel_of(invite))
    return await dialog.end(f"CANCEL {statuses(replies)}")


def _foreign(change: Callable[[Request], None]) -> Callable[[Field], Awaitable[str]]:
    """A CANCEL that only looks like the call's own, from elsewhere; the call has to go on."""

    async def run(ground: Field) -> str:
        wire = await ground.wire()
        elsewhere = "127.88.0.3" if ground.aim.loopback and not ground.aim.ipv6 else None
        evil = await ground.wire(elsewhere)
        invite = await prepared(ground, wire)
        cancel = cancel_of(invite)
        change(cancel)
        await wire.send(invite.to_bytes())
        await evil.send(cancel.to_bytes())
        invited, _ = await _end(ground, wire, invite)
        replies = [one for one in await ground.settled(evil) if one.cseq_method == "CANCEL"]
        came = f"CANCEL {statuses(replies)}; INVITE {statuses(invited)}"
        return judge(
            not any(one.status == 487 for one in invited), came, "somebody else's CANCEL ended the call"
        )

    return run


def _other_branch(cancel: Request) -> None:
    via = cancel.headers.get("via") or ""
    cancel.headers.set("Via", via.replace(cancel.via.branch or "", f"z9hG4bK{token()}"))


def _other_sent_by(cancel: Request) -> None:
    """The branch right and the sent-by not: the two together name a transaction (RFC 3261 section 17.2.3)."""
    cancel.headers.set(
        "Via", f"SIP/2.0/{cancel.via.transport} 192.0.2.1:5060;branch={cancel.via.branch};rport"
    )


def _no_branch(cancel: Request) -> None:
    cancel.headers.set(
        "Via", f"SIP/2.0/{cancel.via.transport} {cancel.via.host}:{cancel.via.port or 5060};rport"
    )


def _other_everything(cancel: Request) -> None:
    _other_branch(cancel)
    cancel.headers.set("Call-ID", token())


async def _storm(ground: Field) -> str:
    """Calls begun and cancelled at once, twenty in a row."""
    wire = await ground.wire()
    ends: list[Reply] = []
    for _ in range(20):
        invite = await prepared(ground, wire)
        await wire.send(invite.to_bytes())
        await wire.send(cancel_of(invite).to_bytes())
        invited, _ = await _end(ground, wire, invite)
        ends += [reply for reply in invited if reply.final][:1]
    return statuses(ends)


def _attack(name: str, expected: str, run: Callable[[Field], Awaitable[str]]) -> Attack:
    return Attack(family=_FAMILY, name=name, expected=expected, run=run)


_GOES_ON: Final = "the call goes on"

ATTACKS: Final = (
    _attack("of nothing", _TO_NOTHING, _without_invite),
    _attack("before its INVITE", _ONE_END, _before_invite),
    _attack("together with its INVITE", _ONE_END, _at_once),
    _attack("after the first response", _ONE_END, _while_ringing),
    _attack("five times", _ONE_END, _twice),
    _attack("after a refusal", "no second final response", _after_refusal),
    _attack("after the answer", _GOES_ON, _after_answer),
    _attack("with another branch", _GOES_ON, _foreign(_other_branch)),
    _attack("with another sent-by", _GOES_ON, _foreign(_other_sent_by)),
    _attack("without a branch", _GOES_ON, _foreign(_no_branch)),
    _attack("with another branch and Call-ID", _GOES_ON, _foreign(_other_everything)),
    _attack("twenty calls begun and cancelled", _ONE_END, _storm),
)
