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
        self._more = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            async with self._more:
                self.events.append(json.loads(line))
                self._more.notify_all()

    async def event(self, kind: str, **facts: object) -> dict[str, Any]:
        """The first event of this kind with these facts, waited for."""

        def found() -> dict[str, Any] | None:
            return next(
                (
                    event
                    for event in self.events
                    if event["event"] == kind and all(event.get(key) == value for key, value in facts.items())
                ),
                None,
            )

        async with self._more:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._more.wait_for(lambda: found() is not None)
            except TimeoutError:
                raise AssertionError(
                    f"no {kind} {facts} within {PATIENCE_SECONDS:g} s: {self.events}"
                ) from None
        event = found()
        assert event is not None
        return event

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
        sys.executable, "-m", "voice.media.pj.phone", *arguments, stdout=asyncio.subprocess.PIPE
    )
    one = Phone(process)
    try:
        yield one
    finally:
        await one.close()
