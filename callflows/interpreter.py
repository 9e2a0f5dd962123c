"""Runs a callflow on a call: step after step, until one of the causes in `callflows.endings` ends it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from callflows.build import Callflow
from callflows.endings import UNANSWERED, Cause, Ending, phrase
from callflows.ports import CallGone, Diary, Line, LineState, Recordings, Sounds, Unavailable
from callflows.prompts import Prompts
from callflows.sounds import Sound
from callflows.steps.base import Need, Outcome, Step, Word

log = logging.getLogger(__name__)

UNNOTICED = 0.1
"""Seconds that an unanswered caller waits for the first sound without hearing ringing."""
ANSWER_WITHIN = 1.0
"""Seconds by which making the first sound may delay the answer.  A sound that is ready follows the answer at
once; one that takes longer is waited for in the answered call."""


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
    ) -> None:
        """`max_seconds` counts from the start of `run`, ringing included."""
        self._flow = flow
        self._line = line
        self._recordings = recordings
        self._diary = diary
        self._max_seconds = max_seconds
        self._prompts = Prompts(sounds, [sound for step in flow.steps for sound in step.sounds()])
        self._ending: Ending | None = None
        self._decided = asyncio.Event()
        self._last_refusal: int | None = None

    def stop(self, reason: str) -> None:
        """Ends the call, at any time, for an operator or a node that shuts down; `reason` is a sentence."""
        self._decide(Ending(cause=Cause.STOPPED, reason=reason))

    async def run(self) -> Ending:
        """Runs the callflow to its end, and hangs up the caller."""
        too_long = Ending(
            cause=Cause.MAX_SECONDS,
            reason=f"The call reached the longest time a call may take, {self._max_seconds:g} seconds.",
        )
        limit = asyncio.get_running_loop().call_later(self._max_seconds, self._decide, too_long)
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
            limit.cancel()
        assert self._ending is not None
        await self._caught(partial(self._say_goodbye, self._ending))
        return self._ending

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
        self._decide(Ending(cause=Cause.CALLER_GONE, reason=await self._line.ended()))

    async def _run_steps(self) -> None:
        async with self._prompts:
            try:
                for seq, step in enumerate(self._flow.steps, start=1):
                    if self._ending:
                        return
                    outcome = await self._run_step(seq, step)
                    if outcome.ending:
                        self._decide(outcome.ending)
                        return
                    self._last_refusal = outcome.status or self._last_refusal
            except CallGone as gone:
                self._decide(Ending(cause=Cause.CALLER_GONE, reason=gone.reason))
                return
        self._decide(
            Ending(
                cause=Cause.END_OF_STEPS,
                reason="The callflow came to its end.",
                status=_relayed(self._last_refusal),
            )
        )

    async def _run_step(self, seq: int, step: Step) -> Outcome:
        """Runs a step and writes down how it went, however it ends."""
        clock = asyncio.get_running_loop()
        began = clock.time()
        call = RunningCall(self._line, self._recordings, self._prompts)
        self._diary.step_started(seq, step.id, step.action)
        outcome = Outcome(word=Word.FAILED, detail="internal error")
        try:
            if await self._provide(step):
                outcome = await step.run(call)
            else:
                outcome = Outcome(word=Word.SKIPPED, detail="the call was answered before")
        except Unavailable as problem:
            # The caller is better served by what comes next, a transfer or a recording, than by a dead line.
            outcome = Outcome(word=Word.FAILED, detail=str(problem))
        except CallGone as gone:
            outcome = call.cut_off(gone.reason)
            raise
        except asyncio.CancelledError:
            outcome = call.cut_off(self._ending.reason if self._ending else "the callflow was stopped")
            raise
        finally:
            self._diary.step_finished(
                seq, step.id, step.action, outcome.word.value, outcome.detail, clock.time() - began
            )
        return outcome

    async def _provide(self, step: Step) -> bool:
        """Brings the caller's leg where the step needs it; False when that cannot be."""
        state = self._line.state
        match step.needs:
            case Need.NOTHING:
                return True
            case Need.UNANSWERED:
                return state is not LineState.ANSWERED
            case Need.EARLY_MEDIA:
                if state is LineState.NEW:
                    await self._first_sound(step)
                    await self._line.early_media()
            case Need.ANSWERED:
                if state is not LineState.ANSWERED:
                    await self._first_sound(step)
                    await self._line.answer()
        return True

    async def _first_sound(self, step: Step) -> None:
        """Gives the step's first sound time to become ready, so that it follows the answer at once."""
        if step.sounds() and not await self._prompts.ready(UNNOTICED):
            await self._line.ring()
            await self._prompts.ready(ANSWER_WITHIN - UNNOTICED)

    async def _say_goodbye(self, ending: Ending) -> None:
        status = ending.status or UNANSWERED.get(ending.cause)
        try:
            match self._line.state:
                case LineState.NEW | LineState.EARLY if status:
                    await self._line.reject(status, phrase(status))
                case LineState.ENDED:
                    pass
                case _:
                    await self._line.hangup()
        except CallGone:
            # The caller was faster: there is nobody left to part from.
            return


class RunningCall:
    """What the interpreter lends to a step (`callflows.steps.base.Call`)."""

    def __init__(self, line: Line, recordings: Recordings, prompts: Prompts) -> None:
        self._line = line
        self._recordings = recordings
        self._prompts = prompts
        self._so_far: Outcome | None = None

    @property
    def line(self) -> Line:
        return self._line

    @property
    def recordings(self) -> Recordings:
        return self._recordings

    async def play(self, sound: Sound) -> None:
        await self._line.play(await self._prompts.take(sound))

    def reached(self, outcome: Outcome) -> None:
        self._so_far = outcome

    def cut_off(self, reason: str) -> Outcome:
        """How the step went when the call ended before it did."""
        if self._so_far is None:
            return Outcome(word=Word.CANCELLED, detail=reason)
        return Outcome(word=self._so_far.word, detail=f"{self._so_far.detail}; {reason}")


def _relayed(status: int | None) -> int | None:
    """The refusal of the last dial, as the caller may see it.

    A timeout is ours, not the caller's (RFC 3261 section 21.4.9), so it becomes 480; a challenge is
    for our gateway's password, not for the caller's.
    """
    if status in (401, 407, 408, 487):
        return 480
    return status if status is not None and 400 <= status <= 699 else None
