"""The call process's end of the local socket to its parent.

A parent may die and another take its place while a call goes on.  So what was asked stays asked
and what was told stays told until a parent has it: on a new connection the link says `Hello`, asks
all open questions again, tells again what no parent has said it keeps, and sends on what it could not send
before.  A record that an earlier parent kept, but did not say so in time, is told twice: the store folds
it into what it knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable

import msgspec

from callflows.ports import Unavailable
from voice.pool.wire import (
    Ask,
    FromParent,
    FromProcess,
    Got,
    Hello,
    Noted,
    Tell,
    Want,
    frame,
    read_from_parent,
    tell,
)
from voice.records import Record

log = logging.getLogger(__name__)

RECONNECT_SECONDS = 0.25
MAX_BACKLOG = 4_096
"""Messages kept for a parent that is away; a call tells a few dozen."""


class ClaimVoid(Unavailable):
    """An outgoing call was claimed anew, or is over: this process has nothing to do with it any more."""


class ParentLink:
    """Talks to whichever parent listens at `path`."""

    def __init__(self, path: str, hello: Callable[[], Hello], heard: Callable[[FromParent], None]) -> None:
        self._path = path
        self._hello = hello
        self._heard = heard
        self._writer: asyncio.StreamWriter | None = None
        self._backlog: deque[FromProcess] = deque(maxlen=MAX_BACKLOG)
        self._told: deque[Tell] = deque()
        """What no parent has said it keeps, the oldest first."""
        self._last_told = 0
        self._nothing_kept = asyncio.Event()
        self._nothing_kept.set()
        self._open: dict[int, tuple[Ask, asyncio.Future[Got]]] = {}
        self._last_id = 0
        self.orphaned_since: float | None = None
        """Loop time at which the parent was lost; None while there is one."""
        self.parents = 0
        """How many parents this process has had; 0 before the first."""
        self._parted = asyncio.Event()

    async def run(self) -> None:
        """Keeps the link up until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self._path)
            except OSError:
                if self.orphaned_since is None:
                    self.orphaned_since = loop.time()
            else:
                try:
                    self.orphaned_since = None
                    self._resume(writer)
                    await self._listen(reader)
                finally:
                    self._writer = None
                    self._parted.set()
                    self._parted = asyncio.Event()
                    self.orphaned_since = loop.time()
                    writer.close()
                    with contextlib.suppress(OSError):
                        await writer.wait_closed()
            # Also after a parent that hung up: one that cannot bear us must not be called without a pause.
            await asyncio.sleep(RECONNECT_SECONDS)

    def _resume(self, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(self._hello()))
        self._writer = writer
        self.parents += 1
        for ask, _ in self._open.values():
            writer.write(frame(ask))
        for message in self._told:
            writer.write(frame(message))
        while self._backlog:
            writer.write(frame(self._backlog.popleft()))
        self._look()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                message = await read_from_parent(reader)
                if isinstance(message, Got):
                    self._answered(message)
                elif isinstance(message, Noted):
                    self._noted(message)
                else:
                    self._heard(message)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        except msgspec.DecodeError as error:
            log.error("the parent said something that is no message: %s", error)

    def _answered(self, got: Got) -> None:
        _, future = self._open.get(got.id, (None, None))
        if future is not None and not future.done():
            future.set_result(got)

    def _noted(self, noted: Noted) -> None:
        while self._told and self._told[0].number <= noted.number:
            self._told.popleft()
        self._look()

    def _look(self) -> None:
        if not self._told and not self._backlog:
            self._nothing_kept.set()

    async def parted(self, parents: int) -> None:
        """Returns once that parent is gone which was the last when there had been so many of them."""
        while self.parents == parents and self._writer is not None:
            await self._parted.wait()

    def tell(self, record: Record) -> None:
        """Says what happened; kept, and told to each further parent, until one has it."""
        self._last_told += 1
        message = tell(record, self._last_told)
        if len(self._told) == MAX_BACKLOG:
            lost = self._told.popleft()
            log.error("a %s is lost: no parent took it, and %d came after it", lost.kind, MAX_BACKLOG)
        self._told.append(message)
        self._nothing_kept.clear()
        if self._writer is not None:
            self._writer.write(frame(message))

    def send(self, message: FromProcess) -> None:
        """At once, or when there is a parent again."""
        if self._writer is None:
            self._backlog.append(message)
            self._nothing_kept.clear()
        else:
            self._writer.write(frame(message))

    async def ask(self, call_id: str, want: Want) -> Got:
        """The parent's answer, however long a parent takes to come back.

        Raises Unavailable with its reason, and ClaimVoid.
        """
        self._last_id += 1
        ask = Ask(id=self._last_id, call_id=call_id, want=want)
        future: asyncio.Future[Got] = asyncio.get_running_loop().create_future()
        self._open[ask.id] = (ask, future)
        try:
            if self._writer is not None:
                self._writer.write(frame(ask))
            got = await future
        finally:
            del self._open[ask.id]
        if got.void:
            raise ClaimVoid(got.error or "")
        if got.error is not None:
            raise Unavailable(got.error)
        return got

    async def flush(self, patience: float) -> None:
        """Returns when a parent has all that was told, or nobody came for it in so many seconds."""
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(patience):
                await self._nothing_kept.wait()
                if self._writer is not None:
                    await self._writer.drain()
