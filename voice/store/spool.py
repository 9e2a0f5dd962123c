"""Records on disk before they are in the database, so that a killed process loses none.

Each record is appended to a file the moment it is written down, with one system call: it is then the
system's, and survives the process, though not a power cut.  Once the database has the records of a file, the
file goes.  At the next start, what is left is written down again; records say what is, so that being told
twice changes nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

import msgspec

from voice.records import Record

log = logging.getLogger(__name__)

_SEGMENT_BYTES: Final = 4 << 20
_MOST_BYTES: Final = 256 << 20
"""Beyond it records are kept in memory only: the database has not taken any for long."""

_KINDS: Final[dict[str, type]] = {kind.__name__: kind for kind in get_args(Record)}
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(tuple[str, msgspec.Raw]).decode


@dataclass(slots=True)
class _Segment:
    path: Path
    last: int
    """Number of its last record."""
    size: int


class Spool:
    """A folder of segments, each a record per line: its kind and its fields.

    Records are numbered from 1, in the order of `add`.  Belongs to one process.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._segments: deque[_Segment] = deque()
        self._descriptor: int | None = None
        self._number = 0
        self._stored = 0
        self._bytes = 0
        self._complained = False

    def open(self) -> list[Record]:
        """What an earlier process left, oldest first; numbered as if they had been added now.

        Raises OSError.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found: list[Record] = []
        for path in sorted(self._folder.glob("*.spool")):
            content = path.read_bytes()
            found.extend(_records(content, path))
            self._segments.append(_Segment(path, len(found), len(content)))
            self._bytes += len(content)
        self._number = len(found)
        self._begin_segment()
        return found

    def add(self, record: Record) -> None:
        """Appends a record; never raises.  One that cannot be kept is in memory only, as without a spool."""
        self._number += 1
        if self._descriptor is None:
            return
        try:
            line = _encode((type(record).__name__, record)) + b"\n"
        except UnicodeEncodeError:
            # Text from outside that is no UTF-8: it travels as question marks.
            line = _encode((type(record).__name__, _clean(msgspec.to_builtins(record)))) + b"\n"
        if self._bytes > _MOST_BYTES:
            self._complain("it holds %d bytes that the database has not taken", self._bytes)
            return
        try:
            os.write(self._descriptor, line)
        except OSError as fault:
            self._complain("%s", fault)
            return
        segment = self._segments[-1]
        segment.last = self._number
        segment.size += len(line)
        self._bytes += len(line)
        if segment.size >= _SEGMENT_BYTES:
            self._begin_segment()

    def stored(self, count: int) -> None:
        """The next so many records are in the database, or were given up."""
        self._stored += count
        while len(self._segments) > 1 and self._segments[0].last <= self._stored:
            self._remove(self._segments.popleft())
        segment = self._segments[-1] if self._segments else None
        if segment is not None and self._stored >= self._number and segment.size and self._descriptor:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, 0)
                self._bytes -= segment.size
                segment.size = 0
                self._complained = False

    def close(self) -> None:
        """What the database has goes; what it has not stays for the next start."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        for segment in tuple(self._segments):
            if segment.last <= self._stored or not segment.size:
                self._remove(segment)
        self._segments.clear()

    def _begin_segment(self) -> None:
        after = 0
        if self._segments:
            after = int(self._segments[-1].path.stem) + 1
        path = self._folder / f"{after:012}.spool"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as fault:
            self._complain("%s", fault)
            return
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = descriptor
        self._segments.append(_Segment(path, self._number, 0))

    def _remove(self, segment: _Segment) -> None:
        self._bytes -= segment.size
        with contextlib.suppress(OSError):
            segment.path.unlink()

    def _complain(self, why: str, *details: object) -> None:
        if not self._complained:
            self._complained = True
            log.error("records are kept in memory only, and a crash would lose them: %s", why % details)


def _records(content: bytes, path: Path) -> list[Record]:
    found: list[Record] = []
    damaged = 0
    for line in content.split(b"\n"):
        if not line:
            continue
        try:
            kind, fields = _decode(line)
            found.append(msgspec.json.decode(fields, type=_KINDS[kind]))
        except (msgspec.DecodeError, KeyError):
            damaged += 1
    if damaged:
        log.error("%s: %d records are damaged and were passed over", path, damaged)
    return found


def _clean(value: object) -> object:
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case dict():
            return {key: _clean(one) for key, one in value.items()}
        case _:
            return value
