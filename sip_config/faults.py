"""Faults of a configuration file: each with its place and its remedy, reported all together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

_LISTED: Final = 12
_QUOTED: Final = 60


class Unfit(ValueError):
    """A value cannot be used: one sentence says what is wrong with it, one what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message} {remedy}")
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong with a configuration, and what to do about it."""

    source: str
    """File name, or ``environment``."""
    line: int | None
    """Counts from 1."""
    key: str
    """Path of keys, such as ``accounts.acme.acls.office.networks[1]``; empty for the file as a whole."""
    message: str
    remedy: str

    def __str__(self) -> str:
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        key = f"{self.key}: " if self.key else ""
        return f"{place}: {key}{self.message} {self.remedy}"


class ConfigurationFaults(Exception):
    """A configuration is refused whole; `faults` holds everything that is wrong with it, by file and line."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: (fault.source, fault.line or 0)))
        super().__init__("\n".join(map(str, self.faults)))


def quoted(text: str) -> str:
    """Text from outside as it may stand in a message: on one line, and short."""
    short = text if len(text) <= _QUOTED else text[: _QUOTED - 1] + "…"
    return f"“{short}”" if short.isprintable() else ascii(short)


def listed(names: Iterable[str]) -> str:
    """Names for a sentence; a long list is cut and says so."""
    known = list(names)
    shown = ", ".join(known[:_LISTED])
    return shown if len(known) <= _LISTED else f"{shown} and {len(known) - _LISTED} more"


def meant(written: str, known: Sequence[str], what: str) -> str:
    """The remedy for a word that is not among those known: the nearest of them, else all of them.

    `what` names their kind in the plural, such as ``keys here``.
    """
    by_folded = {name.casefold(): name for name in known}
    near = get_close_matches(written[:_QUOTED].casefold(), list(by_folded), n=1, cutoff=0.7)
    if near:
        return f"Did you mean {by_folded[near[0]]}?"
    return f"The {what} are {listed(known)}." if known else f"There are no {what}: remove it."
