"""Makes a thing once for all who ask for it at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from callflows.ports import Unavailable

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """The first to ask starts the work, in a task of its own; who asks meanwhile waits for the same task.

    A waiter that is cancelled leaves the task alone: others may wait for it, and its result is worth keeping.
    """

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Task[T]] = {}

    async def run(self, key: str, make: Callable[[], Awaitable[T]]) -> T:
        """The result of `make`, or of another's that runs under the same key.

        Raises what it raises, and Unavailable when `close` ended it.
        """
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.ensure_future(_awaited(make))
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._landed(key, done))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            waiter = asyncio.current_task()
            if task.cancelled() and waiter is not None and not waiter.cancelling():
                raise Unavailable("It was being made when the service shut down.") from None
            raise

    async def close(self) -> None:
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _landed(self, key: str, task: asyncio.Task[T]) -> None:
        del self._under_way[key]
        # Seen here, so that asyncio does not complain when every waiter was cancelled.
        if not task.cancelled():
            task.exception()


async def _awaited(make: Callable[[], Awaitable[T]]) -> T:
    return await make()
