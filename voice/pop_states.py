"""Which POPs a node believes to be alive, in a file of its data directory, for the command line.

The state of the moment is in the edge's memory; what asks for it may be another process.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from voice.edge.core.liveness import PopReport

log = logging.getLogger(__name__)

FILE: Final = "pops.json"
"""In the run directory."""
_LOOK_SECONDS: Final = 0.5
_WRITE_SECONDS: Final = 5.0
"""After which it is written again, changed or not: whoever reads it sees that the node lives."""
STALE_SECONDS: Final = 15.0
"""A file as old as this is of a node that is gone."""


async def keep_written(path: Path, reports: Callable[[], Iterable[PopReport]]) -> None:
    """Writes the file whenever something changes, until it is cancelled."""
    shown: list[dict[str, Any]] = []
    written = 0.0
    while True:
        found = [asdict(report) for report in reports()]
        changed = [_telling(one) for one in found] != [_telling(one) for one in shown]
        if changed or time.monotonic() - written >= _WRITE_SECONDS:
            shown, written = found, time.monotonic()
            try:
                _write(path, {"at": time.time(), "pops": found})
            except OSError as fault:
                log.warning("%s cannot be written: %s", path, fault.strerror)
        await asyncio.sleep(_LOOK_SECONDS)


def read_states(path: Path, now: float) -> dict[str, dict[str, Any]] | None:
    """What the node says of each POP, by name; None: no node that runs has said anything."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    if abs(now - content["at"]) > STALE_SECONDS:
        return None
    return {pop["name"]: pop for pop in content["pops"]}


def _telling(report: Mapping[str, Any]) -> tuple[object, ...]:
    """What of a report is news."""
    return report["name"], report["address"], report["state"]


def _write(path: Path, content: object) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(content))
    new.replace(path)
