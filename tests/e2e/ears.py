"""Listening to calls while they go on, and to what is left of them."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import numpy as np

from tests.audio import RATE, Samples, read_wav, tone_spans

PATIENCE_SECONDS = 20.0

CLEAR = 0.6
"""The least score (`tests.audio.Heard`) at which a prompt was heard.

Other words stay below 0.35.  Usual is above 0.9, but a busy machine may cost a call some packets.
"""
SEAMLESS = 0.7
"""Seconds of silence that a machine which stops for moments may put into a tone.

Whatever ends a stream ends it for good or until a new process is there, which takes longer.
"""

WAV_HEADER_BYTES = 44


async def hears(path: Path, hertz: float, seconds: float = 0.4, *, after: int = 0) -> int:
    """Waits until a telephone has recorded this tone for so long.

    Only sound beyond the first `after` samples counts; returns how many samples there are now, to be
    given as `after` when what comes from now on is of interest.
    """
    samples: Samples = np.zeros(0)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                samples = _growing(path)
                if _longest(samples[after:], hertz) >= seconds:
                    return samples.size
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(
            f"{hertz:g} Hz was not heard in the {(samples.size - after) / RATE:.1f} s of {path.name}"
        ) from None


async def heard_for(path: Path, seconds: float) -> None:
    """Waits until a telephone has recorded so much, whatever it is."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while _growing(path).size < seconds * RATE:
            await asyncio.sleep(0.05)


def longest_gap(path: Path, hertz: float) -> float:
    """Seconds of the longest silence within this tone, in a finished recording."""
    spans = tone_spans(read_wav(path), hertz)
    assert spans, f"{hertz:g} Hz does not sound in {path.name}"
    return max((later[0] - earlier[1] for earlier, later in pairwise(spans)), default=0.0)


def _longest(samples: Samples, hertz: float) -> float:
    return max((end - start for start, end in tone_spans(samples, hertz)), default=0.0)


def _growing(path: Path) -> Samples:
    """A 16-bit mono file whose header does not tell its length yet."""
    data = path.read_bytes()[WAV_HEADER_BYTES:] if path.exists() else b""
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2") / 32768.0
