"""Calls as a telephone makes them: log in, ring, answer, hang up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Unpack

from voice.gauntlet.attack import Failed, Full, Skipped
from voice.gauntlet.field import Field, Said, token
from voice.gauntlet.reply import Reply, statuses
from voice.gauntlet.wire import Wire
from voice.sip.address import parse_name_addr
from voice.sip.digest import NoUsableChallenge, answer
from voice.sip.errors import SipParseError
from voice.sip.headers import Headers, split_list
from voice.sip.message import Request, Response, parse_message

ANSWER_SECONDS: Final = 10.0
"""A call that rings longer is cancelled, and that is good enough."""
_ANSWERED_SECONDS: Final = 4.0
"""Where an answer is needed, it is waited for so long."""
_RINGS_SECONDS: Final = 0.5
"""A good call need not be answered; it rings so long."""
_NO_ROOM: Final = (486, 503)
_TRIES: Final = 3


@dataclass(slots=True, kw_only=True)
class Dialog:
    """A call that was answered."""

    ground: Field
    wire: Wire
    call_id: str
    local: str
    remote: str
    target: str
    routes: list[str]
    cseq: int
    replies: list[Reply] = field(default_factory=list)

    def request(
        self, method: str, *headers: tuple[str, str], cseq: int | None = None, wire: Wire | None = None
    ) -> Request:
        """A request in the dialog."""
        if cseq is None:
            self.cseq += 1
        return self.ground.request(
            method,
            wire or self.wire,
            self.target,
            *(("Route", route) for route in self.routes),
            *headers,
            from_=self.local,
            to=self.remote,
            call_id=self.call_id,
            cseq=str(self.cseq if cseq is None else cseq),
        )

    async def ack(self) -> None:
        await self.wire.send(self.request("ACK", cseq=self.cseq).to_bytes())

    async def bye(self) -> list[Reply]:
        return await self.ground.ask(self.wire, self.request("BYE"))

    async def end(self, came: str) -> str:
        """Hangs up, and gives `came` back.  Raises Failed when there was nothing left to hang up.

        Skipped, when the server had hung up: an announcement that is over is no fault.
        """
        ended = await self.bye()
        if ended and ended[-1].status == 200:
            return came
        if self.call_id in self.ground.hung_up:
            raise Skipped(f"{self.ground.aim.number} hung up too soon: name a number that stays on the line")
        raise Failed(f"{came}; BYE {statuses(ended)}", "the call did not survive it")


async def prepared(ground: Field, wire: Wire, *headers: tuple[str, str], **of: Unpack[Said]) -> Request:
    """An INVITE that ought to be let in, not sent yet.  Raises Skipped without what it needs."""
    aim = ground.aim
    if aim.number is None:
        raise Skipped("needs a number that may be called: say --number")
    if aim.user is None:
        return ground.request("INVITE", wire, None, *headers, **of)
    first, challenge = await challenged(ground, wire, *headers, **of)
    return with_login(first, challenge, aim.user, aim.password or "")


async def challenged(
    ground: Field, wire: Wire, *headers: tuple[str, str], **of: Unpack[Said]
) -> tuple[Request, Reply]:
    """An INVITE without a login, and the challenge that it got and that was acknowledged."""
    invite = ground.request("INVITE", wire, None, *headers, **of)
    replies = await ground.ask(wire, invite)
    last = replies[-1] if replies else None
    if last is not None and last.status in (401, 407):
        await wire.send(ack_of(invite, last).to_bytes())
        return invite, last
    if last is not None and last.let_in:
        await give_up(ground, wire, invite, last)
        raise Skipped("the server lets calls in without a login from this address")
    if last is not None and last.final:
        await wire.send(ack_of(invite, last).to_bytes())
    raise refused(replies, "a call without a login is neither challenged nor let in")


def with_login(invite: Request, challenge: Reply, user: str, password: str, nc: int = 1) -> Request:
    """The INVITE again, as one that answers the challenge."""
    try:
        given = answer(
            response_of(challenge),
            method=invite.method,
            uri=invite.uri,
            username=user,
            password=password,
            cnonce=token(),
            nc=nc,
        )
    except NoUsableChallenge as fault:
        raise Failed(str(challenge), str(fault)) from None
    again = next_request(invite)
    again.headers.add(given.header, given.value)
    return again


def response_of(reply: Reply) -> Response:
    try:
        message = parse_message(reply.data)
    except SipParseError as fault:
        raise Failed(str(reply), f"its answer cannot be read: {fault}") from None
    assert isinstance(message, Response)
    return message


def next_request(request: Request) -> Request:
    """The request as a new transaction, counted on."""
    again = request.copy()
    again.headers.set(
        "Via", again.headers.values("via")[0].replace(request.via.branch or "", f"z9hG4bK{token()}")
    )
    again.headers.set("CSeq", f"{request.cseq.number + 1} {request.method}")
    return again


def ack_of(invite: Request, reply: Reply) -> Request:
    """The ACK of a refusal (RFC 3261 section 17.1.1.3)."""
    return _same_hop(invite, "ACK", reply.get("to"))


def cancel_of(invite: Request) -> Request:
    return _same_hop(invite, "CANCEL", invite.headers.get("to") or "")


def _same_hop(invite: Request, method: str, to: str) -> Request:
    headers = Headers(
        (
            ("Via", invite.headers.values("via")[0]),
            ("Max-Forwards", "70"),
            *(("Route", route) for route in invite.headers.lines("route")),
            ("From", invite.headers.get("from") or ""),
            ("To", to),
            ("Call-ID", invite.call_id),
            ("CSeq", f"{invite.cseq.number} {method}"),
        )
    )
    return Request(method, invite.uri, headers)


def dialog_of(ground: Field, wire: Wire, invite: Request, answered: Reply) -> Dialog:
    """The caller's end of the dialog that a response makes.  Raises Failed when it makes none."""
    try:
        contact = parse_name_addr(split_list(answered.get("contact"))[0])
        routes = [value for line in answered.lines("record-route") for value in split_list(line)]
    except (SipParseError, IndexError):
        raise Failed(str(answered), "the answer has no Contact that could be read") from None
    return Dialog(
        ground=ground,
        wire=wire,
        call_id=invite.call_id,
        local=invite.headers.get("from") or "",
        remote=answered.get("to"),
        target=contact.uri,
        routes=routes[::-1],
        cseq=invite.cseq.number,
    )


