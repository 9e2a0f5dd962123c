"""What the kernel says of processes: CPU time, memory, descriptors, children.  Linux only."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICK: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuTime:
    """Seconds of user and system time together; the kernel counts in steps of 10 ms."""

    own: float
    reaped: float
    """Of the children that ended and were waited for, with theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes."""

    resident: int
    private: int
    """Pages that this process has written to and shares with nobody."""


def cpu_time(pid: int) -> CpuTime:
    """Raises ProcessLookupError when it is gone."""
    # The command, in parentheses, may hold blanks; the fields after it are counted from 3 (man 5 proc).
    fields = _read(pid, "stat").rpartition(")")[2].split()
    user, system, reaped_user, reaped_system = (int(fields[index]) for index in range(11, 15))
    return CpuTime(own=(user + system) / _TICK, reaped=(reaped_user + reaped_system) / _TICK)


def memory(pid: int) -> Memory:
    """Raises ProcessLookupError when it is gone."""
    kilobytes = dict.fromkeys(("Rss", "Private_Dirty"), 0)
    for line in _read(pid, "smaps_rollup").splitlines():
        name, _, value = line.partition(":")
        if name in kilobytes:
            kilobytes[name] = int(value.split()[0])
    return Memory(resident=kilobytes["Rss"] * 1024, private=kilobytes["Private_Dirty"] * 1024)


def resident(pid: int) -> int:
    """Bytes; much cheaper than `memory`.  Raises ProcessLookupError when it is gone."""
    return int(_read(pid, "statm").split()[1]) * _PAGE


def descriptors(pid: int) -> int:
    """How many are open.  Raises ProcessLookupError when it is gone."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None


def wakeups(pid: int) -> int:
    """How often its threads were put on a core so far.  Raises ProcessLookupError when it is gone."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
        return sum(int(Path(f"/proc/{pid}/task/{one}/schedstat").read_text().split()[2]) for one in threads)
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None


def children(pid: int) -> list[int]:
    """Raises ProcessLookupError when it is gone."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        lists = [Path(f"/proc/{pid}/task/{task}/children").read_text() for task in tasks]
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None
    return [int(child) for text in lists for child in text.split()]


def command_line(pid: int) -> str:
    """Raises ProcessLookupError when it is gone."""
    return _read(pid, "cmdline").replace("\0", " ")


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None
