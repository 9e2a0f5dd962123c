"""Caller, callee and whoever loses a POP, in a network namespace of their own.

Arguments: a file as for `edge_program`, with ``lost`` and ``commands`` beside.  Says ``port N`` (of the
callee), waits for a line, holds the drill and writes the report as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sip_config.model import Pop, Region
from voice.drill.laboratory import Address
from voice.drill.pop_loss import Plan, rehearse
from voice.drill.report import report_of
from voice.drill.traffic import Callee
from voice.edge.core.liveness import PopState
from voice.edge.settings import PopRelay
from voice.pop_states import read_states


class Namespaces:
    """The POPs are elsewhere; commands lose and restore one."""

    def __init__(self, place: dict[str, Any], folder: Path, callee: Callee) -> None:
        self.addresses: dict[str, Address] = {
            name: (host, port) for name, (host, port) in place["addresses"].items()
        }
        self.callee = callee
        self.caller_host: str = place["caller"]
        self._commands = place["commands"]
        self._folder = folder

    async def lose(self, pop: str) -> None:
        await self._run(self._commands["lose"])

    async def restore(self, pop: str) -> None:
        await self._run(self._commands["restore"])

    def believes(self, edge: str, pop: str) -> PopState | None:
        states = read_states(self._folder / f"{edge}.states", time.time())
        return None if states is None else PopState(states[pop]["state"])

    async def _run(self, commands: list[list[str]]) -> None:
        for command in commands:
            process = await asyncio.create_subprocess_exec(*command)
            if await process.wait() != 0:
                raise RuntimeError(f"{command} failed")


async def run(path: Path) -> None:
    place = json.loads(path.read_text())
    names = {host: name for name, (host, _) in place["addresses"].items()}
    callee = Callee(place["callee"][0], names.__getitem__)
    sys.stdout.write(f"port {callee.endpoint.port}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    pops = tuple(Pop(name=name, region=Region(region)) for name, region in place["pops"].items())
    plan = Plan(
        lost=next(pop for pop in pops if pop.name == place["lost"]),
        pops=pops,
        base_domain=place["base_domain"],
        blackhole_seconds=place["seconds"],
    )
    course = await rehearse(plan, Namespaces(place, path.parent, callee), lambda _: None)
    callee.endpoint.close()
    report = report_of(course, PopRelay().silence_seconds)
    sys.stdout.write(json.dumps({**asdict(report), "good": report.good}) + "\n")


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1])))
