"""The caller's leg in a call process: what the steps of a callflow do, done to a live call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
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
    Unavailable,
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

EARLY_MEDIA_SECONDS = 2.0
"""A caller that offered where to send sound has it at once; one that did not will say so in its ACK only."""

ACK_SECONDS = 2.0
"""How long a call that ends just as it is answered waits for the ACK, so that BYE can follow."""

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
        with _or_unavailable("The recording was broken off"):
            await self._line.while_live(self._writer.silent(seconds))

    async def stop(self) -> Recorded:
        with _or_unavailable("The recording is lost"):
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
        self._accepted = False
        """200 was sent."""
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
        with contextlib.suppress(MediaError):
            await self._leg.hangup()
        await self.ended()

    async def play(self, prompt: Prompt) -> None:
        playback = self._leg.playback(prompt.path)
        try:
            with _or_unavailable(f"The sound {prompt.path} cannot be played"):
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

    async def record(self, place: RecordingPlace) -> LiveRecorder:
        writer = self._leg.writer(place.path)
        try:
            with _or_unavailable(f"The recording {place.path} cannot begin"):
                await self.while_live(writer.start())
        except BaseException:
            with contextlib.suppress(MediaError):
                await writer.stop()
            raise
        return LiveRecorder(self, place, writer)

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
        party.leg = self._engine.leg(party.hear)
        rounds = len(request.targets) if request.serial else 1
        try:
            with _or_unavailable("The call to the callee cannot be placed"):
                await self.while_live(party.leg.invite(ticket, caller_id=plan.caller_id))
            await self._ring_through(party, party.leg, request.ring_seconds * rounds + DIAL_GRACE_SECONDS)
        except BaseException:
            await party.hangup()
            raise
        return party

    async def _ring_through(self, party: LiveParty, leg: MediaLeg, within: float) -> None:
        """Lets the caller hear how the callee is reached until it answers.  Raises NotAnswered."""
        listening = asyncio.create_task(self._pass_on_progress(party, leg))
        try:
            async with asyncio.timeout(within):
                await self.while_live(party.decided())
        except TimeoutError:
            raise NotAnswered(408, "Request Timeout") from None
        finally:
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


@contextmanager
def _or_unavailable(what: str) -> Iterator[None]:
    """A step that cannot be done is not a bug: the callflow goes on with the next one."""
    try:
        yield
    except MediaError as error:
        raise Unavailable(f"{what}: {error}") from error


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
