"""One call in a call process: from its INVITE to its last record."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from callflows.build import Callflow
from callflows.canonical import parse_document
from callflows.endings import Cause, Ending, phrase
from callflows.faults import DocumentFaults
from callflows.interpreter import Interpreter
from callflows.model import Utterance
from callflows.ports import CallGone, Prompt, Recorded, RecordingPlace, Unavailable
from voice.media.seam import Established, Gone, LegEvent, MediaEngine, MediaLeg, MediaStats
from voice.pool.line import LiveLine
from voice.pool.link import ParentLink
from voice.pool.orders import CallOrder, DialPlan
from voice.pool.party import LiveParty
from voice.pool.wire import (
    CallOver,
    DialogDown,
    DialogUp,
    Got,
    Recording,
    Want,
    WantBeep,
    WantFlow,
    WantMedia,
    WantPlace,
    WantTicket,
    tell,
    want_speech,
)
from voice.records import (
    CallChanged,
    CallEnded,
    CallStatus,
    Event,
    LegMedia,
    Record,
    RecordingDone,
    StepFinished,
    StepStarted,
)

log = logging.getLogger(__name__)

INTERNAL_ERROR = "An internal error ended the call; the log of the node says more."

FLOW_SECONDS = 150.0
"""The net below the parent's own bounds (at most 120 s): a parent may be gone and never come back."""

NO_FLOW_STATUS = 480
"""Temporarily Unavailable: the number exists, what should answer it could not be had."""


