"""The documents in good/, bad/ and beyond_schema/, and the faults that the bad ones announce in comments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from callflows.faults import Fault

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

GOOD = sorted([*HERE.glob("good/*.xml"), *ROOT.glob("samples/callflows/*.xml")])
BAD = sorted(HERE.glob("bad/*.xml"))
BEYOND_SCHEMA = sorted(HERE.glob("beyond_schema/*.xml"))
"""Refused by the parser for what a grammar cannot count."""

_ANNOUNCED = re.compile(r"<!-- fault (\d+) (\S+): (.*?) -->")


@dataclass(frozen=True, slots=True)
class Announced:
    """A fault that a document says it has: the end of its element's path, a part of its text."""

    line: int
    element: str
    said: str

    def is_(self, fault: Fault) -> bool:
        return (
            fault.line == self.line
            and fault.element.endswith(self.element)
            and self.said in f"{fault.message} {fault.remedy}"
        )


def announced(path: Path) -> list[Announced]:
    found = _ANNOUNCED.findall(path.read_text(encoding="utf-8"))
    return [Announced(int(line), element, said) for line, element, said in found]
