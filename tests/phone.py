"""The telephone of `voice.media.pj.phone` in a process of its own, driven by tests."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

PATIENCE_SECONDS = 20.0
"""How long an event is waited for before the test fails."""


class Phone:
    """One telephone; its events are kept in order."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.events: list[dict[str, Any]] = []
        self._over = False
        self._more = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            async with self._more:
                self.events.append(json.loads(line))
                self._more.notify_all()
        async with self._more:
            self._over = True
            self._more.notify_all()

    def heard(self, kind: str, **facts: object) -> list[dict[str, Any]]:
        """The events of this kind with these facts, so far."""
        return [
            event
            for event in self.events
            if event["event"] == kind and all(event.get(key) == value for key, value in facts.items())
        ]

    async def event(self, kind: str, nth: int = 1, **facts: object) -> dict[str, Any]:
        """The first event of this kind with these facts, or a later one, waited for."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), self._more:
                await self._more.wait_for(lambda: self._over or len(self.heard(kind, **facts)) >= nth)
        except TimeoutError:
            pass
        found = self.heard(kind, **facts)
        assert len(found) >= nth, f"no {kind} {facts}: {self.events}"
        return found[nth - 1]

    async def do(self, *order: str) -> None:
        """Gives it a command, such as ``hangup``."""
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(order).encode() + b"\n")
        await self._process.stdin.drain()

    async def address(self) -> str:
        """``host:port`` of its SIP socket."""
        address: str = (await self.event("ready"))["address"]
        return address

    async def ended(self) -> int:
        """Waits until the telephone is done; the status of the call's final response."""
        status: int = (await self.event("ended"))["status"]
        await self._process.wait()
        return status

    async def close(self) -> None:
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()
        await self._reader


@asynccontextmanager
async def phone(*arguments: str) -> AsyncIterator[Phone]:
    """A telephone with these command-line arguments; see `voice.media.pj.phone`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "voice.media.pj.phone",
        *arguments,
        "--obey",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    one = Phone(process)
    try:
        yield one
    finally:
        await one.close()
