"""The parent's side of the zygote: starts it, asks it for forks, hears of deaths."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
from collections.abc import Callable

from voice.pool.callprocess import ProcessConfig

log = logging.getLogger(__name__)

START_SECONDS = 30.0
"""The zygote loads pjsua2, lxml and the callflows: about a second, longer on a cold disk."""


class ZygoteFailed(Exception):
    """The zygote did not start; its messages stand in the log."""


class Nursery:
    """Owns one zygote.

    `forked` is called with a pid and its first RTP port, `exited` with a pid and how it ended, `lost`
    when the zygote itself died.
    """

    def __init__(
        self,
        config: ProcessConfig,
        forked: Callable[[int, int], None],
        exited: Callable[[int, str], None],
        lost: Callable[[], None],
    ) -> None:
        self._config = config
        self._forked = forked
        self._exited = exited
        self._lost = lost
        self._writer: asyncio.StreamWriter | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._listener: asyncio.Task[None] | None = None
        self._closing = False

    async def start(self) -> int:
        """Returns how many legs a call process carries.  Raises ZygoteFailed."""
        ours, theirs = socket.socketpair()
        with theirs:
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
        reader, self._writer = await asyncio.open_connection(sock=ours)
        try:
            async with asyncio.timeout(START_SECONDS):
                line = await reader.readline()
        except TimeoutError:
            line = b""
        if not line:
            raise ZygoteFailed("the zygote did not start: see its messages above")
        self._listener = asyncio.create_task(self._listen(reader), name="zygote")
        legs: int = json.loads(line)["legs"]
        return legs

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def fork(self, rtp_port: int) -> None:
        """Asks for a call process; `forked` is called when it exists."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(json.dumps({"fork": rtp_port}).encode() + b"\n")

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            message = json.loads(line)
            if "forked" in message:
                self._forked(message["forked"], message["rtp_port"])
            else:
                self._exited(message["exited"], message["how"])
        if not self._closing:
            log.error("the zygote died; a new one is started, calls in progress go on")
            self._lost()

    async def stop(self) -> None:
        """Lets the zygote go; it leaves after its last child."""
        self._closing = True
        if self._writer is not None:
            self._writer.close()
        if self._process is not None:
            await self._process.wait()
        if self._listener is not None:
            await self._listener
