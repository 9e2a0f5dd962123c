"""`transfer`: connects the caller with another number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from callflows.addresses import CALLER_ID, TARGET
from callflows.kinds import Choice, Truth, Whole
from callflows.model import IfMachine
from callflows.ports import DialRequest, Sides
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
    record: Sides | None = None
    mask: bool = False
    """Show the number that was called instead of the caller's."""
    if_machine: IfMachine = IfMachine.CONTINUE
    """With ``hangup``, a machine that answers is hung up on, and the next step runs; ``delay`` is nothing."""
    machine_timeout: int = 7000
    """Milliseconds that finding out who answered may take."""

    action: ClassVar = "transfer"
    options: ClassVar = {
        "to": TARGET,
        "timeout": RING_SECONDS,
        "caller_id": CALLER_ID,
        "record": Choice(words=Sides),
        "mask": Truth(),
        "if_machine": Choice(words=IfMachine),
        "machine_timeout": Whole(minimum=400, maximum=10_000, unit="milliseconds"),
    }

    async def run(self, call: Call) -> Outcome:
        request = DialRequest(
            targets=(self.to,),
            serial=False,
            ring_seconds=self.timeout,
            caller_id=self.caller_id,
            mask=self.mask,
        )
        return await connect(call, request, record=self.record, people_within=self._people_within)

    @property
    def _people_within(self) -> float | None:
        # Whoever talks to a machine hears its announcement: there is nothing to delay.
        return self.machine_timeout / 1000 if self.if_machine is IfMachine.HANGUP else None