class Session:
    """Runs one order.

    It is also the `Sounds`, `Recordings` and `Diary` of its callflow, which ask and tell the parent.
    """

    def __init__(
        self,
        order: CallOrder,
        leg: MediaLeg,
        engine: MediaEngine,
        link: ParentLink,
        clock: Callable[[], float],
    ) -> None:
        self.order = order
        self._link = link
        self._clock = clock
        self.line = LiveLine(order, leg, engine, self._file_ticket, self._leg_event)
        self._answered = False
        self._dialogs: dict[str, DialogUp] = {}
        """By SIP Call-ID."""
        self._recordings: dict[str, RecordingPlace] = {}
        """Those under way, by id."""
        self._interpreter: Interpreter | None = None
        self._stop_reason: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def run(self) -> Ending:
        """The call from its INVITE to its end."""
        ending = await self._ending()
        self._tell(
            CallEnded(
                call_id=self.order.call_id,
                at=self._clock(),
                status=_status(ending, self._answered),
                reason=ending.reason,
            )
        )
        self._link.send(CallOver(call_id=self.order.call_id))
        return ending

    async def _ending(self) -> Ending:
        try:
            return await self._run_flow(await self._get_flow())
        except CallGone as gone:
            return Ending(cause=Cause.CALLER_GONE, reason=gone.reason)
        except _Stopped as stopped:
            await self._refuse(503)
            return Ending(cause=Cause.STOPPED, reason=str(stopped))
        except Unavailable as problem:
            await self._refuse(NO_FLOW_STATUS)
            return Ending(cause=Cause.STOPPED, reason=str(problem))
        except Exception:
            log.exception("a bug ended call %s", self.order.call_id)
            await self.line.hangup()
            return Ending(cause=Cause.INTERNAL_ERROR, reason=INTERNAL_ERROR)

    @property
    def dialogs(self) -> list[DialogUp]:
        """The dialogs that are up now, for a parent that is new to them."""
        return [*self._dialogs.values()]

    @property
    def recordings(self) -> list[Recording]:
        """The recordings under way, for a parent that is new to them."""
        call_id = self.order.call_id
        return [Recording(call_id=call_id, place=place) for place in self._recordings.values()]

    def stop(self, reason: str) -> None:
        """Ends the call from outside: an operator, or a node that shuts down."""
        if self._interpreter is not None:
            self._interpreter.stop(reason)
        elif not self._stop_reason.done():
            self._stop_reason.set_result(reason)

    async def _get_flow(self) -> Callflow:
        """The callflow to run.  Raises Unavailable when there is none, CallGone and _Stopped."""
        order = self.order
        if order.document is not None:
            return _parsed(order.document)
        if order.url is None:
            raise Unavailable("the order names neither a callflow nor a URL")
        await self.line.ring()
        try:
            got = await self._unless_stopped(self._ask_flow(order.url))
            return _parsed(got.text or "")
        except Unavailable as problem:
            self._tell(
                Event(
                    at=self._clock(),
                    kind="callflow_fetch_failed",
                    detail=str(problem),
                    call_id=order.call_id,
                    account_id=order.account_id,
                )
            )
            if order.fallback_document is None:
                raise
            return _parsed(order.fallback_document)

    async def _ask_flow(self, url: str) -> Got:
        try:
            async with asyncio.timeout(FLOW_SECONDS):
                return await self._ask(WantFlow(url=url))
        except TimeoutError:
            raise Unavailable(f"the node had no callflow from {url} within {FLOW_SECONDS:g} s") from None

    async def _run_flow(self, flow: Callflow) -> Ending:
        if self._stop_reason.done():
            raise _Stopped(self._stop_reason.result())
        self._interpreter = Interpreter(
            flow,
            line=self.line,
            sounds=self,
            recordings=self,
            diary=self,
            max_seconds=self.order.max_seconds,
        )
        return await self._interpreter.run()

    async def _unless_stopped(self, work: Coroutine[Any, Any, Got]) -> Got:
        task = asyncio.create_task(self.line.while_live(work))
        racing: list[asyncio.Future[Any]] = [task, self._stop_reason]
        try:
            await asyncio.wait(racing, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise _Stopped(self._stop_reason.result())
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _refuse(self, status: int) -> None:
        # Nobody left to refuse is as good.
        with contextlib.suppress(CallGone):
            await self.line.reject(status, phrase(status))

    # -- what the media stack says -------------------------------------------------------------

    def _leg_event(self, event: LegEvent, party: LiveParty | None) -> None:
        call_id = self.order.call_id
        match event:
            case Established():
                up = DialogUp(call_id=call_id, dialog=event.dialog)
                self._dialogs[event.dialog.call_id] = up
                self._link.send(up)
                if party is None:
                    self._answered = True
                    self._tell(CallChanged(call_id=call_id, at=self._clock(), status=CallStatus.ONGOING))
            case Gone():
                self._dialogs.pop(event.sip_call_id, None)
                self._link.send(DialogDown(call_id=call_id, sip_call_id=event.sip_call_id))
                leg_id = self.order.leg_id if party is None else party.leg_id
                if event.media is not None and leg_id:
                    self._tell(_leg_media(leg_id, call_id, event.media))
            case _:
                pass

    async def _file_ticket(self, plan: DialPlan) -> str:
        return (await self._ask(WantTicket(plan=plan))).text or ""

    # -- Sounds --------------------------------------------------------------------------------

    async def speech(self, utterance: Utterance) -> Prompt:
        return _prompt(await self._ask(want_speech(utterance)))

    async def media(self, source: str) -> Prompt:
        return _prompt(await self._ask(WantMedia(source=source)))

    async def beep(self) -> Prompt:
        return _prompt(await self._ask(WantBeep()))

    # -- Recordings ----------------------------------------------------------------------------

    async def place(self) -> RecordingPlace:
        got = await self._ask(WantPlace())
        if got.place is None:
            raise Unavailable("the node gave no place for a recording")
        self._recordings[got.place.id] = got.place
        return got.place

    def done(self, recorded: Recorded, ok: bool) -> None:
        self._recordings.pop(recorded.id, None)
        self._tell(
            RecordingDone(
                recording_id=recorded.id,
                call_id=self.order.call_id,
                at=self._clock(),
                seconds=recorded.seconds,
                size=recorded.size,
                status="done" if ok else "failed",
            )
        )

    # -- Diary ---------------------------------------------------------------------------------

    def step_started(self, seq: int, step_id: str, action: str) -> None:
        call_id = self.order.call_id
        self._tell(StepStarted(call_id=call_id, at=self._clock(), seq=seq, step_id=step_id, action=action))

    def step_finished(
        self, seq: int, step_id: str, action: str, outcome: str, detail: str, seconds: float
    ) -> None:
        self._tell(
            StepFinished(
                call_id=self.order.call_id,
                at=self._clock(),
                seq=seq,
                step_id=step_id,
                action=action,
                outcome=outcome,
                detail=detail,
                seconds=seconds,
            )
        )

    # -- the parent ----------------------------------------------------------------------------

    def _tell(self, record: Record) -> None:
        self._link.send(tell(record))

    async def _ask(self, want: Want) -> Got:
        return await self._link.ask(self.order.call_id, want)


class _Stopped(Exception):
    """The call was ended from outside before its callflow began."""


def _parsed(document: str) -> Callflow:
    try:
        return parse_document(document)
    except DocumentFaults as faults:
        raise Unavailable(f"the callflow is faulty: {faults}") from faults


def _prompt(got: Got) -> Prompt:
    if got.prompt is None:
        raise Unavailable("the node gave no sound")
    return got.prompt


def _leg_media(leg_id: str, call_id: str, media: MediaStats) -> LegMedia:
    return LegMedia(
        leg_id=leg_id,
        call_id=call_id,
        codec=media.codec,
        received_packets=media.received_packets,
        received_lost=media.received_lost,
        received_jitter_ms=media.received_jitter_ms,
        sent_packets=media.sent_packets,
        sent_lost=media.sent_lost,
        sent_jitter_ms=media.sent_jitter_ms,
    )


def _status(ending: Ending, answered: bool) -> CallStatus:
    """MessageBird's word for how the call went."""
    if ending.cause is Cause.INTERNAL_ERROR:
        return CallStatus.FAILED
    if answered:
        return CallStatus.ENDED
    if ending.status in (486, 600):
        return CallStatus.BUSY
    if ending.cause is Cause.CALLER_GONE or ending.status in (408, 480, 487):
        return CallStatus.NO_ANSWER
    return CallStatus.FAILED
