"""The good caller, who has to be served whatever is done to the server meanwhile."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from voice.gauntlet.aim import Aim
from voice.gauntlet.attack import Failed
from voice.gauntlet.call import ANSWER_SECONDS, good_call
from voice.gauntlet.field import Field
from voice.gauntlet.reply import statuses
from voice.gauntlet.wire import Wire

CALL_EVERY: Final = 1.0
"""Seconds between two good calls."""


class GoodCaller:
    """Asks by OPTIONS every `every` seconds, and places a call each second when there is a number for it.

    `first`: seconds until it begins; `in_time` and `call_in_time`: how long it puts up with waiting.
    """

    def __init__(
        self,
        aim: Aim,
        *,
        first: float = 0.0,
        every: float = CALL_EVERY,
        in_time: float | None = None,
        call_in_time: float = ANSWER_SECONDS,
    ) -> None:
        self._ground = Field(aim, aim.probe_source)
        self._first = first
        self._every = every
        self._in_time = aim.patience if in_time is None else in_time
        self._call_in_time = call_in_time
        self._stopping = asyncio.Event()
        self.options: list[float] = []
        """Seconds that each OPTIONS took."""
        self.calls: list[float] = []

    def stop(self) -> None:
        """No more calls; the one that is under way is brought to its end."""
        self._stopping.set()

    async def work(self) -> None:
        """Goes on until `stop`.  Raises Failed when it is not served, Full when the server has no room."""
        try:
            if await self._pauses(self._first):
                return
            wire = await self._ground.wire()
            call_at = time.monotonic()
            while True:
                self.options.append(await self._asks(wire))
                if self._ground.aim.number is not None and time.monotonic() >= call_at:
                    call_at = time.monotonic() + CALL_EVERY
                    self.calls.append(await self._calls(wire))
                if await self._pauses(self._every):
                    return
        finally:
            self._ground.close()

    async def _pauses(self, seconds: float) -> bool:
        """Whether it is to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return False
        return True

    async def _asks(self, wire: Wire) -> float:
        ground = self._ground
        began = time.monotonic()
        replies = await ground.ask(wire, ground.request("OPTIONS", wire, f"sip:{ground.aim.domain}"))
        took = time.monotonic() - began
        if not replies or took > self._in_time:
            raise Failed(f"{statuses(replies)} after {took:.2f} s", "a good OPTIONS was not answered in time")
        return took

    async def _calls(self, wire: Wire) -> float:
        took = await good_call(self._ground, wire)
        if took > self._call_in_time:
            raise Failed(f"{took:.2f} s", "a good call was not let in in time")
        return took
