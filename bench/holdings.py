"""What a node holds at a moment: memory, descriptors, processes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench import procfs
from bench.figures import mean
from bench.nodes import BenchNode

LOOKED_AT: Final = 12
"""Processes of a kind whose memory is read at a time: reading it costs the kernel time."""

HEADING: Final = " parent MB  descr.  zygote MB  processes  busy  idle MB  busy MB    most"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """Memory in MB of 10^6 bytes."""

    parent_resident: float
    parent_private: float
    parent_descriptors: int
    zygote_resident: float
    processes: int
    busy: int
    idle_private: float
    """Mean of the idle processes looked at."""
    busy_private: float
    busy_private_most: float
    idle_descriptors: float

    def row(self) -> str:
        """Fits `HEADING`."""
        return (
            f"{self.parent_resident:10.1f} {self.parent_descriptors:7d} {self.zygote_resident:10.1f}"
            f" {self.processes:10d} {self.busy:5d} {self.idle_private:8.2f} {self.busy_private:8.2f}"
            f" {self.busy_private_most:7.2f}"
        )

    def sentence(self) -> str:
        return (
            f"parent {self.parent_resident:.1f} MB resident ({self.parent_private:.1f} private),"
            f" {self.parent_descriptors} descriptors; {self.processes} call processes of"
            f" {self.idle_private:.2f} MB private, {self.idle_descriptors:.1f} descriptors each"
        )


def holdings(node: BenchNode, *, idle: Holdings | None = None) -> Holdings:
    """A process with more descriptors than those of `idle` has a call."""
    processes = node.call_processes()
    most = math.inf if idle is None else round(idle.idle_descriptors)
    without = [one for one in processes if one.descriptors <= most]
    with_call = [one for one in processes if one.descriptors > most]
    parent = procfs.memory(node.pid)
    busy_private = _private([one.pid for one in with_call])
    return Holdings(
        parent_resident=parent.resident / 1e6,
        parent_private=parent.private / 1e6,
        parent_descriptors=procfs.descriptors(node.pid),
        zygote_resident=procfs.resident(node.zygote) / 1e6,
        processes=len(processes),
        busy=len(with_call),
        idle_private=mean(_private([one.pid for one in without])),
        busy_private=mean(busy_private),
        busy_private_most=max(busy_private, default=math.nan),
        idle_descriptors=mean([one.descriptors for one in without]),
    )


def _private(pids: Sequence[int]) -> list[float]:
    found = []
    for pid in pids[:LOOKED_AT]:
        try:
            found.append(procfs.memory(pid).private / 1e6)
        except ProcessLookupError:
            continue
    return found
