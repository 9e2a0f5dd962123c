"""`hangup`: refuses a call that nobody answered, with a SIP status; ends an answered one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from callflows.endings import Cause, Ending, phrase
from callflows.kinds import WordOrCode
from callflows.ports import LineState
from callflows.steps.base import Call, Outcome, Step, Word

REASONS = {
    "busy": 486,
    "rejected": 603,
    "unavailable": 480,
    "forbidden": 403,
    "notFound": 404,
    "gone": 410,
    "overloaded": 503,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hangup(Step):
    """Ends the call: refuses it with `reason` when nobody answered it, else says goodbye (BYE)."""

    reason: int = 603
    """SIP status; only an unanswered call can carry it."""

    action: ClassVar = "hangup"
    options: ClassVar = {
        "reason": WordOrCode(
            words=REASONS,
            # Not 401, 407: they ask for a password and would make the caller's side try again.
            pattern="400|40[2-6]|40[89]|4[1-9][0-9]|[56][0-9][0-9]",
            described="a SIP status from 400 to 699 (not 401, 407)",
        )
    }

    async def run(self, call: Call) -> Outcome:
        reason = f"The hangup step {self.id} ended the call."
        ending = Ending(cause=Cause.HANGUP_STEP, reason=reason, status=self.reason)
        refused = f"refused with {self.reason} {phrase(self.reason)}"
        detail = "" if call.line.state is LineState.ANSWERED else refused
        return Outcome(word=Word.DONE, detail=detail, ending=ending)
