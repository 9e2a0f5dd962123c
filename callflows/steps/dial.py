"""`dial`: rings several targets, at once or one after another, and connects the first to answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from callflows.addresses import CALLER_ID, TARGET
from callflows.kinds import Choice, Several
from callflows.ports import DialRequest
from callflows.steps.base import Call, Outcome, Step
from callflows.steps.connecting import DEFAULT_RING_SECONDS, RING_SECONDS, connect


class Mode(StrEnum):
    PARALLEL = "parallel"
    SERIAL = "serial"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial(Step):
    """Calls several numbers, at once or one after another, and connects the first to answer."""

    to: tuple[str, ...]
    """E.164 numbers with ``+``, or SIP URIs."""
    mode: Mode = Mode.PARALLEL
    timeout: float = DEFAULT_RING_SECONDS
    """Seconds of ringing: of each when serial, of all together when parallel."""
    caller_id: str | None = None
    """E.164 number with ``+``; None shows the caller's own."""

    action: ClassVar = "dial"
    options: ClassVar = {
        "to": Several(each=TARGET, at_most=10),
        "mode": Choice(words=Mode),
        "timeout": RING_SECONDS,
        "caller_id": CALLER_ID,
    }

    async def run(self, call: Call) -> Outcome:
        request = DialRequest(
            targets=self.to,
            serial=self.mode is Mode.SERIAL,
            ring_seconds=self.timeout,
            caller_id=self.caller_id,
        )
        return await connect(call, request)
