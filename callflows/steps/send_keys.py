"""`sendKeys`: presses telephone keys for the other side to hear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from callflows.kinds import Matching, Whole
from callflows.steps.base import Call, Need, Outcome, Step, Word


@dataclass(frozen=True, slots=True, kw_only=True)
class SendKeys(Step):
    """Sends DTMF, one key after another; ``w`` waits half a second."""

    keys: str
    duration: int = 160
    """Milliseconds of each key."""
    interval: int = 80
    """Milliseconds between two keys."""

    action: ClassVar = "sendKeys"
    options: ClassVar = {
        "keys": Matching(
            pattern="[0-9*#A-Dw]{1,100}",
            longest=100,
            described="up to 100 keys: 0-9, *, #, A-D, or w to wait",
        ),
        "duration": Whole(minimum=40, maximum=2000, unit="milliseconds"),
        "interval": Whole(minimum=40, maximum=5000, unit="milliseconds"),
    }

    @property
    def needs(self) -> Need:
        return Need.ANSWERED

    async def run(self, call: Call) -> Outcome:
        await call.line.send_digits(
            self.keys, key_seconds=self.duration / 1000, gap_seconds=self.interval / 1000
        )
        # Which keys stays unsaid: they may be a password.
        return Outcome(word=Word.DONE, detail=f"{len(self.keys)} keys")
