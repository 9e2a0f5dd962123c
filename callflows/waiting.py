"""Waiting for the first of several things, and for what must not be left half done."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


async def first_of(*contenders: Coroutine[Any, Any, Result]) -> Result:
    """The result of the first to finish; of several at once, the first in order.

    The others are cancelled and have ended when this returns.  A contender that raises ends the race
    with its exception.
    """
    tasks = [asyncio.ensure_future(contender) for contender in contenders]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task in done).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def uninterrupted(work: Coroutine[Any, Any, Result]) -> Result:
    """Runs `work` to its end, also when cancelled meanwhile; the cancellation follows then.

    For short work that closes what a step opened.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    finally:
        result = await task
    return result
