"""The caller's leg in a call process: what the steps of a callflow do, done to a live call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

from callflows.ports import (
    CallGone,
    DialRequest,
    LineState,
    NotAnswered,
    Party,
    Prompt,
    Recorded,
    RecordingPlace,
)
from voice.media.seam import (
    Digit,
    Established,
    FileWriter,
    Gone,
    LegEvent,
    MediaEngine,
    MediaError,
    MediaLeg,
    MediaUp,
)
from voice.pool.orders import CallOrder, DialPlan, Hunting
from voice.pool.party import LiveParty

T = TypeVar("T")

MAX_WAITING_DIGITS = 128
"""Digits kept for a step that does not read them as fast as they come."""

DIAL_GRACE_SECONDS = 10.0
"""How much longer than its ring time a dial is waited for: the edge ends it, this is the net below."""

FileTicket = Callable[[DialPlan], Awaitable[str]]
"""Files a plan at the edge; returns the Request-URI to send the INVITE to."""


class LiveRecorder:
    """A recording of the caller under way."""

    def __init__(self, line: LiveLine, place: RecordingPlace, writer: FileWriter) -> None:
        self._line = line
        self._place = place
        self._writer = writer

    async def silent(self, seconds: float) -> None:
        await self._line.while_live(self._writer.silent(seconds))

    async def stop(self) -> Recorded:
        written = await self._writer.stop()
        return Recorded(id=self._place.id, seconds=written.seconds, size=written.size)


class LiveLine:
    """A `Line` of `callflows.ports` over a `MediaLeg`."""

    def __init__(
        self,
        order: CallOrder,
        leg: MediaLeg,
        engine: MediaEngine,
        file_ticket: FileTicket,
        report: Callable[[LegEvent, LiveParty | None], None],
    ) -> None:
        self._order = order
        self._leg = leg
        self._engine = engine
        self._file_ticket = file_ticket
        self._report = report
        self._state = LineState.NEW
        self._ringing = False
        self._media_up = asyncio.Event()
        self._established = asyncio.Event()
        self._gone: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._digit_queues: list[asyncio.Queue[str]] = []

    @property
    def state(self) -> LineState:
        return self._state

    def hear(self, event: LegEvent) -> None:
        """Takes what the media stack says of the caller's leg."""
        match event:
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
                if not self._gone.done():
                    self._gone.set_result(_why(event))
            case _:
                pass
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

    async def ring(self) -> None:
        if self._state is LineState.NEW and not self._ringing:
            await self.while_live(self._leg.ring())
            self._ringing = True

    async def early_media(self) -> None:
        if self._state is LineState.NEW:
            await self.while_live(self._leg.early())
            await self.while_live(self._media_up.wait())
            if self._state is LineState.NEW:
                self._state = LineState.EARLY

    async def answer(self) -> None:
        if self._state in (LineState.NEW, LineState.EARLY):
            await self.while_live(self._leg.answer())
            await self.while_live(self._established.wait())
            await self.while_live(self._media_up.wait())
            self._state = LineState.ANSWERED

    async def reject(self, status: int, reason: str) -> None:
        if self._state is LineState.ANSWERED:
            raise MediaError("the call has been answered: it can be hung up, not refused")
        await self.while_live(self._leg.reject(status, reason))

    async def hangup(self) -> None:
        if self._gone.done():
            return
        with contextlib.suppress(MediaError):
            await self._leg.hangup()
        await self.ended()

    async def play(self, prompt: Prompt) -> None:
        playback = await self.while_live(self._leg.play(prompt.path))
        try:
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

    async def record(self, place: RecordingPlace) -> LiveRecorder:
        return LiveRecorder(self, place, await self.while_live(self._leg.write(place.path)))

    async def dial(self, request: DialRequest) -> Party:
        plan = DialPlan(
            call_id=self._order.call_id,
            account_id=self._order.account_id,
            targets=request.targets,
            hunting=Hunting.SERIAL if request.serial else Hunting.PARALLEL,
            ring_seconds=request.ring_seconds,
            caller_id=request.caller_id or self._order.source,
        )
        ticket = await self.while_live(self._file_ticket(plan))
        party = LiveParty(", ".join(request.targets), lambda event: self._report(event, party))
        rounds = len(request.targets) if request.serial else 1
        answered = False
        try:
            party.leg = await self.while_live(
                self._engine.invite(ticket, caller_id=plan.caller_id, sink=party.hear)
            )
            async with asyncio.timeout(request.ring_seconds * rounds + DIAL_GRACE_SECONDS):
                await self.while_live(self._ring_through(party))
            answered = True
        except TimeoutError:
            raise NotAnswered(408, "Request Timeout") from None
        finally:
            with contextlib.suppress(MediaError):
                await self._leg.ringback(on=False)
            if not answered:
                await party.hangup()
        return party

    async def _ring_through(self, party: LiveParty) -> None:
        """Lets the caller hear how the callee is reached; returns when it has answered."""
        leg = party.leg
        if leg is None:
            raise MediaError("the callee's leg was not made")
        listening = asyncio.create_task(self._pass_on_progress(party, leg))
        answered = asyncio.create_task(party.answered.wait())
        racing: list[asyncio.Future[Any]] = [answered, party.gone]
        try:
            await asyncio.wait(racing, return_when=asyncio.FIRST_COMPLETED)
            if not party.answered.is_set():
                gone = party.gone.result()
                raise NotAnswered(gone.status, gone.reason)
        finally:
            for task in (listening, answered):
                task.cancel()
            await asyncio.gather(listening, answered, return_exceptions=True)

    async def _pass_on_progress(self, party: LiveParty, leg: MediaLeg) -> None:
        await party.ringing.wait()
        if self._state is LineState.ANSWERED:
            await self._leg.ringback(on=True)
        elif not party.early.is_set():
            await self.ring()
        await party.early.wait()
        await self.early_media()
        await self._leg.ringback(on=False)
        await self._leg.connect(leg)

    async def bridge(self, party: Party) -> None:
        if not isinstance(party, LiveParty) or party.leg is None:
            raise TypeError("only a party of this line's dial can be bridged")
        try:
            await self.answer()
            await self.while_live(self._leg.connect(party.leg))
            await self.while_live(self._relay(party, party.leg))
        finally:
            await party.hangup()

    async def _relay(self, party: LiveParty, leg: MediaLeg) -> None:
        """Returns when the callee hangs up; digits cross meanwhile, since the bridge carries only sound."""
        crossing: set[asyncio.Task[None]] = set()

        def cross(digit: str) -> None:
            task = asyncio.create_task(_send_digit(self._leg, digit))
            crossing.add(task)
            task.add_done_callback(crossing.discard)

        party.on_digit = cross
        try:
            async with self.digits() as digits:
                forward = asyncio.create_task(_forward(digits, leg))
                try:
                    await asyncio.wait({party.gone})
                finally:
                    forward.cancel()
                    await asyncio.gather(forward, return_exceptions=True)
        finally:
            party.on_digit = None

    async def ended(self) -> str:
        return await asyncio.shield(self._gone)


async def _forward(digits: AsyncIterator[str], leg: MediaLeg) -> None:
    async for digit in digits:
        await _send_digit(leg, digit)


async def _send_digit(leg: MediaLeg, digit: str) -> None:
    # A leg on hold or just gone takes no digit: that is no reason to end the call.
    with contextlib.suppress(MediaError):
        await leg.send_digit(digit)


def _why(gone: Gone) -> str:
    if not gone.remote:
        return "the platform ended the call"
    if gone.status == 487:
        return "the caller gave up before the call was answered"
    if gone.status < 300:
        return "the caller hung up"
    return f"the caller's leg ended with {gone.status} {gone.reason}"
