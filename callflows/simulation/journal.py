"""Writes down what happens on a simulated call, and keeps account of what is open."""

from __future__ import annotations

import asyncio
from collections import Counter

from callflows.endings import Ending
from callflows.ports import Recorded
from callflows.simulation.transcript import Event, Happening, RecordingRun, StepRun, Transcript


class SimulatedJournal:
    """The transcript while it is being written; a `callflows.ports.Diary`."""

    def __init__(self) -> None:
        self._began = asyncio.get_running_loop().time()
        self._happenings: list[Happening] = []
        self._outcomes: dict[str, str] = {}
        self._open: Counter[str] = Counter()
        self._steps: list[StepRun] = []
        self._placed: dict[str, tuple[str, float]] = {}
        self._recordings: list[RecordingRun] = []

    @property
    def now(self) -> float:
        """Seconds since the call came in."""
        return asyncio.get_running_loop().time() - self._began

    def note(self, event: Event, detail: str = "") -> None:
        self._happenings.append(Happening(at=round(self.now, 6), event=event, detail=detail))

    def opened(self, what: str) -> None:
        self._open[what] += 1

    def closed(self, what: str) -> None:
        self._open[what] -= 1

    def still_open(self) -> list[str]:
        return [what for what, count in self._open.items() if count]

    def step_started(self, seq: int, step_id: str, action: str) -> None:
        self.opened(f"step {step_id}")
        self.note(Event.STEP_STARTED, f"{seq} {step_id} ({action})")

    def step_finished(
        self, seq: int, step_id: str, action: str, outcome: str, detail: str, seconds: float
    ) -> None:
        self.closed(f"step {step_id}")
        self._outcomes[step_id] = outcome
        self._steps.append(
            StepRun(
                seq=seq,
                step_id=step_id,
                action=action,
                started=round(self.now - seconds, 6),
                seconds=round(seconds, 6),
                outcome=outcome,
                detail=detail,
            )
        )
        said = f"{outcome}: {detail}" if detail else outcome
        self.note(Event.STEP_FINISHED, f"{seq} {step_id} ({action}) {said}")

    def recording_placed(self, recording_id: str, kind: str) -> None:
        self.opened(recording_id)
        self._placed[recording_id] = kind, self.now

    def recording_done(self, recorded: Recorded, ok: bool) -> None:
        self.closed(recorded.id)
        kind, started = self._placed.pop(recorded.id)
        self._recordings.append(
            RecordingRun(id=recorded.id, kind=kind, started=started, seconds=recorded.seconds, ok=ok)
        )
        state = f"{recorded.seconds:.3f} s" if ok else "failed"
        self.note(Event.RECORDED, f"{recorded.id}, {state}")

    def transcript(self, ending: Ending) -> Transcript:
        return Transcript(
            happenings=tuple(self._happenings),
            outcomes=dict(self._outcomes),
            ending=ending,
            seconds=round(self.now, 6),
            steps=tuple(self._steps),
            recordings=tuple(self._recordings),
        )
