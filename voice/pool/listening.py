"""What is made out of a leg's sound: who answered, and when it has fallen silent."""

from __future__ import annotations

import asyncio
import contextlib

from callflows.ports import Answerer
from voice.media.answering import AnswerDetector, EndOfGreeting
from voice.media.seam import MediaError, MediaLeg


async def who_answered(leg: MediaLeg, within: float) -> Answerer:
    """Listens until it is decided, for at most so many seconds.  Raises MediaError when the leg goes."""
    ear = leg.ear()
    detector = AnswerDetector(ear.rate, within)
    try:
        await ear.start()
        # The detector counts sound; should none come at all, the clock decides.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while True:
                    decided = detector.hear(await ear.heard())
                    if decided is not None:
                        return decided
        return detector.give_up()
    finally:
        with contextlib.suppress(MediaError):
            await ear.stop()


async def until_quiet(leg: MediaLeg, seconds: float, at_most: float) -> None:
    """Returns when the leg was silent for `seconds`, or a beep has ended, or after `at_most` seconds.

    Raises MediaError when the leg goes.
    """
    ear = leg.ear()
    ending = EndOfGreeting(ear.rate, seconds)
    try:
        await ear.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most):
                while not ending.hear(await ear.heard()):
                    pass
    finally:
        with contextlib.suppress(MediaError):
            await ear.stop()
