"""What a machine that answers changes: the `ifMachine` of say and transfer (reference, section 2.3)."""

from __future__ import annotations

from callflows.endings import Cause, Ending
from callflows.model import IfMachine
from callflows.ports import Answerer
from callflows.steps.base import Call, Outcome, Word

QUIET_SECONDS = 1.5
"""An announcement is over after so much silence: longer than its pauses, and than a beep that follows."""
MACHINE_REASON = "A machine answered, and the callflow wants people only."

LONGEST_ANNOUNCEMENT = 60.0
"""Seconds; a machine that never falls silent is spoken to all the same."""


async def machine_stops(call: Call, policy: IfMachine, within: float) -> Outcome | None:
    """Returns how the step ends when a machine forbids it; None when the step may run, now."""
    if policy is IfMachine.CONTINUE or await call.answerer(within) is not Answerer.MACHINE:
        return None
    if policy is IfMachine.HANGUP:
        ending = Ending(cause=Cause.MACHINE, reason=MACHINE_REASON)
        return Outcome(word=Word.DONE, detail="a machine answered", ending=ending)
    await call.line.quiet(QUIET_SECONDS, LONGEST_ANNOUNCEMENT)
    return None
