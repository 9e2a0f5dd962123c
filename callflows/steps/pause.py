"""`pause`: waits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import ClassVar

from callflows.kinds import Number
from callflows.steps.base import Call, Outcome, Step, Word


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause(Step):
    """Waits.  A caller whom nobody has answered hears ringing meanwhile."""

    length: float
    """Seconds."""

    action: ClassVar = "pause"
    options: ClassVar = {"length": Number(minimum=0.1, maximum=3600, unit="seconds")}

    async def run(self, call: Call) -> Outcome:
        await call.line.ring()
        await asyncio.sleep(self.length)
        return Outcome(word=Word.DONE)
