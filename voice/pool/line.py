"""The caller's leg in a call process: what the steps of a callflow do, done to a live call."""

from __future__ import annotations

import asyncio
import contextlib
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

from callflows.ports import (
    Answerer,
    CallGone,
    DialRequest,
    LineState,
    NotAnswered,
    Party,
    Prompt,
    RecordingPlace,
    Unavailable,
)
from voice.media.seam import (
    Digit,
    Established,
    Gone,
    LegEvent,
    MediaEngine,
    MediaError,
    MediaLeg,
    MediaUp,
    Progress,
)
from voice.pool.keys import pass_on, pass_on_one, send_keys
from voice.pool.listening import until_quiet, who_answered
from voice.pool.orders import CallOrder, DialPlan, FirstLeg, Hunting, Ticket
from voice.pool.party import LiveParty
from voice.pool.recorder import LiveRecorder, or_unavailable, start_recorder

T = TypeVar("T")

MAX_WAITING_DIGITS = 128
"""Digits kept for a step that does not read them as fast as they come."""

EARLY_MEDIA_SECONDS = 2.0
"""A caller that offered where to send sound has it at once; one that did not will say so in its ACK only."""

ACK_SECONDS = 2.0
"""How long a call that ends just as it is answered waits for the ACK, so that BYE can follow."""

DIAL_GRACE_SECONDS = 10.0
"""How much longer than its ring time a dial is waited for: the edge ends it, this is the net below."""

PLATFORM_ENDED = "the platform ended the call"

NUMBER = re.compile(r"\+?[0-9]{3,20}")

CANCEL_SECONDS = 2.0
"""How long a call that is given up before its answer waits for the end of its INVITE."""

FileTicket = Callable[[DialPlan], Awaitable[Ticket]]
"""Files a plan at the edge."""


