"""What is wrong with a callflow document: all of it, at once."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

_QUOTED = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong with a document, and what to do about it."""

    line: int
    """Counts from 1; for an element the line on which its start tag ends; 0 in JSON, which has pointers."""
    element: str
    """Where it stands: an XPath such as ``/callflow/steps/step[2]/timeout``, or a JSON pointer such as
    ``/steps/1/options/timeout``."""
    message: str
    remedy: str

    def __str__(self) -> str:
        where = [f"line {self.line}"] if self.line else []
        where += [self.element] if self.element else []
        return (
            f"{', '.join(where)}: {self.message} {self.remedy}" if where else f"{self.message} {self.remedy}"
        )


class DocumentFaults(Exception):
    """The document is refused whole.  `faults` holds every fault that was found, by line."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: fault.line))
        super().__init__("\n".join(str(fault) for fault in self.faults))


def quoted(text: str) -> str:
    """Text from outside as it may stand in a message: on one line, and short."""
    short = text if len(text) <= _QUOTED else text[: _QUOTED - 1] + "…"
    return ascii(short) if any(not sign.isprintable() for sign in short) else f"“{short}”"


def those_that_exist(what: str, wrong: str, existing: tuple[str, ...]) -> str:
    """The remedy for a name that does not exist: the nearest one, and all there are."""
    if not existing:
        return f"There are no {what} here: remove it."
    near = get_close_matches(wrong[:_QUOTED].lower(), [name.lower() for name in existing], n=1)
    meant = next((name for name in existing if near and name.lower() == near[0]), None)
    hint = f"Did you mean {meant}? " if meant else ""
    return f"{hint}The {what} that exist here: {', '.join(existing)}."
