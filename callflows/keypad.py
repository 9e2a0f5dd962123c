"""The keys that a caller presses, collected for the steps that hear them (reference, section 2.2)."""

from __future__ import annotations

import asyncio
from types import TracebackType

from callflows.ports import CallGone, Line
from callflows.steps.base import Step

BETWEEN_KEYS = 5.0
"""Seconds after a key in which the next one is waited for; then what was typed so far counts."""
MOST_WAITING = 128
"""Keys kept for a step that is not there yet; a caller who leans on the telephone fills no memory."""


class Keypad:
    """Listens from the beginning of a callflow to its end, so that no key falls between two steps.

    An asynchronous context.  Keys are what callers' secrets are made of: nothing here is ever logged.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._keys: asyncio.Queue[str] = asyncio.Queue(MOST_WAITING)
        self._listening = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Keypad:
        self._task = asyncio.create_task(self._listen())
        listening = asyncio.create_task(self._listening.wait())
        try:
            await asyncio.wait({listening, self._task}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self._stop()
            raise
        finally:
            listening.cancel()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def forget(self) -> None:
        """Drops what was pressed while no step heard keys."""
        while not self._keys.empty():
            self._keys.get_nowait()

    async def typed(self, step: Step, begun: asyncio.Event) -> str:
        """What the caller types for this step; sets `begun` at the first key.

        Waits for the first key without end.  The end key is no part of it; it is empty when only that was
        pressed.
        """
        keys = ""
        while True:
            try:
                async with asyncio.timeout(BETWEEN_KEYS if begun.is_set() else None):
                    key = await self._keys.get()
            except TimeoutError:
                return keys
            begun.set()
            if key == step.end_key:
                return keys
            keys += key
            if len(keys) >= step.max_num_keys:
                return keys

    async def _listen(self) -> None:
        try:
            async with self._line.digits() as digits:
                self._listening.set()
                async for digit in digits:
                    if not self._keys.full():
                        self._keys.put_nowait(digit)
        except CallGone:
            return  # The interpreter hears of it by itself.
