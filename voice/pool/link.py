"""The call process's end of the local socket to its parent.

A parent may die and another take its place while a call goes on.  So what was asked stays asked
and what was told stays told until a parent has it: on a new connection the link says `Hello`, asks
all open questions again and sends on what it could not send before.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable

import msgspec

from callflows.ports import Unavailable
from voice.pool.wire import Ask, FromParent, FromProcess, Got, Hello, Want, frame, read_from_parent

log = logging.getLogger(__name__)

RECONNECT_SECONDS = 0.25
MAX_BACKLOG = 4_096
"""Messages kept for a parent that is away; a call tells a few dozen."""


class ParentLink:
    """Talks to whichever parent listens at `path`."""

    def __init__(self, path: str, hello: Callable[[], Hello], heard: Callable[[FromParent], None]) -> None:
        self._path = path
        self._hello = hello
        self._heard = heard
        self._writer: asyncio.StreamWriter | None = None
        self._backlog: deque[FromProcess] = deque(maxlen=MAX_BACKLOG)
        self._nothing_kept = asyncio.Event()
        self._nothing_kept.set()
        self._open: dict[int, tuple[Ask, asyncio.Future[Got]]] = {}
        self._last_id = 0
        self.orphaned_since: float | None = None
        """Loop time at which the parent was lost; None while there is one."""

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
                    self.orphaned_since = loop.time()
                    writer.close()
                    with contextlib.suppress(OSError):
                        await writer.wait_closed()
            # Also after a parent that hung up: one that cannot bear us must not be called without a pause.
            await asyncio.sleep(RECONNECT_SECONDS)

    def _resume(self, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(self._hello()))
        self._writer = writer
        for ask, _ in self._open.values():
            writer.write(frame(ask))
        while self._backlog:
            writer.write(frame(self._backlog.popleft()))
        self._nothing_kept.set()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                message = await read_from_parent(reader)
                if isinstance(message, Got):
                    self._answered(message)
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

    def send(self, message: FromProcess) -> None:
        """At once, or when there is a parent again."""
        if self._writer is None:
            self._backlog.append(message)
            self._nothing_kept.clear()
        else:
            self._writer.write(frame(message))

    async def ask(self, call_id: str, want: Want) -> Got:
        """The parent's answer, however long a parent takes to come back.

        Raises Unavailable with its reason.
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
        if got.error is not None:
            raise Unavailable(got.error)
        return got

    async def flush(self, patience: float) -> None:
        """Returns when what was told has left this process, or nobody came for it in so many seconds."""
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(patience):
                await self._nothing_kept.wait()
                if self._writer is not None:
                    await self._writer.drain()
