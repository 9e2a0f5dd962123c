"""The parent's side of the zygote: starts it, asks it for forks, hears of deaths."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import sys
from typing import Any, Protocol

from voice.pool.callprocess import ProcessConfig

log = logging.getLogger(__name__)

START_SECONDS = 30.0
"""The zygote loads pjsua2, lxml and the callflows: about a second, longer on a cold disk."""

LEAVE_SECONDS = 3.0
"""How long a zygote that is let go may take after its last child."""


class ZygoteFailed(Exception):
    """The zygote did not start; its messages stand in the log."""


class Births(Protocol):
    """Hears what becomes of the forks that were asked for."""

    def forked(self, pid: int, rtp_port: int) -> None: ...

    def unforked(self, rtp_port: int, why: str) -> None:
        """There will be no process for these ports."""
        ...

    def exited(self, pid: int, how: str) -> None: ...

    def zygote_lost(self) -> None:
        """The zygote itself died."""
        ...


class Nursery:
    """Owns one zygote."""

    def __init__(self, config: ProcessConfig, births: Births) -> None:
        self._config = config
        self._births = births
        self._writer: asyncio.StreamWriter | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._listener: asyncio.Task[None] | None = None
        self._closing = False

    async def start(self) -> int:
        """Returns how many legs a call process carries.  Raises ZygoteFailed."""
        ours, theirs = socket.socketpair()
        with contextlib.ExitStack() as undo, theirs:
            undo.callback(ours.close)
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "voice.pool.zygote",
                str(theirs.fileno()),
                self._config.to_json(),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                # What outlives the parent must not hold its standard output open.
                stdout=sys.stderr.fileno(),
                # A session of its own: what a terminal sends is for the parent.
                start_new_session=True,
            )
            undo.pop_all()
        reader, self._writer = await asyncio.open_connection(sock=ours)
        try:
            legs = await _first_word(reader)
        except BaseException:
            await self.stop()
            raise
        self._listener = asyncio.create_task(self._listen(reader), name="zygote")
        return legs

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def fork(self, rtp_port: int) -> None:
        """Asks for a call process; `forked` is called when it exists."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(json.dumps({"fork": rtp_port}).encode() + b"\n")

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        # A zygote that is killed before it has read what it was asked resets the connection.
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                try:
                    self._hear(json.loads(line))
                except Exception:
                    log.exception("a bug in what follows %s", line)
        if self._writer is not None:
            self._writer.close()
        if not self._closing:
            log.error("the zygote died; a new one is started, calls in progress go on")
            self._births.zygote_lost()

    def _hear(self, message: dict[str, Any]) -> None:
        match message:
            case {"forked": pid, "rtp_port": rtp_port}:
                self._births.forked(pid, rtp_port)
            case {"unforked": rtp_port, "why": why}:
                self._births.unforked(rtp_port, why)
            case {"exited": pid, "how": how}:
                self._births.exited(pid, how)

    async def stop(self) -> None:
        """Lets the zygote go; it leaves after its last child, or is killed when that takes long."""
        self._closing = True
        if self._writer is not None:
            self._writer.close()
        if self._process is not None:
            try:
                async with asyncio.timeout(LEAVE_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._listener is not None:
            await self._listener


async def _first_word(reader: asyncio.StreamReader) -> int:
    line = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(START_SECONDS):
            line = await reader.readline()
    if not line:
        raise ZygoteFailed("The zygote of the call processes did not start: see its messages in the log.")
    legs: int = json.loads(line)["legs"]
    return legs
