"""Fuzzes the whole edge for a bounded time: the core without sockets, or an edge on real ones.

    python -m bench.fuzz_edge core [--seconds 60] [--seed 1] [--keep DIR]
    python -m bench.fuzz_edge wire [--seconds 60] [--seed 1] [--rate 400]

core: bytes decide what callers, carriers and a call process send to the proxy, changed how and when, and
what is lost (`bench.fuzz_core`).  After each input the core must have met no bug, all that it sent must
parse and go to nobody's inside, and every so often all must end, nothing stay, and a good call go through.
A seed chooses the bytes; `bench.fuzz_atheris` lets coverage choose them.

wire: changed messages and garbage by UDP and TCP, from many addresses of loopback, against an edge on
sockets, while a good caller places a call every second.  Memory, descriptors, tasks and transactions are
looked at before and after.

Exit status: 0 nothing was found.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import logging
import os
import random
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

from bench import procfs
from bench.fuzz_core import Stage
from bench.fuzz_wire import fuzz_wire

log = logging.getLogger(__name__)

GOOD_CALL_EVERY: Final = 10
LARGEST: Final = 400
"""Bytes of an input."""
_WARM: Final = 100
"""Rounds before memory is compared: caches fill."""
_MAY_GROW: Final = 8 * 2**20
_VARIES: Final = re.compile("[0-9a-f]{8,}|[0-9]+")
"""Of a fault's text: what says nothing of its kind."""


class Core:
    """Executes inputs, each on a stage with digest or without, and counts."""

    def __init__(self, keep: Path | None) -> None:
        self._keep = keep
        self._stages = [Stage(digest=digest) for digest in (False, True)]
        self._rounds = 0
        self._first: tuple[Counter[str], int] | None = None
        self._last: tuple[Counter[str], int] = (Counter(), 0)
        self.executions = 0
        self.packets = 0
        self.found: dict[str, bytes] = {}

    def execute(self, data: bytes) -> None:
        self.executions += 1
        stage = self._stages[self.executions % 2]
        try:
            stage.run(data)
            stage.settle()
            if self.executions % GOOD_CALL_EVERY < len(self._stages):
                stage.good_call()
                stage.settle()
                self._look()
        except Exception as fault:
            self._note(fault, stage, data)
            self._stages[self.executions % 2] = Stage(digest=stage.digest)

    def grown(self) -> str | None:
        """What stayed in memory, when something did."""
        if self._first is None:
            return None
        objects, resident = self._first
        more = self._last[0] - objects
        if more:
            return f"objects stay: {dict(more)}"
        if self._last[1] - resident > _MAY_GROW:
            return f"{(self._last[1] - resident) / 2**20:.1f} MB more than before"
        return None

    def figures(self) -> str:
        packets = self.packets + sum(stage.sent for stage in self._stages)
        memory = "" if self._first is None else f", RSS {self._first[1] >> 20} -> {self._last[1] >> 20} MB"
        return f"{self.executions} executions, {packets} messages, {len(self.found)} found{memory}"

    def _look(self) -> None:
        self._rounds += 1
        if self._rounds % _WARM == 0:
            alive: Counter[str] = Counter()
            for stage in self._stages:
                stage.settle()
                alive = stage.alive()
            self._last = alive, procfs.resident(os.getpid())
            self._first = self._first or self._last

    def _note(self, fault: Exception, stage: Stage, data: bytes) -> None:
        """Keeps one input for each kind of fault."""
        self.packets += stage.sent
        kind = _VARIES.sub("#", f"{type(fault).__name__}: {fault}")[:120]
        if kind in self.found:
            return
        self.found[kind] = data
        log.error("found by %s", data.hex(), exc_info=fault)
        if self._keep is not None:
            self._keep.mkdir(parents=True, exist_ok=True)
            (self._keep / f"{hashlib.sha256(data).hexdigest()[:12]}.bin").write_bytes(data)


def fuzz_core(options: argparse.Namespace) -> int:
    core = Core(options.keep)
    until = time.monotonic() + options.seconds
    source = random.Random(options.seed)
    while time.monotonic() < until:
        core.execute(source.randbytes(source.randint(10, LARGEST)))
    return report(core)


def report(core: Core) -> int:
    """Prints what came; the exit status."""
    print(core.figures(), flush=True)
    for kind in core.found:
        print(f"  found: {kind}")
    grown = core.grown()
    if grown:
        print(f"  not flat: {grown}")
    return 1 if core.found or grown else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz_edge", description=__doc__.partition("\n")[0])
    parser.add_argument("mode", choices=("core", "wire"))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a directory for inputs that found something")
    parser.add_argument("--rate", type=int, default=400, help="wire: messages per second")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    if options.mode == "core":
        return fuzz_core(options)
    return asyncio.run(fuzz_wire(options.seconds, options.seed, options.rate))


if __name__ == "__main__":
    sys.exit(main())
