"""The ledger of limits in a file that all edges of a machine have mapped.

Locks of the system say who uses it: each process holds one for its cells as long as it lives, however it
ends, and so the others find out whose cells are left over.  One more lock makes a decision one step; whoever
waits for it too long (its holder was stopped) goes on without: cells are written by their owner alone, so
nothing breaks, and a limit is passed by one call for each other process at most.

The locks are those of open files (F_OFD_SETLK), not of processes: they do not end when some other
descriptor of the file is closed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from mmap import mmap
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import Final

from voice.edge.core.ledger import BYTES, HEADER_BYTES, MOST_PROCESSES, Ledger, day_of

PATIENCE_SECONDS: Final = 0.05
START_SECONDS: Final = 5.0
"""How long others wait while the table is made ready."""
_DISTRUST_SECONDS: Final = 0.001
_PAUSE_SECONDS: Final = 0.000_05
_FORMAT: Final = b"limits 1"
_FORMAT_AT: Final = 8
_IDENTITY_AT: Final = 128
_LOCKS_AT: Final = 1 << 40
"""Far beyond the end of the file: nobody locks those bytes for anything else."""
_DECISION: Final = _LOCKS_AT + MOST_PROCESSES
_LEADER: Final = _DECISION + 1
_FLOCK: Final = Struct("@hhqqi4x")


class LedgerUnusable(Exception):
    """The file cannot be used.  The message says why and what to do."""


class _Lock:
    """Held while several rows are looked at and changed."""

    __slots__ = ("_descriptor", "_give", "_held", "_patience", "_take", "_trusted", "given_up")

    def __init__(self, descriptor: int, patience: float) -> None:
        self._descriptor = descriptor
        self._patience = patience
        self._take = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _DECISION, 1, 0)
        self._give = _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, _DECISION, 1, 0)
        self._held = False
        self._trusted = True
        """False after waiting in vain: until the lock was free once, nobody waits for long again."""
        self.given_up = 0
        """How often somebody else held it for too long."""

    def __enter__(self) -> bool:
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, self._take)
            self._held = self._trusted = True
        except OSError:
            self._held = self._trusted = self._wait()
            if not self._held:
                self.given_up += 1
        return self._held

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._held:
            fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, self._give)

    def _wait(self) -> bool:
        until = time.monotonic() + (self._patience if self._trusted else _DISTRUST_SECONDS)
        while time.monotonic() < until:
            time.sleep(_PAUSE_SECONDS)
            if _locked(self._descriptor, _DECISION):
                return True
        return False


class LedgerFile:
    """An open file, as one process uses it.  `now` is the edge's clock, in seconds since the epoch."""

    def __init__(self, path: Path, now: float) -> None:
        """Raises LedgerUnusable."""
        self._path = path
        self._leads = False
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as fault:
            raise self._unusable(fault) from None
        try:
            self._memory, self._process = self._take_part(now)
        except OSError as fault:
            os.close(self._descriptor)
            raise self._unusable(fault) from None
        except LedgerUnusable:
            os.close(self._descriptor)
            raise

    def close(self) -> None:
        """Gives everything back that this process holds."""
        with self._lock:
            self.ledger.clear_process(self._process)
        self.ledger.close()
        self._memory.close()
        os.close(self._descriptor)

    @property
    def waits_given_up(self) -> int:
        """How often a decision was made without the lock."""
        return self._lock.given_up

    @property
    def identity(self) -> str:
        """Of the file: what its machine is called among others."""
        return self._memory[_IDENTITY_AT : _IDENTITY_AT + 16].hex()

    def leads(self) -> bool:
        """Whether this process is the one that speaks for all that share the file."""
        if not self._leads:
            self._leads = _locked(self._descriptor, _LEADER)
        return self._leads

    def tidy(self) -> list[int]:
        """Takes away what processes hold that are gone; returns which."""
        gone = []
        for process in range(MOST_PROCESSES):
            if process == self._process or not self.ledger.is_used(process):
                continue
            if not _locked(self._descriptor, _LOCKS_AT + process):
                continue
            try:
                with self._lock:
                    self.ledger.clear_process(process)
            finally:
                _unlock(self._descriptor, _LOCKS_AT + process)
            gone.append(process)
        return gone

    def _take_part(self, now: float) -> tuple[mmap, int]:
        with _Lock(self._descriptor, START_SECONDS):
            header = os.pread(self._descriptor, HEADER_BYTES, 0)
            if header.strip(b"\0") and header[_FORMAT_AT : _FORMAT_AT + len(_FORMAT)] != _FORMAT:
                raise LedgerUnusable(
                    f"{self._path} is no file of limits of this version: remove it while nobody uses it, or "
                    "choose another limits_file."
                )
            if os.fstat(self._descriptor).st_size < BYTES:
                # All of it, so that a full disk is noticed now, and not by a signal in the middle of a call.
                os.posix_fallocate(self._descriptor, 0, BYTES)
            memory = mmap(self._descriptor, BYTES)
            memory[_FORMAT_AT : _FORMAT_AT + len(_FORMAT)] = _FORMAT
            if not memory[_IDENTITY_AT : _IDENTITY_AT + 16].strip(b"\0"):
                memory[_IDENTITY_AT : _IDENTITY_AT + 16] = os.urandom(16)
            free = [one for one in range(MOST_PROCESSES) if _locked(self._descriptor, _LOCKS_AT + one)]
            if not free:
                memory.close()
                raise LedgerUnusable(
                    f"{MOST_PROCESSES} nodes of this machine share {self._path} already: give this one "
                    "another limits_file."
                )
            process = free[0]
            for other in free[1:]:
                _unlock(self._descriptor, _LOCKS_AT + other)
            self._lock = _Lock(self._descriptor, PATIENCE_SECONDS)
            self.ledger = Ledger(memory, process=process, lock=self._lock, shift=time.monotonic() - now)
            for one in free:
                if self.ledger.is_used(one):
                    self.ledger.clear_process(one)
            if len(free) == MOST_PROCESSES:
                self.ledger.clear_rows(day_of(now))
            self.ledger.enter()
        return memory, process

    def _unusable(self, fault: OSError) -> LedgerUnusable:
        return LedgerUnusable(
            f"The file of limits {self._path} cannot be used: {fault.strerror}. Correct its permissions or "
            "make room, or choose another limits_file."
        )


def _locked(descriptor: int, at: int) -> bool:
    """Takes a lock, if nobody has it."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, at, 1, 0))
    except OSError as fault:
        if fault.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _unlock(descriptor: int, at: int) -> None:
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, at, 1, 0))
