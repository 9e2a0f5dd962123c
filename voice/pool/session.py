"""One call in a call process: from its INVITE to its last record."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from callflows.build import Callflow
from callflows.canonical import parse_document
from callflows.endings import Cause, Ending, phrase
from callflows.faults import DocumentFaults
from callflows.interpreter import Interpreter
from callflows.ports import CallGone, LineState, NotAnswered, Unavailable
from voice.commands import Command, Outcome
from voice.media.seam import Established, Gone, LegEvent, MediaEngine, MediaLeg, MediaStats
from voice.pool.control import Control
from voice.pool.line import LiveLine
from voice.pool.link import ClaimVoid, ParentLink
from voice.pool.orders import CallOrder, DialPlan, FirstLeg, Ticket
from voice.pool.party import LiveParty
from voice.pool.supplies import Supplies
from voice.pool.wire import CallOver, DialogDown, DialogUp, Recording, WantTicket
from voice.records import (
    CallChanged,
    CallEnded,
    CallStatus,
    Event,
    LegMedia,
    StepFinished,
    StepStarted,
)

T = TypeVar("T")

log = logging.getLogger(__name__)

INTERNAL_ERROR = "An internal error ended the call; the log of the node says more."

NO_FLOW_STATUS = 480
"""Temporarily Unavailable: the number exists, what should answer it could not be had."""


SETTLE_SECONDS = 1.0
"""How long a call that was being placed waits, when its node is gone, for what it may have heard already."""

NODE_LOST = (
    "The node was restarted while the call was being placed: whether anybody heard it ring is not known, "
    "so nobody is called again."
)


class Session:
    """Runs one order: from its INVITE, or from the INVITE that it sends when the order has `outbound`.

    It is also the `Diary` of its callflow.

    Nobody is called twice.  A process sends the INVITE of an outgoing call with a ticket, which its parent
    gives once the store has the call as dialled under this very claim.  The edge keeps the ticket, and dies
    with the parent.  An edge sends 100 to the process before it sends anything to the callee, over loopback
    and in this order; so a process that has heard no response when its parent is gone knows that its INVITE
    went nowhere, and asks the next parent for another ticket.  One that has heard a response ends the call:
    the edge that would have passed on the answer is no more.  Should a response be stuck in the process, the
    next parent has a leg of the call on record, which the edge writes down before it calls, and gives no
    ticket.
    """

    def __init__(
        self,
        order: CallOrder,
        leg: MediaLeg | None,
        engine: MediaEngine,
        link: ParentLink,
        clock: Callable[[], float],
    ) -> None:
        self.order = order
        self._engine = engine
        self._link = link
        self._clock = clock
        self._supplies = Supplies(lambda: self.order, link, clock)
        self._control = Control(self)
        self.line = LiveLine(order, leg, engine, self._file_ticket, self._leg_event)
        self._answered = False
        self._dialogs: dict[str, DialogUp] = {}
        """By SIP Call-ID."""
        self._ticket_of = 0
        """Which of the link's parents gave the ticket of an outgoing call's own leg; 0: none yet."""
        self._ticketed = asyncio.Event()
        self._interpreter: Interpreter | None = None
        self._replacement: Callflow | None = None
        """Takes the place of the callflow that has not begun yet."""
        self._stop_reason: asyncio.Future[_Stopped] = asyncio.get_running_loop().create_future()

    async def run(self) -> Ending:
        """The call from its INVITE to its end."""
        status: CallStatus | None
        try:
            ending = await self._ending()
            status = _status(ending, self._answered)
        except _NotPlaced as failure:
            ending = Ending(cause=Cause.STOPPED, reason=failure.reason)
            status = failure.status
        await self._control.close()
        if status is not None:
            self._link.tell(
                CallEnded(call_id=self.order.call_id, at=self._clock(), status=status, reason=ending.reason)
            )
        await self._supplies.settle()
        self._link.send(CallOver(call_id=self.order.call_id))
        return ending

    async def _ending(self) -> Ending:
        try:
            if self.order.outbound is not None:
                await self._place(self.order.outbound)
            return await self._run_flow(await self._get_flow())
        except CallGone as gone:
            return Ending(cause=Cause.CALLER_GONE, reason=gone.reason)
        except _Stopped as stopped:
            await self._refuse(503)
            return Ending(cause=Cause.STOPPED, reason=stopped.reason)
        except Unavailable as problem:
            await self._refuse(NO_FLOW_STATUS)
            return Ending(cause=Cause.STOPPED, reason=str(problem))
        except _NotPlaced:
            raise
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
        return self._supplies.recordings

    def stop(self, reason: str, *, wanted: bool = False) -> None:
        """Ends the call from outside: the node shuts down, or the call's owner `wanted` it."""
        if self._interpreter is not None:
            self._interpreter.stop(reason)
        elif not self._stop_reason.done():
            self._stop_reason.set_result(_Stopped(reason, wanted=wanted))

    def replace(self, flow: Callflow) -> None:
        """Goes on with another callflow, at once or as soon as one may begin."""
        if self._interpreter is not None:
            self._interpreter.replace(flow)
        else:
            self._replacement = flow

    async def do(self, command: Command) -> Outcome:
        """Does what the API wants of the call."""
        return await self._control.do(command)

    async def _place(self, first: FirstLeg) -> None:
        """Calls whom the order is for; returns once they have answered.  Raises _NotPlaced."""
        while True:
            calling = asyncio.create_task(self.line.call(first))
            lost = asyncio.create_task(self._edge_lost())
            deciding: list[asyncio.Future[Any]] = [calling, self._stop_reason]
            try:
                await asyncio.wait([*deciding, lost], return_when=asyncio.FIRST_COMPLETED)
                if lost.done():
                    # What had come before is perhaps still on its way from the media stack's thread.
                    await asyncio.wait(deciding, timeout=SETTLE_SECONDS)
                if calling.done() or (lost.done() and self.line.established):
                    await calling
                    return
                if self._stop_reason.done():
                    stopped = self._stop_reason.result()
                    raise _NotPlaced(
                        CallStatus.ENDED if stopped.wanted else CallStatus.FAILED, stopped.reason
                    )
                if self.line.progressed:
                    raise _NotPlaced(CallStatus.FAILED, NODE_LOST)
            except NotAnswered as refusal:
                reason = f"Not answered: {refusal.status} {refusal.reason}."
                raise _NotPlaced(_refused(refusal.status), reason) from None
            except ClaimVoid as void:
                log.warning("call %s is let go: %s", self.order.call_id, void)
                raise _NotPlaced(None, str(void)) from None
            except Unavailable as problem:
                raise _NotPlaced(CallStatus.FAILED, f"Not placed: {problem}") from None
            except CallGone as gone:
                raise _NotPlaced(CallStatus.FAILED, f"Not placed: {gone.reason}.") from None
            finally:
                calling.cancel()
                lost.cancel()
                await asyncio.gather(calling, lost, return_exceptions=True)
            log.info("call %s: the INVITE went nowhere, its edge is gone; once more", self.order.call_id)
            self._ticketed.clear()
            self.line = LiveLine(self.order, None, self._engine, self._file_ticket, self._leg_event)

    async def _edge_lost(self) -> None:
        """Returns once the parent is gone that gave the ticket, and its edge with it."""
        await self._ticketed.wait()
        await self._link.parted(self._ticket_of)

    async def _get_flow(self) -> Callflow:
        """The callflow to run.  Raises Unavailable when there is none, CallGone and _Stopped."""
        order = self.order
        if self._replacement is not None:
            return self._replacement
        if order.document is not None:
            return _parsed(order.document)
        if order.url is None:
            raise Unavailable("the order names neither a callflow nor a URL")
        await self.line.ring()
        try:
            return _parsed(await self._unless_stopped(self._supplies.fetch(order.url, {})))
        except Unavailable as problem:
            self._link.tell(
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

    async def _run_flow(self, flow: Callflow) -> Ending:
        if self._stop_reason.done():
            raise self._stop_reason.result()
        self._interpreter = Interpreter(
            self._replacement or flow,
            line=self.line,
            sounds=self._supplies,
            recordings=self._supplies,
            flows=self._supplies,
            diary=self,
            max_seconds=self.order.max_seconds,
            outgoing=self.order.outbound is not None,
        )
        return await self._interpreter.run()

    async def _unless_stopped(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(self.line.while_live(work))
        racing: list[asyncio.Future[Any]] = [task, self._stop_reason]
        try:
            await asyncio.wait(racing, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise self._stop_reason.result()
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _refuse(self, status: int) -> None:
        # Nobody left to refuse is as good.
        with contextlib.suppress(CallGone):
            if self.line.state is LineState.ANSWERED:
                await self.line.hangup()
                return
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
                    # A gateway that failed took the first id with it.
                    leg_id = event.headers.get("x-trunkflow-leg", self.order.leg_id)
                    self.order = replace(self.order, leg_id=leg_id)
                    self._link.tell(CallChanged(call_id=call_id, at=self._clock(), status=CallStatus.ONGOING))
            case Gone():
                self._dialogs.pop(event.sip_call_id, None)
                self._link.send(DialogDown(call_id=call_id, sip_call_id=event.sip_call_id))
                leg_id = self.order.leg_id if party is None else party.leg_id
                if event.media is not None and leg_id:
                    self._link.tell(_leg_media(leg_id, call_id, event.media))
            case _:
                pass

    async def _file_ticket(self, plan: DialPlan) -> Ticket:
        first = plan.leg_id == self.order.leg_id and not self._answered
        want = WantTicket(plan=plan, again=first and self._ticket_of > 0)
        ticket = (await self._link.ask(self.order.call_id, want)).ticket
        if ticket is None:
            raise Unavailable("the node gave no ticket to dial with")
        if first:
            self._ticket_of = self._link.parents
            self._ticketed.set()
        return ticket

    # -- Diary ---------------------------------------------------------------------------------

    def step_started(self, seq: int, step_id: str, action: str) -> None:
        call_id = self.order.call_id
        self._link.tell(
            StepStarted(call_id=call_id, at=self._clock(), seq=seq, step_id=step_id, action=action)
        )

    def step_finished(
        self, seq: int, step_id: str, action: str, outcome: str, detail: str, seconds: float
    ) -> None:
        self._link.tell(
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


class _Stopped(Exception):
    """The call was ended from outside before its callflow began."""

    def __init__(self, reason: str, *, wanted: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wanted = wanted


class _NotPlaced(Exception):
    """An outgoing call that nobody answered; without a status, how it ends is for another process to say."""

    def __init__(self, status: CallStatus | None, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def _refused(sip_status: int) -> CallStatus:
    """MessageBird's word for a call that was refused; that of its leg is the same."""
    if sip_status in (486, 600):
        return CallStatus.BUSY
    return CallStatus.NO_ANSWER if sip_status in (408, 480, 487) else CallStatus.FAILED


def _parsed(document: str) -> Callflow:
    try:
        return parse_document(document)
    except DocumentFaults as faults:
        raise Unavailable(f"the callflow is faulty: {faults}") from faults


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
    return CallStatus.NO_ANSWER if ending.cause is Cause.CALLER_GONE else _refused(ending.status or 0)
