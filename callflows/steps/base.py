"""What a step is: what the document said, and one coroutine that does it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Protocol

from callflows.endings import Ending
from callflows.kinds import Kind, Several
from callflows.ports import Line, Recordings
from callflows.sounds import Sound


class Need(StrEnum):
    """How far the caller's leg has to be before a step runs; the interpreter brings it there."""

    NOTHING = "nothing"
    UNANSWERED = "unanswered"
    """Nobody answered yet; where somebody did, the step is skipped."""
    EARLY_MEDIA = "early_media"
    """The caller hears us: early media, or an answered call."""
    ANSWERED = "answered"


class Word(StrEnum):
    """How a step went, in one word."""

    DONE = "done"
    ANSWERED = "answered"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    """The call ended before the step got anywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a step went."""

    word: Word
    detail: str = ""
    status: int | None = None
    """Final SIP status of a dial that nobody answered."""
    ending: Ending | None = None
    """Set when the call ends with this step."""


class Call(Protocol):
    """What a running step can use.

    Whatever it awaits raises `callflows.ports.CallGone` when the caller has gone and may be
    cancelled; a step undoes in `finally` what it began and lets both pass.
    """

    @property
    def line(self) -> Line: ...

    @property
    def recordings(self) -> Recordings: ...

    async def play(self, sound: Sound) -> None:
        """Gets the sound ready, unless it is, and plays it to the end.  Raises Unavailable."""
        ...

    def reached(self, outcome: Outcome) -> None:
        """From now on this is how the step went, should the call end before the step does."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(ABC):
    """One step of a callflow.

    A field of a subclass is an option of the document (`max_length` is ``maxLength``), required when
    it has no default; `options` says what values it takes.
    """

    action: ClassVar[str]
    options: ClassVar[Mapping[str, Kind[Any] | Several[Any]]]

    id: str
    """Unique in its callflow."""

    @property
    def needs(self) -> Need:
        return Need.NOTHING

    def sounds(self) -> tuple[Sound, ...]:
        """What it will play, in order, so that it can be made ready ahead of time."""
        return ()

    @abstractmethod
    async def run(self, call: Call) -> Outcome:
        """Raises CallGone, and Unavailable when what it needs could not be had."""
