"""What was measured on what: printed above every figure."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path


def described() -> str:
    """The machine, its system and the interpreter, in one line."""
    cpu = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} x {cpu}, {gibibytes:.0f} GiB, {platform.system()} {platform.release()},"
        f" CPython {sys.version.split()[0]}; load at the start {os.getloadavg()[0]:.2f}"
    )
