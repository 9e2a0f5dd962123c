"""Ears for tests: tones made and found, a prompt recognised in what was recorded of a call.

Sound that went through a call is delayed, quantised by G.711, cut into packets by two clocks that
differ, and now and then patched where a packet came late.  So tones are judged by their share of
the energy, and speech piece by piece, each piece allowed to lie a little off.
"""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr

Samples = npt.NDArray[np.float64]

RATE = 8000
PIECE_SECONDS = 0.4
"""Of a prompt, compared as one: long enough to be unmistakable, short enough that clocks do not matter."""
ANCHORS = 8
"""Loud pieces that are looked for everywhere, in case some of them were lost."""
SLACK_SECONDS = 0.08
"""How far a piece may lie from where the piece before it puts it: a jitter buffer skips whole packets."""


def read_wav(path: Path | str, rate: int = RATE) -> Samples:
    """The first channel of a 16-bit WAV file between -1 and 1, resampled when it has another rate.

    A recording that is still being written is read as far as it goes.
    """
    with wave.open(str(path), "rb") as file:
        assert file.getsampwidth() == 2, f"{path} is not 16-bit"
        data = file.readframes(file.getnframes())
        own_rate, channels = file.getframerate(), file.getnchannels()
    whole = len(data) // (2 * channels) * (2 * channels)
    samples = np.frombuffer(data[:whole], "<i2").reshape(-1, channels)[:, 0] / 32768.0
    return samples if own_rate == rate else np.asarray(soxr.resample(samples, own_rate, rate), np.float64)


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


def tone_seconds(samples: Samples, hertz: float, *, rate: int = RATE) -> float:
    """For how long this tone sounds in all."""
    return sum(end - start for start, end in tone_spans(samples, hertz, rate=rate))


def _goertzel(samples: Samples, hertz: float, rate: int) -> float:
    """The share of the energy at one frequency."""
    turns = np.exp(-2j * np.pi * hertz * np.arange(samples.size) / rate)
    energy = float(np.sum(np.square(samples)))
    return float(2 * np.abs(np.sum(samples * turns)) ** 2 / samples.size / energy) if energy else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """How well a prompt was found in a recording."""

    score: float
    """0.0 to 1.0: the correlation of its pieces, weighted by energy.

    Of the same file through a call above 0.9; of the same words spoken anew by espeak-ng 0.6 to 0.75 (it
    puts noise of its own into each utterance: compare with the very file); of other words below 0.35.
    """
    at: float
    """Where it begins in the recording, in seconds."""
    pieces: tuple[float, ...]
    """The correlation of each piece that is not silent, in order: shows where sound was lost."""


def listen(recording: Samples, prompt: Samples, *, rate: int = RATE) -> Heard:
    """Looks for the prompt in the recording, wherever it lies."""
    length = round(PIECE_SECONDS * rate)
    pieces = [(start, prompt[start : start + length]) for start in range(0, prompt.size, length)]
    loudest = max((float(np.sum(np.square(piece))) for _, piece in pieces), default=0.0)
    audible = [
        (start, piece)
        for start, piece in pieces
        if piece.size >= length // 2 and float(np.sum(np.square(piece))) > 0.02 * loudest
    ]
    if loudest == 0.0 or not audible:
        return Heard(score=0.0, at=0.0, pieces=())

    # One loud piece that is surely there says where the prompt lies; the others are looked for around there.
    loud = sorted(audible, key=lambda one: float(np.sum(np.square(one[1]))))[-ANCHORS:]
    anchors = [(_best(recording, piece, 0, recording.size), (start, piece)) for start, piece in loud]
    (at, _), anchor = max(anchors, key=lambda one: one[0][1])
    offset = at - anchor[0]
    slack = round(SLACK_SECONDS * rate)
    scores: dict[int, float] = {}
    places: dict[int, int] = {}
    index = [start for start, _ in audible].index(anchor[0])
    for direction in (audible[index:], audible[index::-1]):
        here = offset
        for start, piece in direction:
            place, score = _best(recording, piece, start + here - slack, start + here + slack)
            scores[start], places[start] = score, place - start
            if score > 0.5:
                here = place - start
    energies = {start: float(np.sum(np.square(piece))) for start, piece in audible}
    score = sum(scores[start] * energies[start] for start in scores) / sum(energies.values())
    first = min(places)
    return Heard(
        score=max(0.0, score), at=places[first] / rate, pieces=tuple(scores[start] for start, _ in audible)
    )


def _best(recording: Samples, piece: Samples, low: int, high: int) -> tuple[int, float]:
    """Where in low..high the piece correlates best, and how well (-1.0 to 1.0)."""
    low = max(0, low)
    stretch = recording[low : max(low, high) + piece.size]
    if stretch.size < piece.size:
        return low, 0.0
    size = 1 << (stretch.size + piece.size).bit_length()
    product = np.fft.irfft(np.fft.rfft(stretch, size) * np.conj(np.fft.rfft(piece, size)), size)
    products = product[: stretch.size - piece.size + 1]
    sums = np.concatenate(([0.0], np.cumsum(np.square(stretch))))
    energies = sums[piece.size :] - sums[: -piece.size]
    scale = np.sqrt(np.maximum(energies, 1e-9) * np.sum(np.square(piece)))
    correlations = products / scale
    best = int(np.argmax(correlations))
    return low + best, float(correlations[best])