async def established(ground: Field, wire: Wire, invite: Request | None = None) -> Dialog:
    """A call that was answered and acknowledged.  Raises Skipped when nobody answers, Failed when refused."""
    invite = invite or await prepared(ground, wire)
    replies = await ground.ask(wire, invite, within=ANSWER_SECONDS, ringing=_ANSWERED_SECONDS)
    last = replies[-1] if replies else None
    if last is not None and 200 <= last.status < 300:
        dialog = dialog_of(ground, wire, invite, last)
        dialog.replies = replies
        await dialog.ack()
        return dialog
    if last is not None and last.let_in:
        await give_up(ground, wire, invite, last)
        raise Skipped(f"{ground.aim.number} rings, and nobody answers it")
    if last is not None and last.final:
        await wire.send(ack_of(invite, last).to_bytes())
    raise refused(replies, "a good call was not let in")


async def give_up(ground: Field, wire: Wire, invite: Request, last: Reply) -> None:
    """Ends a call that nobody wants, whatever has become of it."""
    if not last.final:
        replies = await ground.ask(wire, cancel_of(invite), finals=2)
        last = next((one for one in replies if one.final and one.cseq_method == "INVITE"), last)
    if 200 <= last.status < 300:
        dialog = dialog_of(ground, wire, invite, last)
        await dialog.ack()
        await dialog.bye()
    elif last.final:
        await wire.send(ack_of(invite, last).to_bytes())


async def good_call(ground: Field, wire: Wire) -> float:
    """Places a call and ends it; seconds until it rang or was answered.  Raises Failed, or Full."""
    for _ in range(_TRIES - 1):
        try:
            return await _placed(ground, wire)
        except Full:
            await asyncio.sleep(ground.aim.busy_seconds)
    return await _placed(ground, wire)


async def _placed(ground: Field, wire: Wire) -> float:
    invite = await prepared(ground, wire)
    began = time.monotonic()
    replies = await ground.ask(wire, invite, within=ANSWER_SECONDS, ringing=_RINGS_SECONDS)
    took = time.monotonic() - began
    last = replies[-1] if replies else None
    if last is None:
        raise Failed("nothing", "a good call got no answer")
    if 200 <= last.status < 300:
        dialog = dialog_of(ground, wire, invite, last)
        await dialog.ack()
        ended = await dialog.bye()
        if not ended or ended[-1].status != 200:
            raise Failed(f"{statuses(replies)}; BYE {statuses(ended)}", "a good call could not be ended")
        return took
    if last.final:
        await wire.send(ack_of(invite, last).to_bytes())
        raise refused(replies, "a good call was refused")
    await give_up(ground, wire, invite, last)
    if not last.let_in:
        raise Failed(statuses(replies), "a good call got no final answer")
    return took


def refused(replies: Sequence[Reply], reason: str) -> Failed | Full:
    """What to raise when a good request was refused: `reason` is wrong when there is no room for a moment."""
    if replies and replies[-1].status in _NO_ROOM:
        return Full(
            f"{statuses(replies)}: the server is full or the number busy: give it room for more calls"
        )
    return Failed(statuses(replies), reason)


def invite_behind(ground: Field, reply: Reply) -> Request:
    """The INVITE that a response answers, as far as the response tells; for one that was not well-formed."""
    try:
        to = parse_name_addr(reply.get("to"))
    except SipParseError:
        to = parse_name_addr(f"<{ground.uri()}>")
    try:
        via = split_list(reply.get("via"))[0]
        headers = Headers(
            (
                ("Via", via),
                ("From", reply.get("from")),
                ("To", f"<{to.uri}>"),
                ("Call-ID", reply.get("call-id")),
                ("CSeq", reply.get("cseq")),
            )
        )
        request = Request("INVITE", to.uri, headers)
        _ = request.cseq
    except (SipParseError, IndexError, ValueError):
        return ground.request("INVITE", ground.victim())
    return request
