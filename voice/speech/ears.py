"""Ears: a prompt recognised in what was recorded of a call.

Sound that went through a call is delayed, quantised by G.711, cut into packets by two clocks that
differ, and now and then patched where a packet came late.  So speech is judged piece by piece, each
piece allowed to lie a little off, and to be torn once where a busy machine held the sound up.
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
STALL_SECONDS = 0.6
"""How far a piece is looked for that is not there: a machine with too much to do may stop for so long."""
TEARS = tuple(part / 8 for part in range(1, 8))
"""Where a piece that does not fit as a whole may be torn."""
RECOGNISED = 0.8
"""A `Heard.score` from here on is the prompt; other words stay below 0.35."""


def read_wav(path: Path | str, rate: int = RATE) -> Samples:
    """The first channel of a 16-bit WAV file between -1 and 1, resampled when it has another rate.

    A recording that is still being written is read as far as it goes.  Raises OSError, wave.Error and
    ValueError.
    """
    with wave.open(str(path), "rb") as file:
        if file.getsampwidth() != 2:
            raise ValueError(f"{path} is not 16-bit")
        data = file.readframes(file.getnframes())
        own_rate, channels = file.getframerate(), file.getnchannels()
    whole = len(data) // (2 * channels) * (2 * channels)
    samples = np.frombuffer(data[:whole], "<i2").reshape(-1, channels)[:, 0] / 32768.0
    return samples if own_rate == rate else np.asarray(soxr.resample(samples, own_rate, rate), np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """How well a prompt was found in a recording."""

    score: float
    """0.0 to 1.0: the correlation of its pieces, weighted by energy.

    Of the same file through a call above 0.9; of the same words spoken anew by espeak-ng below 0.9 (it
    puts noise of its own into each utterance: compare with the very file); of the same words by another
    voice below 0.5; of other words below 0.35.
    """
    at: float
    """Where it begins in the recording, in seconds."""
    pieces: tuple[float, ...]
    """The correlation of each piece that is not silent, in order: shows where sound was lost."""


def listen(recording: Samples, prompt: Samples, *, rate: int = RATE) -> Heard:
    """Looks for the prompt in the recording, wherever it lies."""
    length = round(PIECE_SECONDS * rate)
    pieces = {start: prompt[start : start + length] for start in range(0, prompt.size, length)}
    energies = {start: _energy(piece) for start, piece in pieces.items()}
    loudest = max(energies.values(), default=0.0)
    audible = [
        start
        for start, piece in pieces.items()
        if piece.size >= length // 2 and energies[start] > 0.02 * loudest
    ]
    if not audible:
        return Heard(score=0.0, at=0.0, pieces=())

    # One loud piece that is surely there says where the prompt lies; the others are looked for around there.
    loud = sorted(audible, key=energies.__getitem__)[-ANCHORS:]
    found = [(_best(recording, pieces[start], 0, recording.size), start) for start in loud]
    (at, _), anchor = max(found, key=lambda one: one[0][1])
    index = audible.index(anchor)
    scores: dict[int, float] = {}
    places: dict[int, int] = {}
    for direction in (audible[index:], audible[index::-1]):
        offset = at - anchor
        for start in direction:
            places[start], scores[start] = _near(recording, pieces[start], start + offset, rate)
            if scores[start] > 0.5:
                offset = places[start] - start
    score = sum(scores[start] * energies[start] for start in audible) / sum(
        energies[start] for start in audible
    )
    return Heard(
        score=max(0.0, score),
        at=places[audible[0]] / rate,
        pieces=tuple(scores[start] for start in audible),
    )


def _near(recording: Samples, piece: Samples, place: int, rate: int) -> tuple[int, float]:
    """Where around the place the piece lies, and how well it fits there, whole or torn once."""
    slack, stall = round(SLACK_SECONDS * rate), round(STALL_SECONDS * rate)
    found, score = _best(recording, piece, place - slack, place + slack)
    if score <= 0.5:
        found, score = max(
            (found, score), _best(recording, piece, place - stall, place + stall), key=lambda one: one[1]
        )
    if score > 0.9:
        return found, score
    return found, max(
        score, *(_torn(recording, piece, round(tear * piece.size), found, slack) for tear in TEARS)
    )


def _torn(recording: Samples, piece: Samples, tear: int, place: int, slack: int) -> float:
    """How well the piece fits when what follows the tear may lie elsewhere than what precedes it."""
    return sum(
        _best(recording, part, place + start - slack, place + start + slack)[1] * _energy(part)
        for start, part in ((0, piece[:tear]), (tear, piece[tear:]))
    ) / _energy(piece)


def _energy(samples: Samples) -> float:
    return float(np.sum(np.square(samples)))


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
    scale = np.sqrt(np.maximum(energies, 1e-9) * max(_energy(piece), 1e-9))
    correlations = products / scale
    best = int(np.argmax(correlations))
    return low + best, float(correlations[best])
