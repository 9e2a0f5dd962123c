"""A journal that tests read while it is being written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from voice.records import Record

PATIENCE_SECONDS = 20.0
"""How long a record is waited for before the test fails."""

R = TypeVar("R")


class Notes:
    """A `Journal` whose records can be waited for."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._more = asyncio.Event()

    def write(self, record: Record) -> None:
        self.records.append(record)
        self._more.set()

    def all(self, kind: type[R], fits: Callable[[R], bool] = lambda _: True) -> list[R]:
        """The records of a kind that fit, so far."""
        return [record for record in self.records if isinstance(record, kind) and fits(record)]

    async def first(self, kind: type[R], fits: Callable[[R], bool] = lambda _: True) -> R:
        """The first record of a kind that fits, waited for."""
        return (await self.some(1, kind, fits))[0]

    async def some(self, count: int, kind: type[R], fits: Callable[[R], bool] = lambda _: True) -> list[R]:
        """The records of a kind that fit, once there are so many."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while len(found := self.all(kind, fits)) < count:
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise AssertionError(f"not {count} fitting {kind.__name__} in {self.records}") from None
        return found
