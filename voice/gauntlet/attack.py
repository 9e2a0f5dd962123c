"""What an attack is, and what can come of one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voice.gauntlet.field import Field


class Verdict(StrEnum):
    PASS = "pass"  # noqa: S105 - the name of a verdict
    FAIL = "fail"
    SKIP = "skip"


class Failed(Exception):
    """The server did what it should not; the text says what."""

    def __init__(self, came: str, reason: str) -> None:
        super().__init__(reason)
        self.came = came


class Skipped(Exception):
    """The attack cannot be made; the text says what it would need."""


class Full(Skipped):
    """A good caller finds the server full or the number busy: of the attack it says nothing either way."""


def told(fault: Failed | Skipped | OSError) -> str:
    """What kept a good caller from being served, in one phrase."""
    return f"{fault} ({fault.came})" if isinstance(fault, Failed) else str(fault) or "no end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One attack.  `run` returns what came when the server stood it, and raises when not."""

    family: str
    name: str
    expected: str
    run: Callable[[Field], Awaitable[str]]
    watched: bool = False
    """It has a good caller of its own, and says how they fared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A row of the table."""

    family: str
    attack: str
    expected: str
    came: str
    verdict: Verdict
    reason: str
    seconds: float


def judge(good: bool, came: str, reason: str) -> str:
    """What came when all is well.  Raises Failed with the reason otherwise."""
    if not good:
        raise Failed(came, reason)
    return came
