"""Percentiles, and targets beside what was reached."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share (0 to 1) of all values do not exceed; nan when there are none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def mean(values: Sequence[float]) -> float:
    """nan when there are none."""
    return sum(values) / len(values) if values else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A figure and the most that it may be."""

    name: str
    value: float
    most: float
    unit: str

    @property
    def met(self) -> bool:
        return self.value <= self.most


def print_targets(targets: Sequence[Target]) -> None:
    print("\ntargets")
    for one in targets:
        verdict = "met" if one.met else "MISSED"
        print(f"  {one.name:<58} {one.value:8.2f} {one.unit:<2}   at most {one.most:g} {one.unit}: {verdict}")
