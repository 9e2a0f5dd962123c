"""The tone before a recording."""

from __future__ import annotations

import math
import wave
from array import array
from pathlib import Path

HERTZ = 1000
SECONDS = 0.3
LEVEL = 0.25
"""Of full scale: -12 dBFS, clear and not startling."""
FADE_SECONDS = 0.008
"""At both ends: an abrupt edge clicks."""


def write_beep(to: Path, sample_rate: int) -> None:
    count = round(SECONDS * sample_rate)
    fade = FADE_SECONDS * sample_rate
    samples = array("h")
    for index in range(count):
        edge = min(1.0, index / fade, (count - 1 - index) / fade)
        samples.append(round(32767 * LEVEL * edge * math.sin(2 * math.pi * HERTZ * index / sample_rate)))
    with to.open("wb") as raw, wave.open(raw, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(samples.tobytes())
