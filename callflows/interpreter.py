"""Runs a callflow on a call: step after step, until one of the causes in `callflows.endings` ends it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from callflows.build import Callflow
from callflows.canonical import parse_document
from callflows.endings import UNANSWERED, Cause, Ending, phrase
from callflows.faults import DocumentFaults
from callflows.keypad import Keypad
from callflows.ports import CallGone, Diary, Flows, Line, LineState, Recordings, Sounds, Unavailable
from callflows.prompts import Prompts
from callflows.running import CallState, RunningCall
from callflows.steps.base import Need, Outcome, Step, Word

log = logging.getLogger(__name__)

UNNOTICED = 0.1
"""Seconds that an unanswered caller waits for the first sound without hearing ringing."""
ANSWER_WITHIN = 1.0
"""Seconds by which making the first sound may delay the answer.  A sound that is ready follows the answer at
once; one that takes longer is waited for in the answered call."""


MOST_STEPS_OF_A_CALL = 2_000
"""Jumps can go backwards: a callflow that goes round and round is ended."""


class _NoFlows:
    """For calls that have no way to fetch another callflow."""

    async def fetch(self, url: str, variables: Mapping[str, str]) -> str:
        raise Unavailable("This call has no way to fetch callflows.")

    async def finished(self, url: str, recording_id: str, variables: Mapping[str, str]) -> str:
        raise Unavailable("This call has no way to fetch callflows.")


NO_FLOWS = _NoFlows()


class Interpreter:
    """One call and its callflow.

    Causes race: the first to be decided is the ending, the running step is cancelled at once, and
    only then is the caller hung up.  A cancelled `run` stops the step and leaves the line as it is.
    """

    def __init__(
        self,
        flow: Callflow,
        *,
        line: Line,
        sounds: Sounds,
        recordings: Recordings,
        diary: Diary,
        max_seconds: float,
        flows: Flows = NO_FLOWS,
        variables: Mapping[str, str] | None = None,
        outgoing: bool = False,
    ) -> None:
        """`max_seconds` counts from the start of `run`, ringing included.

        `outgoing`: we placed the call, and `line` is who answered it.
        """
        self._flow = flow
        self._sounds = sounds
        self._diary = diary
        self._max_seconds = max_seconds
        self._call = CallState(line, recordings, flows, dict(variables or {}))
        self._call.outgoing = outgoing
        self._keypad = Keypad(line)
        self._ending: Ending | None = None
        self._decided = asyncio.Event()
        self._last_refusal: int | None = None
        self._seq = 0
        self._next_flow: Callflow | None = None
        self._replaced = asyncio.Event()
        self._began = 0.0
        self._longest = max_seconds
        self._timer: asyncio.TimerHandle | None = None

    def stop(self, reason: str) -> None:
        """Ends the call, at any time, for an operator or a node that shuts down; `reason` is a sentence."""
        self._decide(Ending(cause=Cause.STOPPED, reason=reason))

    def replace(self, flow: Callflow) -> None:
        """Goes on with another callflow, at once: the running step is cut off."""
        self._next_flow = flow
        self._replaced.set()

    async def run(self) -> Ending:
        """Runs the callflow to its end, and hangs up the caller."""
        self._began = asyncio.get_running_loop().time()
        self._limit(min(self._max_seconds, self._flow.max_duration or self._max_seconds))
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._caught(self._watch_caller)),
                    group.create_task(self._caught(self._run_steps)),
                ]
                await self._decided.wait()
                for task in tasks:
                    task.cancel()
        finally:
            if self._timer is not None:
                self._timer.cancel()
        assert self._ending is not None
        await self._caught(self._end_recording)
        await self._caught(partial(self._say_goodbye, self._ending))
        return self._ending

    def _limit(self, seconds: float) -> None:
        """Bounds the call, from the start of `run`; a callflow that follows may only shorten it."""
        if self._timer is not None:
            if seconds >= self._longest:
                return
            self._timer.cancel()
        self._longest = seconds
        reason = f"The call reached the longest time a call may take, {seconds:g} seconds."
        too_long = Ending(cause=Cause.MAX_SECONDS, reason=reason)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(self._began + seconds, self._decide, too_long)

    def _decide(self, ending: Ending) -> None:
        if self._ending is None:
            self._ending = ending
            self._decided.set()

    async def _caught(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """The one place where a bug of a step, or of what it uses, is caught: it ends this call only."""
        try:
            await work()
        except Exception:
            log.exception("a bug ended the call")
            self._decide(
                Ending(
                    cause=Cause.INTERNAL_ERROR,
                    reason="An internal error ended the call; the log of the node says more.",
                )
            )

    async def _watch_caller(self) -> None:
        self._decide(Ending(cause=Cause.CALLER_GONE, reason=await self._call.line.ended()))

    async def _run_steps(self) -> None:
        flow: Callflow | None = self._flow
        try:
            async with self._keypad:
                while flow is not None:
                    flow = await self._run_unless_replaced(flow)
        except CallGone as gone:
            self._decide(Ending(cause=Cause.CALLER_GONE, reason=gone.reason))

    async def _run_unless_replaced(self, flow: Callflow) -> Callflow | None:
        """Runs a callflow; returns the one to go on with, or None once the end is decided."""
        running = asyncio.create_task(self._run_flow(flow))
        replaced = asyncio.create_task(self._replaced.wait())
        try:
            await asyncio.wait({running, replaced}, return_when=asyncio.FIRST_COMPLETED)
            if not replaced.done():
                return running.result()
        finally:
            running.cancel()
            replaced.cancel()
            await asyncio.gather(running, replaced, return_exceptions=True)
        self._replaced.clear()
        return self._next_flow

    async def _run_flow(self, flow: Callflow) -> Callflow | None:
        self._call.record_all = self._call.record_all or flow.record
        if flow.max_duration is not None:
            self._limit(flow.max_duration)
        sounds = [sound for step in flow.steps for sound in step.sounds()]
        at: int = 0
        heard_keys = False
        async with Prompts(self._sounds, sounds) as prompts:
            await self._begin_recording()
            while at < len(flow.steps):
                step = flow.steps[at]
                if not heard_keys:
                    self._keypad.forget()
                outcome, goto = await self._run_step(step, prompts)
                if outcome.ending:
                    self._decide(outcome.ending)
                    return None
                if outcome.document is not None:
                    return self._parsed(outcome.document)
                self._last_refusal = outcome.status or self._last_refusal
                heard_keys = step.hears_keys and goto is None
                at = at + 1 if goto is None else _index(flow, goto)
        reason = "The callflow came to its end."
        status = _relayed(self._last_refusal)
        self._decide(Ending(cause=Cause.END_OF_STEPS, reason=reason, status=status))
        return None

    def _parsed(self, document: str) -> Callflow | None:
        try:
            return parse_document(document)
        except DocumentFaults as faults:
            self._decide(
                Ending(cause=Cause.NO_FLOW, reason=f"The callflow to go on with is faulty: {faults}")
            )
            return None

    async def _run_step(self, step: Step, prompts: Prompts) -> tuple[Outcome, str | None]:
        """Runs a step and writes down how it went, however it ends; and where to go on, if keys say so."""
        self._seq += 1
        seq = self._seq
        if seq > MOST_STEPS_OF_A_CALL:
            reason = f"The callflow went round and round: {MOST_STEPS_OF_A_CALL} steps were run."
            return Outcome(word=Word.FAILED, ending=Ending(cause=Cause.TOO_MANY_STEPS, reason=reason)), None
        clock = asyncio.get_running_loop()
        began = clock.time()
        call = RunningCall(self._call, prompts)
        self._diary.step_started(seq, step.id, step.action)
        outcome = Outcome(word=Word.FAILED, detail="internal error")
        goto: str | None = None
        try:
            if not all(condition.holds(self._call.variables) for condition in step.condition):
                outcome = Outcome(word=Word.SKIPPED, detail="a condition does not hold")
            elif not await self._provide(step, prompts):
                outcome = Outcome(word=Word.SKIPPED, detail="the call was answered before")
            elif step.hears_keys:
                outcome, goto = await self._run_hearing_keys(step, call)
            else:
                outcome = await step.run(call)
        except Unavailable as problem:
            # The caller is better served by what comes next, a transfer or a recording, than by a dead line.
            outcome = Outcome(word=Word.FAILED, detail=str(problem))
        except CallGone as gone:
            outcome = call.cut_off(gone.reason)
            raise
        except asyncio.CancelledError:
            outcome = call.cut_off(self._ending.reason if self._ending else "another callflow took over")
            raise
        finally:
            self._diary.step_finished(
                seq, step.id, step.action, outcome.word.value, outcome.detail, clock.time() - began
            )
        return outcome, goto

    async def _run_hearing_keys(self, step: Step, call: RunningCall) -> tuple[Outcome, str | None]:
        """Runs a step that keys may cut short.  Who has begun to type is waited for, also after its end."""
        begun = asyncio.Event()
        running = asyncio.create_task(step.run(call))
        typing = asyncio.create_task(self._keypad.typed(step, begun))
        try:
            await asyncio.wait({running, typing}, return_when=asyncio.FIRST_COMPLETED)
            if not typing.done():
                outcome = running.result()
                if not begun.is_set() or outcome.ending or outcome.document is not None:
                    return outcome, None
            keys = await typing
            if step.on_keypress_var is not None:
                self._call.variables[step.on_keypress_var] = keys
            if step.on_keypress_goto is None:
                return await running, None
            return Outcome(word=Word.DONE, detail="keys were pressed"), step.on_keypress_goto
        finally:
            running.cancel()
            typing.cancel()
            await asyncio.gather(running, typing, return_exceptions=True)

    async def _begin_recording(self) -> None:
        """A recording of everything that cannot begin is missed, the call goes on."""
        try:
            await self._call.begin_recording()
        except Unavailable as problem:
            log.warning("the call is not recorded: %s", problem)
            self._call.record_all = False

    async def _end_recording(self) -> None:
        try:
            await self._call.end_recording()
        except (Unavailable, CallGone) as problem:
            log.warning("the recording of the call was broken off: %s", problem)

    async def _provide(self, step: Step, prompts: Prompts) -> bool:
        """Brings the caller's leg where the step needs it; False when that cannot be."""
        line = self._call.line
        match step.needs:
            case Need.NOTHING:
                return True
            case Need.UNANSWERED:
                return line.state is not LineState.ANSWERED
            case Need.EARLY_MEDIA:
                if line.state is LineState.NEW:
                    await self._first_sound(step, prompts)
                    await line.early_media()
            case Need.ANSWERED:
                if line.state is not LineState.ANSWERED:
                    await self._first_sound(step, prompts)
                    await line.answer()
                    await self._begin_recording()
        return True

    async def _first_sound(self, step: Step, prompts: Prompts) -> None:
        """Gives the step's first sound time to become ready, so that it follows the answer at once."""
        if step.sounds() and not await prompts.ready(UNNOTICED):
            await self._call.line.ring()
            await prompts.ready(ANSWER_WITHIN - UNNOTICED)

    async def _say_goodbye(self, ending: Ending) -> None:
        status = ending.status or UNANSWERED.get(ending.cause)
        try:
            line = self._call.line
            match line.state:
                case LineState.NEW | LineState.EARLY if status:
                    await line.reject(status, phrase(status))
                case LineState.ENDED:
                    pass
                case _:
                    await line.hangup()
        except CallGone:
            # The caller was faster: there is nobody left to part from.
            return


def _index(flow: Callflow, step_id: str) -> int:
    return next(index for index, step in enumerate(flow.steps) if step.id == step_id)


def _relayed(status: int | None) -> int | None:
    """The refusal of the last dial, as the caller may see it.

    A timeout is ours, not the caller's (RFC 3261 section 21.4.9), so it becomes 480; a challenge is
    for our gateway's password, not for the caller's.
    """
    if status in (401, 407, 408, 487):
        return 480
    return status if status is not None and 400 <= status <= 699 else None
