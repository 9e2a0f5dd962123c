"""`transfer`: connects the caller with another number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from callflows.addresses import CALLER_ID, TARGET
from callflows.ports import DialRequest
from callflows.steps.base import Call, Outcome, Step
from callflows.steps.connecting import DEFAULT_RING_SECONDS, RING_SECONDS, connect


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Step):
    """Connects the caller with another number; the caller is answered when the callee answers."""

    to: str
    """E.164 number with ``+``, or SIP URI."""
    timeout: float = DEFAULT_RING_SECONDS
    """Seconds of ringing."""
    caller_id: str | None = None
    """E.164 number with ``+``; None shows the caller's own."""

    action: ClassVar = "transfer"
    options: ClassVar = {"to": TARGET, "timeout": RING_SECONDS, "caller_id": CALLER_ID}

    async def run(self, call: Call) -> Outcome:
        request = DialRequest(
            targets=(self.to,), serial=False, ring_seconds=self.timeout, caller_id=self.caller_id
        )
        return await connect(call, request)