class LiveLine:
    """A `Line` of `callflows.ports` over a `MediaLeg`."""

    def __init__(
        self,
        order: CallOrder,
        leg: MediaLeg | None,
        engine: MediaEngine,
        file_ticket: FileTicket,
        report: Callable[[LegEvent, LiveParty | None], None],
    ) -> None:
        self._order = order
        self._placed = leg
        """None until `call` makes the leg of an outgoing call."""
        self._engine = engine
        self._file_ticket = file_ticket
        self._report = report
        self._state = LineState.NEW
        self._ringing = False
        self._accepted = False
        """200 was sent."""
        self._media_up = asyncio.Event()
        self._established = asyncio.Event()
        self.progressed = False
        """Somebody has responded to the INVITE of an outgoing call, if only the edge with 100."""
        self._refusal: Gone | None = None
        """How an outgoing call failed that the far end did not answer."""
        self._gone: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._digit_queues: list[asyncio.Queue[str]] = []
        self._parties: list[LiveParty] = []
        """Those that ring or talk."""

    @property
    def state(self) -> LineState:
        return self._state

    @property
    def established(self) -> bool:
        """Whether the INVITE was answered and acknowledged."""
        return self._established.is_set()

    @property
    def parties(self) -> tuple[LiveParty, ...]:
        """The further legs of the call that ring or talk."""
        return tuple(self._parties)

    @property
    def _leg(self) -> MediaLeg:
        if self._placed is None:
            raise MediaError("the call has not been placed yet")
        return self._placed

    def hear(self, event: LegEvent) -> None:
        """Takes what the media stack says of the caller's leg."""
        match event:
            case Progress():
                self.progressed = True
            case MediaUp():
                self._media_up.set()
            case Established():
                self._established.set()
            case Digit():
                for queue in self._digit_queues:
                    with contextlib.suppress(asyncio.QueueFull):
                        queue.put_nowait(event.digit)
            case Gone():
                self._state = LineState.ENDED
                if event.remote and not self._established.is_set():
                    self._refusal = event
                if not self._gone.done():
                    self._gone.set_result(_why(event, "caller" if self._order.outbound is None else "callee"))
        self._report(event, None)

    async def while_live(self, work: Awaitable[T]) -> T:
        """The result of `work`; raises CallGone as soon as the leg has ended."""
        task = asyncio.ensure_future(work)
        racing: list[asyncio.Future[Any]] = [task, self._gone]
        try:
            await asyncio.wait(racing, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise CallGone(self._gone.result())
            return await task
        except MediaError as error:
            # The stack knows of the end a moment before its event is here.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    raise CallGone(await asyncio.shield(self._gone)) from error
            raise
        finally:
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, MediaError):
                    await task

    async def call(self, first: FirstLeg) -> None:
        """Places the call of an order that the API gave; returns when it is answered and sound flows.

        Raises NotAnswered, Unavailable when it cannot be placed, and CallGone when it is hung up meanwhile.
        Cancelled: CANCEL is sent, or BYE.
        """
        plan = DialPlan(
            call_id=self._order.call_id,
            account_id=self._order.account_id,
            targets=(first.target,),
            hunting=Hunting.PARALLEL,
            ring_seconds=first.ring_seconds,
            caller_id=first.caller_id,
            leg_id=self._order.leg_id,
        )
        ticket = await self.while_live(self._file_ticket(plan))
        leg = self._placed = self._engine.leg(self.hear)
        try:
            with or_unavailable("The call cannot be placed"):
                await self.while_live(leg.invite(ticket.uri, caller_id=first.caller_id, srtp=ticket.srtp))
            async with asyncio.timeout(first.ring_seconds + DIAL_GRACE_SECONDS):
                await self.while_live(self._established.wait())
            self._accepted = True
            await self.while_live(self._media_up.wait())
        except TimeoutError:
            await self.hangup()
            raise NotAnswered(408, "Request Timeout") from None
        except CallGone:
            if self._refusal is None:
                raise
            raise NotAnswered(self._refusal.status, self._refusal.reason) from None
        except BaseException:
            # The process may not leave before the far end knows.
            with contextlib.suppress(MediaError, TimeoutError):
                async with asyncio.timeout(CANCEL_SECONDS):
                    await leg.hangup()
                    await asyncio.shield(self._gone)
            raise
        self._state = LineState.ANSWERED

    async def ring(self) -> None:
        if self._state is LineState.NEW and not self._ringing:
            await self.while_live(self._leg.ring())
            self._ringing = True

    async def early_media(self) -> None:
        if self._state is LineState.NEW:
            await self.while_live(self._leg.early())
            try:
                async with asyncio.timeout(EARLY_MEDIA_SECONDS):
                    await self.while_live(self._media_up.wait())
            except TimeoutError:
                raise Unavailable(
                    "There is no early media with this caller: the INVITE made no offer. Answer it first."
                ) from None
            if self._state is LineState.NEW:
                self._state = LineState.EARLY

    async def answer(self) -> None:
        if self._state in (LineState.NEW, LineState.EARLY):
            self._accepted = True
            await self.while_live(self._leg.answer())
            await self.while_live(self._established.wait())
            await self.while_live(self._media_up.wait())
            self._state = LineState.ANSWERED

    async def reject(self, status: int, reason: str) -> None:
        if self._state is LineState.ANSWERED:
            raise MediaError("the call has been answered: it can be hung up, not refused")
        if not self._accepted:
            await self.while_live(self._leg.reject(status, reason))
            return
        # Too late to refuse.  Before the ACK there is no BYE either (RFC 3261 section 15).
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ACK_SECONDS):
                await self.while_live(self._established.wait())
        await self.hangup()

    async def hangup(self) -> None:
        if self._gone.done():
            return
        if self._placed is None:
            self._state = LineState.ENDED
            self._gone.set_result(PLATFORM_ENDED)
            return
        with contextlib.suppress(MediaError):
            await self._placed.hangup()
        await self.ended()

    async def play(self, prompt: Prompt) -> None:
        playback = self._leg.playback(prompt.path)
        try:
            with or_unavailable(f"The sound {prompt.path} cannot be played"):
                await self.while_live(playback.start())
            await self.while_live(playback.finished())
        finally:
            await playback.stop()

    def digits(self) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        return self._digits()

    @asynccontextmanager
    async def _digits(self) -> AsyncIterator[AsyncIterator[str]]:
        queue: asyncio.Queue[str] = asyncio.Queue(MAX_WAITING_DIGITS)
        self._digit_queues.append(queue)

        async def read() -> AsyncIterator[str]:
            while True:
                yield await self.while_live(queue.get())

        reading = read()
        try:
            yield reading
        finally:
            self._digit_queues.remove(queue)

    async def send_digits(self, keys: str, *, key_seconds: float, gap_seconds: float) -> None:
        with or_unavailable("The keys cannot be sent"):
            await self.while_live(send_keys(self._leg, keys, key_seconds, gap_seconds))

    async def record(self, place: RecordingPlace, *, whole: bool = False) -> LiveRecorder:
        return await start_recorder(self._leg, place, self.while_live, whole=whole)

    async def answerer(self, within: float) -> Answerer:
        with or_unavailable("Nobody can listen to who answered"):
            return await self.while_live(who_answered(self._leg, within))

    async def quiet(self, seconds: float, at_most: float) -> None:
        with or_unavailable("Nobody can listen for silence"):
            await self.while_live(until_quiet(self._leg, seconds, at_most))

    async def hold(self) -> None:
        """The caller hears nothing and is not heard until `unhold`.  Raises MediaError, and CallGone."""
        await self.while_live(self._leg.hold())

    async def unhold(self) -> None:
        """Raises MediaError, and CallGone."""
        await self.while_live(self._leg.unhold())

    async def dial(
        self, request: DialRequest, *, quietly: bool = False, leg_id: str | None = None
    ) -> LiveParty:
        """As `callflows.ports.Line` says; `quietly`, the caller hears nothing of it.

        `leg_id` is that of a leg that has an id already, for a request with one target.
        """
        shown = self._shown(request)
        plan = DialPlan(
            call_id=self._order.call_id,
            account_id=self._order.account_id,
            targets=request.targets,
            hunting=Hunting.SERIAL if request.serial else Hunting.PARALLEL,
            ring_seconds=request.ring_seconds,
            caller_id=shown,
            # Another caller id than the caller's own says nothing of the caller.
            asserted=self._order.asserted if shown == self._order.source else None,
            withheld=self._order.withheld and shown == self._order.source,
            # With an id, also a leg that only rings can be told from others, and hung up.
            leg_id=leg_id or (str(uuid.uuid4()) if len(request.targets) == 1 else None),
        )
        ticket = await self.while_live(self._file_ticket(plan))
        leg_id = plan.leg_id
        party = LiveParty(", ".join(request.targets), lambda event: self._party_event(party, event))
        party.leg_id = leg_id or ""
        party.leg = self._engine.leg(party.hear)
        self._parties.append(party)
        rounds = len(request.targets) if request.serial else 1
        try:
            with or_unavailable("The call to the callee cannot be placed"):
                await self.while_live(
                    party.leg.invite(ticket.uri, caller_id=plan.caller_id, srtp=ticket.srtp)
                )
            within = request.ring_seconds * rounds + DIAL_GRACE_SECONDS
            await self._ring_through(party, party.leg, within, quietly)
        except BaseException:
            self._forget(party)
            await party.hangup()
            raise
        return party

    def _shown(self, request: DialRequest) -> str:
        """The caller id of a dial."""
        if request.caller_id is not None:
            return request.caller_id
        # Whom an outgoing call reached is not ours to show: our own number is its source.
        ours = self._order.destination if self._order.outbound is None else self._order.source
        return ours if request.mask and NUMBER.fullmatch(ours) else self._order.source

    def _party_event(self, party: LiveParty, event: LegEvent) -> None:
        if isinstance(event, Gone):
            self._forget(party)
        self._report(event, party)

    def _forget(self, party: LiveParty) -> None:
        if party in self._parties:
            self._parties.remove(party)

    async def _ring_through(self, party: LiveParty, leg: MediaLeg, within: float, quietly: bool) -> None:
        """Lets the caller hear how the callee is reached until it answers.  Raises NotAnswered."""
        listening = None if quietly else asyncio.create_task(self._pass_on_progress(party, leg))
        try:
            async with asyncio.timeout(within):
                await self.while_live(party.decided())
        except TimeoutError:
            raise NotAnswered(408, "Request Timeout") from None
        finally:
            if listening is not None:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
                with contextlib.suppress(MediaError):
                    await self._leg.ringback(on=False)

    async def _pass_on_progress(self, party: LiveParty, leg: MediaLeg) -> None:
        await party.ringing.wait()
        if self._state is LineState.ANSWERED:
            await self._leg.ringback(on=True)
        elif not party.early.is_set():
            await self.ring()
        await party.early.wait()
        try:
            await self.early_media()
        except Unavailable:
            await self.ring()
            return
        await self._leg.ringback(on=False)
        await self._leg.connect(leg)

    async def bridge(self, party: Party) -> None:
        """As `callflows.ports.Line` says; whoever else is bridged already talks with the party too.

        So a further leg is added to a call by `dial`, `quietly`, and a `bridge` of its own.
        """
        if not isinstance(party, LiveParty) or party.leg is None:
            raise TypeError("only a party of this line's dial can be bridged")
        try:
            await self.answer()
            try:
                await self.while_live(self._leg.connect(party.leg))
            except MediaError:
                # A callee may hang up before the caller has acknowledged our answer.
                if not party.gone.done():
                    raise
            for other in self._parties:
                if other.bridged and other.leg is not None:
                    # Whoever has hung up meanwhile is missed by nobody.
                    with contextlib.suppress(MediaError):
                        await party.leg.connect(other.leg)
            party.bridged = True
            await self.while_live(self._relay(party, party.leg))
        finally:
            await party.hangup()

    async def _relay(self, party: LiveParty, leg: MediaLeg) -> None:
        """Returns when the callee hangs up; digits cross meanwhile, since the bridge carries only sound."""
        crossing: set[asyncio.Task[None]] = set()

        def cross(digit: str) -> None:
            task = asyncio.create_task(pass_on_one(self._leg, digit))
            crossing.add(task)
            task.add_done_callback(crossing.discard)

        party.on_digit = cross
        try:
            async with self.digits() as digits:
                forward = asyncio.create_task(pass_on(digits, leg))
                try:
                    await asyncio.wait({party.gone})
                finally:
                    forward.cancel()
                    await asyncio.gather(forward, return_exceptions=True)
        finally:
            party.on_digit = None

    async def ended(self) -> str:
        return await asyncio.shield(self._gone)


def _why(gone: Gone, who: str) -> str:
    if not gone.remote:
        return PLATFORM_ENDED
    if gone.status == 487:
        return f"the {who} gave up before the call was answered"
    if gone.status < 300:
        return f"the {who} hung up"
    return f"the {who}'s leg ended with {gone.status} {gone.reason}"
