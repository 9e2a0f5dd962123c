"""The parts of a callflow that more than one step shares.

Each step's own dataclass stands in its file under `callflows.steps`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Text spoken at one speed; `rate` 1.0 is the voice's own, from 0.5 to 2.0."""

    text: str
    rate: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A break between words, in seconds."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """What a `say` step speaks."""

    language: str
    """BCP 47 tag, such as ``en-GB``; compared without case."""
    voice: str
    """``male`` or ``female``: a preference."""
    parts: tuple[Words | Silence, ...]


class Operator(StrEnum):
    """How a condition compares; both sides are texts."""

    EQUAL = "=="
    UNEQUAL = "!="


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What has to be true of a variable for a step to run (reference, section 2.2)."""

    variable: str
    operator: Operator
    value: str

    def holds(self, variables: Mapping[str, str]) -> bool:
        """A variable that nobody set is an empty text."""
        same = variables.get(self.variable, "") == self.value
        return same if self.operator is Operator.EQUAL else not same


class IfMachine(StrEnum):
    """What becomes of a step when a machine answered (reference, section 2.3)."""

    CONTINUE = "continue"
    """The step runs, whoever answered."""
    DELAY = "delay"
    """The step waits for the end of the machine's announcement."""
    HANGUP = "hangup"
    """The call is ended."""
