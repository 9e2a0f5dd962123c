"""The ears of the tests: they must hear what is there, and nothing that is not."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import soxr

from tests.audio import (
    RATE,
    Samples,
    listen,
    read_wav,
    rms,
    share_of_tone,
    silence,
    through_g711,
    tone,
    tone_seconds,
    tone_spans,
    write_wav,
)


def chatter(seconds: float, seed: int) -> Samples:
    """Something like speech: a voice of harmonics whose pitch and loudness wander, with pauses."""
    random = np.random.default_rng(seed)
    count = round(seconds * RATE)
    slow = np.interp(
        np.arange(count), np.arange(0, count + 800, 800), random.uniform(90, 220, count // 800 + 1)
    )
    phase = 2 * np.pi * np.cumsum(slow) / RATE
    weights = random.uniform(0.1, 1.0, (12, count // 1600 + 2))
    voice = sum(
        np.interp(np.arange(count), np.arange(weights.shape[1]) * 1600, weights[k]) * np.sin((k + 1) * phase)
        for k in range(12)
    )
    loud = np.interp(
        np.arange(count), np.arange(count // 2400 + 2) * 2400, random.uniform(0, 1, count // 2400 + 2)
    )
    return np.asarray(0.05 * voice * np.where(loud > 0.25, loud, 0), np.float64)


PROMPT = chatter(4.0, 1)


def test_a_tone_is_heard_through_g711_and_another_is_not() -> None:
    samples = through_g711(np.concatenate([silence(0.5), tone(440, 1.0, level=0.3), silence(0.5)]))
    assert share_of_tone(samples, 440) > 0.95
    assert share_of_tone(samples, 480) < 0.05
    assert tone_seconds(samples, 440) == pytest.approx(1.0, abs=0.06)
    assert tone_spans(samples, 440)[0][0] == pytest.approx(0.5, abs=0.04)
    assert tone_spans(samples, 1000) == []
    assert share_of_tone(silence(1.0), 440) == 0.0


def test_a_prompt_is_found_where_it_lies() -> None:
    heard = listen(np.concatenate([silence(1.234), PROMPT, silence(2)]), PROMPT)
    assert heard.score > 0.99
    assert heard.at == pytest.approx(1.234, abs=0.001)


def test_a_prompt_is_found_after_what_a_call_does_to_it() -> None:
    random = np.random.default_rng(5)
    # 200 ppm is a bad clock; 20 ms lost in the middle is a packet; the line hums at -50 dBFS.
    skewed = soxr.resample(PROMPT, 1_000_000, 1_000_200)
    cut = np.concatenate([skewed[:16_000], skewed[16_160:]])
    recording = np.concatenate([silence(0.8), through_g711(0.5 * cut), silence(0.5)])
    recording = recording + random.normal(0, 0.003, recording.size)
    heard = listen(recording, PROMPT)
    assert heard.score > 0.9
    assert heard.at == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("milliseconds", [20, 60, 120, 300])
def test_a_prompt_that_a_busy_machine_held_up_four_times_is_found(milliseconds: int) -> None:
    cuts = [0, 5_000, 13_000, 18_500, 25_200, PROMPT.size]
    parts = [PROMPT[start:end] for start, end in itertools.pairwise(cuts)]
    stalled = np.concatenate([piece for part in parts for piece in (part, silence(milliseconds / 1000))])
    heard = listen(np.concatenate([silence(0.5), through_g711(stalled), silence(1)]), PROMPT)
    assert heard.score > 0.9
    assert heard.at == pytest.approx(0.5, abs=0.01)


def test_another_voice_is_not_taken_for_it() -> None:
    assert listen(np.concatenate([silence(1), chatter(6.0, 2)]), PROMPT).score < 0.6
    assert listen(np.random.default_rng(3).normal(0, 0.1, 6 * RATE), PROMPT).score < 0.3
    assert listen(silence(6.0), PROMPT).score < 0.1
    assert listen(silence(0.1), PROMPT).score == 0.0
    assert listen(PROMPT, silence(1.0)).score == 0.0


def test_half_a_prompt_shows_in_its_pieces() -> None:
    heard = listen(np.concatenate([silence(0.5), PROMPT[: PROMPT.size // 2], silence(3)]), PROMPT)
    assert heard.score < 0.75
    half = len(heard.pieces) // 2
    assert min(heard.pieces[: half - 1]) > 0.95
    assert max(heard.pieces[half + 1 :]) < 0.5


def test_files_come_back_as_they_were(tmp_path: Path) -> None:
    samples = tone(1000, 0.5)
    assert np.allclose(read_wav(write_wav(tmp_path / "a.wav", samples)), samples, atol=1e-4)
    wide = read_wav(write_wav(tmp_path / "b.wav", tone(1000, 0.5, rate=16_000), 16_000))
    assert wide.size == samples.size
    assert rms(wide) == pytest.approx(rms(samples), rel=0.01)
