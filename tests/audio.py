"""Sounds for tests: tones made and found; `voice.speech.ears` recognises speech.

What went through a call is delayed, quantised and patched, so a tone is judged by its share of the energy.
"""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from voice.speech.ears import RATE, Heard, Samples, listen, read_wav

__all__ = [
    "ARRIVES",
    "RATE",
    "Heard",
    "Samples",
    "listen",
    "read_wav",
    "rms",
    "share_of_tone",
    "silence",
    "through_g711",
    "tone",
    "tone_seconds",
    "tone_spans",
    "write_wav",
]


ARRIVES = 0.5
"""The share of a tone's length that is heard at least after a call.

Nearly all is usual, but a machine that stops for moments costs a call some packets, and tests of what
sounds where are not to fail of that.  What comes through whole is judged where no clock is waited for.
"""


def write_wav(path: Path | str, samples: Samples, rate: int = RATE) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).round().astype("<i2").tobytes())
    return Path(path)


def tone(hertz: float, seconds: float, *, rate: int = RATE, level: float = 0.5) -> Samples:
    """A sine of this amplitude (1.0 is full scale)."""
    return np.asarray(level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate), np.float64)


def silence(seconds: float, *, rate: int = RATE) -> Samples:
    return np.zeros(round(seconds * rate))


def through_g711(samples: Samples) -> Samples:
    """What mu-law leaves of it (ITU-T G.711, its continuous form with 8 bits)."""
    mu = 255.0
    squeezed = np.sign(samples) * np.log1p(mu * np.abs(np.clip(samples, -1, 1))) / np.log1p(mu)
    coarse = np.round(squeezed * 127) / 127
    return np.asarray(np.sign(coarse) * np.expm1(np.abs(coarse) * np.log1p(mu)) / mu, np.float64)


def rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples)))) if samples.size else 0.0


def share_of_tone(samples: Samples, hertz: float, *, rate: int = RATE, width: float = 10.0) -> float:
    """How much of the energy lies within `width` Hz of this frequency: 0.0 to 1.0; 0.0 in silence."""
    spectrum = np.square(np.abs(np.fft.rfft(samples * np.hanning(samples.size))))
    frequencies = np.fft.rfftfreq(samples.size, 1 / rate)
    total = float(spectrum.sum())
    near = float(spectrum[np.abs(frequencies - hertz) <= max(width, 2.5 * rate / samples.size)].sum())
    return near / total if total > 0 else 0.0


def tone_spans(
    samples: Samples, hertz: float, *, rate: int = RATE, share: float = 0.8, quiet: float = 0.005
) -> list[tuple[float, float]]:
    """Where this tone sounds, as (start, end) in seconds, to 20 ms; shorter gaps than 60 ms are bridged.

    A stretch counts when the tone has `share` of its energy (Goertzel's filter) and its RMS exceeds `quiet`.
    """
    frame = round(0.04 * rate)
    step = frame // 2
    spans: list[tuple[float, float]] = []
    for start in range(0, samples.size - frame + 1, step):
        piece = samples[start : start + frame]
        if rms(piece) <= quiet or _goertzel(piece, hertz, rate) < share:
            continue
        begin, end = start / rate, (start + frame) / rate
        if spans and begin - spans[-1][1] < 0.06:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((begin, end))
    return spans


def tone_seconds(
    samples: Samples, hertz: float, *, rate: int = RATE, share: float = 0.8, quiet: float = 0.005
) -> float:
    """For how long this tone sounds in all; see `tone_spans`."""
    spans = tone_spans(samples, hertz, rate=rate, share=share, quiet=quiet)
    return sum(end - start for start, end in spans)


def _goertzel(samples: Samples, hertz: float, rate: int) -> float:
    """The share of the energy at one frequency."""
    turns = np.exp(-2j * np.pi * hertz * np.arange(samples.size) / rate)
    energy = float(np.sum(np.square(samples)))
    return float(2 * np.abs(np.sum(samples * turns)) ** 2 / samples.size / energy) if energy else 0.0
