"""What a step is: what the document said, and one coroutine that does it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Protocol

from callflows.conditions import VARIABLE, ConditionKind
from callflows.endings import Ending
from callflows.kinds import Kind, Matching, Several, Whole
from callflows.model import Condition
from callflows.ports import Answerer, Flows, Line, Recordings
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
    document: str | None = None
    """Canonical XML of the callflow that goes on instead of this one."""


class Call(Protocol):
    """What a running step can use.

    Whatever it awaits raises `callflows.ports.CallGone` when the caller has gone and may be
    cancelled; a step undoes in `finally` what it began and lets both pass.
    """

    @property
    def line(self) -> Line: ...

    @property
    def recordings(self) -> Recordings: ...

    @property
    def flows(self) -> Flows: ...

    @property
    def variables(self) -> Mapping[str, str]: ...

    async def answer(self) -> None:
        """Answers the caller, if nothing did before; what records the whole call begins."""
        ...

    async def answerer(self, within: float) -> Answerer:
        """Who answered an outgoing call, found out once for a call; HUMAN for a caller."""
        ...

    async def play(self, sound: Sound) -> None:
        """Gets the sound ready, unless it is, and plays it to the end.  Raises Unavailable."""
        ...

    def reached(self, outcome: Outcome) -> None:
        """From now on this is how the step went, should the call end before the step does."""
        ...


STEP_ID = "[A-Za-z0-9_][A-Za-z0-9_.\\-]{0,63}"

COMMON: Mapping[str, Kind[Any] | Several[Any]] = {
    "condition": Several(each=ConditionKind(), at_most=20),
    "on_keypress_goto": Matching(pattern=STEP_ID, longest=64, described="the id of a step"),
    "on_keypress_var": Matching(
        pattern=VARIABLE,
        longest=64,
        described="the name of a variable: up to 64 letters, digits, _ . or -, not beginning with a digit",
    ),
    "end_key": Matching(pattern="[0-9*#A-D]", longest=1, described="one key: 0-9, *, # or A-D"),
    "max_num_keys": Whole(minimum=1, maximum=100),
}
"""Options that every step has (reference, section 2.2)."""


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
    condition: tuple[Condition, ...] = ()
    """The step is skipped unless all of these hold."""
    on_keypress_goto: str | None = None
    """The id of the step to go on with when the caller presses keys while this one runs."""
    on_keypress_var: str | None = None
    """The variable that the keys are kept in."""
    end_key: str | None = None
    """Ends what the caller types, and is not part of it."""
    max_num_keys: int = 1
    """So many keys end it as well."""

    @property
    def hears_keys(self) -> bool:
        return self.on_keypress_goto is not None or self.on_keypress_var is not None

    @property
    def needs(self) -> Need:
        return Need.NOTHING

    def sounds(self) -> tuple[Sound, ...]:
        """What it will play, in order, so that it can be made ready ahead of time."""
        return ()

    @abstractmethod
    async def run(self, call: Call) -> Outcome:
        """Raises CallGone, and Unavailable when what it needs could not be had."""
