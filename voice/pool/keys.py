"""DTMF that the platform sends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from callflows.ports import Unavailable
from voice.media.seam import MediaError, MediaLeg

KEYS = "0123456789*#ABCD"

WAIT = "w"
WAIT_SECONDS = 0.5


async def send_keys(leg: MediaLeg, keys: str, key_seconds: float, gap_seconds: float) -> None:
    """Sends one key after another and returns when the last has ended; ``w`` waits half a second.

    Raises Unavailable for a key that does not exist, before anything is sent, and MediaError.
    """
    for key in keys:
        if key.upper() not in KEYS and key != WAIT:
            raise Unavailable(
                f"The key {key!r} does not exist: use 0 to 9, *, #, A to D, or w for half a second"
            )
    for key in keys:
        if key == WAIT:
            await asyncio.sleep(WAIT_SECONDS)
        else:
            await leg.send_digit(key.upper(), key_seconds)
            await asyncio.sleep(key_seconds + gap_seconds)


async def pass_on(digits: AsyncIterator[str], leg: MediaLeg) -> None:
    """Sends each digit that comes on to a leg."""
    async for digit in digits:
        await pass_on_one(leg, digit)


async def pass_on_one(leg: MediaLeg, digit: str) -> None:
    # A leg on hold or just gone takes no digit: that is no reason to end the call.
    with contextlib.suppress(MediaError):
        await leg.send_digit(digit)
