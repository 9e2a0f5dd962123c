"""What a test must not leave behind: open descriptors, threads, processes, files.

`Census.take()` notes what is there; `Census.extra(later)` says what came since.  Each is read from
the outside (``/proc``, `threading`, directories), so nothing has to be patched to be seen.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

RUN_MARK = "TRUNKFLOW_TEST_RUN"
"""Environment variable by which our own processes are known, forked, orphaned or not."""

# What libraries open once for the life of the process: devices, locale and time zone files, certificates.
_LIBRARY_FILES = ("/dev/", "/proc/", "/sys/", "/usr/", "/etc/", sys.prefix + "/", sys.base_prefix + "/")

# `multiprocessing` keeps one helper process per program, with a pipe to it.
_RESOURCE_TRACKER = b"multiprocessing.resource_tracker"

_MAY_APPEAR = {".venv", ".venv.lock", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".git"}


@dataclass(frozen=True, slots=True)
class Census:
    """What was there at one moment, each thing by a key that no later one shares, with words for people."""

    things: dict[tuple[str, str], str]

    def extra(self, later: Census) -> list[str]:
        return [words for key, words in later.things.items() if key not in self.things]


class CensusTaker:
    """Counts for one test session; remembers processes that are not ours, so that counting stays cheap."""

    def __init__(self, mark: str, root: Path) -> None:
        self._mark = f"{RUN_MARK}={mark}".encode()
        self._root = root
        self._not_ours: set[tuple[str, str]] = set()

    def take(self) -> Census:
        things: dict[tuple[str, str], str] = {}
        things.update(self._descriptors())
        things.update(self._threads())
        things.update(self._processes())
        things.update(self._files())
        return Census(things)

    def _descriptors(self) -> dict[tuple[str, str], str]:
        found: dict[tuple[str, str], str] = {}
        tracker = _tracker_descriptor()
        for number in os.listdir("/proc/self/fd"):
            try:
                target = str(Path(f"/proc/self/fd/{number}").readlink())
            except FileNotFoundError:  # the listing's own
                continue
            if target.startswith(_LIBRARY_FILES) or int(number) == tracker:
                continue
            found["descriptor", f"{number} {target}"] = f"descriptor {number}: {target}"
        return found

    def _threads(self) -> dict[tuple[str, str], str]:
        return {
            ("thread", f"{thread.ident} {thread.name}"): f"thread {thread.name!r}"
            for thread in threading.enumerate()
            if thread.is_alive()
        }

    def _processes(self) -> dict[tuple[str, str], str]:
        found: dict[tuple[str, str], str] = {}
        seen: set[tuple[str, str]] = set()
        own = str(os.getpid())
        for pid in os.listdir("/proc"):
            if not pid.isdigit() or pid == own:
                continue
            try:
                name, state, parent, started = _stat(pid)
                key = (pid, started)
                if key in self._not_ours:
                    seen.add(key)
                    continue
                marked = self._mark in Path(f"/proc/{pid}/environ").read_bytes()
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:  # ended meanwhile, or another user's
                continue
            # A zombie has no environment left; its parent tells whose it is.
            if (not marked and parent != own) or _RESOURCE_TRACKER in command:
                if not marked and state != "Z":
                    seen.add(key)
                continue
            words = command.replace(b"\0", b" ").decode(errors="replace").strip() or name
            found["process", f"{pid} {started}"] = f"process {pid} ({state}): {words[:200]}"
        self._not_ours = seen
        return found

    def _files(self) -> dict[tuple[str, str], str]:
        places = {
            "temporary file": Path(tempfile.gettempdir()),
            "file in the repository": self._root,
            "shared memory": Path("/dev/shm"),
        }
        found: dict[tuple[str, str], str] = {}
        for kind, folder in places.items():
            for name in os.listdir(folder) if folder.is_dir() else ():
                if kind == "file in the repository" and name in _MAY_APPEAR:
                    continue
                # Other programs of this machine have their shared memory too.
                if kind == "shared memory" and not name.startswith(("psm_", "trunkflow")):
                    continue
                found[kind, name] = f"{kind} {folder / name}"
        return found


def _stat(pid: str) -> tuple[str, str, str, str]:
    """Name, state, parent's pid and start time of a process."""
    text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    name = text[text.index("(") + 1 : text.rindex(")")]
    fields = text[text.rindex(")") + 2 :].split()
    return name, fields[0], fields[1], fields[19]


def _tracker_descriptor() -> int | None:
    tracker = sys.modules.get("multiprocessing.resource_tracker")
    descriptor = getattr(getattr(tracker, "_resource_tracker", None), "_fd", None)
    return descriptor if isinstance(descriptor, int) else None
