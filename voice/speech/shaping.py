"""Samples, as 32-bit floats between -1 and 1: trimmed, levelled, resampled, written.  For the worker only."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr

Samples = npt.NDArray[np.float32]

SPEECH_LEVEL = 10 ** (-20 / 20)
"""RMS of what is not silent: -20 dBFS, a little above what networks plan for (-26 dBov, ITU-T P.56)."""
PEAK = 10 ** (-1.5 / 20)
"""Never above: G.711 clips, and so does a mixer."""
SILENT = 10 ** (-50 / 20)
"""Below this level nothing is heard."""
MARGIN_SECONDS = 0.02
"""Left at both ends of a trim, for soft consonants."""


def silence(seconds: float, rate: int) -> Samples:
    return np.zeros(round(seconds * rate), np.float32)


def trimmed(samples: Samples, rate: int) -> Samples:
    """Without the silence before and after; empty when there is nothing else."""
    loud = np.flatnonzero(np.abs(samples) > SILENT)
    if loud.size == 0:
        return samples[:0]
    margin = round(MARGIN_SECONDS * rate)
    return samples[max(0, int(loud[0]) - margin) : int(loud[-1]) + 1 + margin]


def levelled(samples: Samples, rate: int) -> Samples:
    """At the level of speech, as far as the peaks allow."""
    frame = max(1, rate // 50)
    frames = samples[: samples.size // frame * frame].reshape(-1, frame)
    powers = np.mean(np.square(frames), axis=1)
    audible = powers[powers > SILENT**2]
    if audible.size == 0:
        return samples
    gain = min(SPEECH_LEVEL / float(np.sqrt(audible.mean())), PEAK / float(np.abs(samples).max()))
    return samples * np.float32(gain)


def resampled(samples: Samples, rate: int, wanted: int) -> Samples:
    if rate == wanted or samples.size == 0:
        return samples
    result: Samples = soxr.resample(samples, rate, wanted, quality="HQ")
    return result


def as_pcm(samples: Samples) -> bytes:
    """16-bit little-endian; what is no number is silence, what is too loud is cut off."""
    clean = np.clip(np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0), -1.0, 1.0)
    return (clean * 32767.0).round().astype("<i2").tobytes()


def open_wav(to: Path, rate: int) -> wave.Wave_write:
    """A 16-bit mono WAV file to write `as_pcm` to."""
    file = wave.open(str(to), "wb")  # noqa: SIM115 - the caller closes it
    file.setnchannels(1)
    file.setsampwidth(2)
    file.setframerate(rate)
    return file


def read_pcm(path: Path) -> tuple[Samples, int]:
    """The samples and rate of a 16-bit mono WAV file of our own making."""
    with wave.open(str(path), "rb") as file:
        data = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return data.astype(np.float32) / np.float32(32768), file.getframerate()
