"""Files made once and kept, up to so many bytes; the least recently used go first.

A file's name is the hash of all that went into it, so a file never changes: it appears whole, by
a rename, and it goes.  Several processes may share a directory; what one does not know of, it finds.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from callflows.ports import Unavailable

_NAME = re.compile(r"[0-9a-f]{64}\.[a-z]{1,8}")
_UNFINISHED = re.compile(r"[0-9a-f]{32}\.part(\.[a-z]{1,8})?")

SPARED_SECONDS = 30.0
"""A file handed out so lately is about to be opened, and stays."""
ABANDONED_SECONDS = 3600.0
"""An unfinished file this old belongs to a process that is gone."""
STAMP_SECONDS = 3600.0
"""How far the times of use on disk, for the next start, may be behind."""
BLOCK_BYTES = 4096
"""What a file takes at least: or millions of tiny ones would count as nothing."""


def file_name(suffix: str, *ingredients: str) -> str:
    """The name under which the file made of these is kept."""
    return sha256("\0".join(ingredients).encode(errors="surrogatepass")).hexdigest() + suffix


@dataclass(slots=True)
class _Entry:
    size: int
    """What it takes on the disk, in bytes."""
    used: float
    stamped: float


class DiskCache:
    """`open` and `keep` wait for the disk and are for threads; `find` is a quick look for the event loop."""

    def __init__(self, directory: Path, max_bytes: int, clock: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._clock = clock
        self._lock = threading.Lock()  # for the two below, never held while the disk is waited for
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # least recently used first
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """Of all files that are kept."""
        return self._bytes

    def open(self) -> None:
        """Makes the directory, learns what is in it, clears away what crashes left.  Raises OSError."""
        self._directory.mkdir(parents=True, exist_ok=True)
        found: list[tuple[float, str, int]] = []
        for entry in os.scandir(self._directory):
            with contextlib.suppress(FileNotFoundError):  # another process's cache at work
                status = entry.stat(follow_symlinks=False)
                if _NAME.fullmatch(entry.name) and _whole(Path(entry.path), status.st_size):
                    found.append((status.st_mtime, entry.name, status.st_size))
                elif _NAME.fullmatch(entry.name) or (
                    _UNFINISHED.fullmatch(entry.name) and status.st_mtime < self._clock() - ABANDONED_SECONDS
                ):
                    Path(entry.path).unlink()
        for used, name, size in sorted(found):
            self._enter(name, size, used)
        self._make_room()

    def unfinished(self, suffix: str = "") -> Path:
        """A path, on the same disk, to write a file to before it is kept."""
        return self._directory / f"{uuid.uuid4().hex}.part{suffix}"

    def find(self, name: str) -> tuple[Path, int] | None:
        """Path and size of a file that is kept; it is safe from removal for `SPARED_SECONDS`."""
        path = self._directory / name
        try:
            status = path.stat()
        except FileNotFoundError:
            self._forget(name)
            return None
        now = self._clock()
        with self._lock:
            known = self._entries.get(name)
            stale = known is None or now - known.stamped > STAMP_SECONDS
        self._enter(name, status.st_size, now, stamped=now if stale else None)
        if stale:
            with contextlib.suppress(FileNotFoundError):
                os.utime(path, (now, now))
        return path, status.st_size

    def keep(self, unfinished: Path, name: str) -> tuple[Path, int]:
        """Moves a finished file in, makes room.  Raises Unavailable at twice the space, all of it in use."""
        path = self._directory / name
        size = unfinished.stat().st_size
        if self._bytes + _on_disk(size) > 2 * self._max_bytes:
            raise Unavailable(
                "The cache of sounds is full of sounds that are being played. "
                "Raise cache.sound_bytes in the node's settings."
            )
        unfinished.rename(path)
        now = self._clock()
        self._enter(name, size, now, stamped=now)
        self._make_room()
        return path, size

    def _enter(self, name: str, size: int, used: float, stamped: float | None = None) -> None:
        with self._lock:
            entry = self._entries.get(name)
            if entry is None:
                entry = self._entries[name] = _Entry(0, used, used)
            self._bytes += _on_disk(size) - entry.size
            entry.size, entry.used = _on_disk(size), used
            if stamped is not None:
                entry.stamped = stamped
            self._entries.move_to_end(name)

    def _forget(self, name: str) -> None:
        with self._lock:
            if (entry := self._entries.pop(name, None)) is not None:
                self._bytes -= entry.size

    def _make_room(self) -> None:
        while (name := self._superfluous()) is not None:
            with contextlib.suppress(FileNotFoundError):
                (self._directory / name).unlink()

    def _superfluous(self) -> str | None:
        """Takes the next file to remove off the list; None when none has to go, or none may."""
        with self._lock:
            if self._bytes <= self._max_bytes or not self._entries:
                return None
            name, entry = next(iter(self._entries.items()))
            if entry.used > self._clock() - SPARED_SECONDS:
                return None
            del self._entries[name]
            self._bytes -= entry.size
            return name


def _on_disk(size: int) -> int:
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def _whole(path: Path, size: int) -> bool:
    """Whether a WAV file is as long as its header says: after a power failure it may not be."""
    if path.suffix != ".wav":
        return size > 0
    with path.open("rb") as file:
        head = file.read(8)
    return size > 44 and head[:4] == b"RIFF" and int.from_bytes(head[4:], "little") == size - 8
