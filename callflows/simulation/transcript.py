"""What happened on a simulated call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from callflows.endings import Ending


class Event(StrEnum):
    """What can stand in a transcript."""

    STEP_STARTED = "step started"
    STEP_FINISHED = "step finished"
    RINGING = "ringing"
    EARLY_MEDIA = "early media"
    ANSWERED = "answered"
    PLAYING = "playing"
    PLAYED = "played"
    CUT_SHORT = "cut short"
    KEY = "key"
    RECORDING = "recording"
    RECORDED = "recorded"
    KEYS_SENT = "keys sent"
    FETCHED = "callflow fetched"
    TRANSCRIBED = "transcription asked for"
    DIALLED = "dialled"
    CALLEE_REFUSED = "callee refused"
    CALLEE_CANCELLED = "callee cancelled"
    CALLEE_ANSWERED = "callee answered"
    CALLEE_HUNG_UP = "callee hung up"
    CALLEE_RELEASED = "callee released"
    """Hung up by us."""
    REJECTED = "rejected"
    HUNG_UP = "hung up"
    """By us."""
    CALLER_HUNG_UP = "caller hung up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One thing that happened."""

    at: float
    """Seconds since the call came in."""
    event: Event
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.at:9.3f} s  {self.event}  {self.detail}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRun:
    """A step that was run; times are seconds since the call came in."""

    seq: int
    step_id: str
    action: str
    started: float
    seconds: float
    outcome: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRun:
    """A recording that was made."""

    id: str
    kind: str
    started: float
    seconds: float
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What happened on a simulated call, in order."""

    happenings: tuple[Happening, ...]
    outcomes: Mapping[str, str]
    """How each step went that was started, by its id: ``done``, ``busy``, ..."""
    ending: Ending
    seconds: float
    steps: tuple[StepRun, ...] = ()
    """In the order in which they ended."""
    recordings: tuple[RecordingRun, ...] = ()

    def times(self, event: Event) -> tuple[float, ...]:
        """When this happened."""
        return tuple(happening.at for happening in self.happenings if happening.event is event)

    def details(self, event: Event) -> tuple[str, ...]:
        """What was said each time this happened: of PLAYING the sounds, of DIALLED the targets."""
        return tuple(happening.detail for happening in self.happenings if happening.event is event)

    def __str__(self) -> str:
        lines = [str(happening) for happening in self.happenings]
        return "\n".join([*lines, f"{self.seconds:9.3f} s  {self.ending.cause}: {self.ending.reason}"])
