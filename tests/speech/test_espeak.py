"""Real speech from the real engine."""

from __future__ import annotations

import asyncio
import os
import signal
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from callflows.model import Silence, Utterance, Words
from callflows.ports import Unavailable
from tests.audio import Samples, listen, read_wav, rms
from voice.speech.espeak import EspeakEngine
from voice.speech.voices import LANGUAGES


@pytest.fixture
async def engine() -> AsyncIterator[EspeakEngine]:
    engine = EspeakEngine(job_seconds=10)
    await engine.start()
    yield engine
    await engine.close()


def utterance(*parts: Words | Silence | str, language: str = "en-GB", voice: str = "male") -> Utterance:
    words = tuple(Words(text=part) if isinstance(part, str) else part for part in parts)
    return Utterance(language=language, voice=voice, parts=words)


async def said(engine: EspeakEngine, what: Utterance, to: Path, rate: int = 8000) -> Samples:
    await engine.speak(what, sample_rate=rate, to=to)
    return read_wav(to, rate)


def active_seconds(samples: Samples) -> float:
    return sum(0.02 for start in range(0, samples.size, 160) if rms(samples[start : start + 160]) > 0.01)


async def test_a_sentence_is_a_wav_file_at_the_level_of_speech(engine: EspeakEngine, tmp_path: Path) -> None:
    samples = await said(engine, utterance("Welcome to the company. Please hold."), tmp_path / "a.wav")
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
    assert (tmp_path / "a.wav").stat().st_size == 44 + 2 * samples.size
    assert 1.5 < samples.size / 8000 < 5
    assert 0.05 < rms(samples) < 0.2
    assert 0.2 < float(abs(samples).max()) < 0.9


async def test_the_same_words_sound_the_same_and_other_words_do_not(
    engine: EspeakEngine, tmp_path: Path
) -> None:
    one = await said(engine, utterance("Your order has been sent."), tmp_path / "1.wav")
    again = await said(engine, utterance("Your order has been sent."), tmp_path / "2.wav")
    other = await said(engine, utterance("Nobody is here tonight."), tmp_path / "3.wav")
    # espeak-ng puts noise of its own into each utterance, so not the same to the sample.
    assert listen(again, one).score > 0.5
    assert listen(other, one).score < 0.4


async def test_every_language_speaks_with_both_voices(engine: EspeakEngine, tmp_path: Path) -> None:
    for tag in LANGUAGES:
        sounds = [
            await said(engine, utterance("Test 123, 456.", language=tag, voice=voice), tmp_path / "v.wav")
            for voice in ("male", "female")
        ]
        assert all(active_seconds(sound) > 0.5 for sound in sounds), tag
        assert listen(sounds[1], sounds[0]).score < 0.5, f"{tag}: male and female sound the same"


async def test_scripts_of_their_own_are_read(engine: EspeakEngine, tmp_path: Path) -> None:
    for tag, text in {
        "ru-RU": "Добро пожаловать", "el-GR": "Καλώς ήρθατε", "bg-BG": "Добре дошли", "ko-KR": "환영합니다",
        "ja-JP": "ようこそ", "zh-CN": "欢迎你们", "zh-HK": "歡迎你", "ta-IN": "வரவேற்பு", "th-TH": "ยินดีต้อนรับ",
        "vi-VN": "Chào mừng bạn",
    }.items():  # fmt: skip
        assert active_seconds(await said(engine, utterance(text, language=tag), tmp_path / "s.wav")) > 0.3, (
            tag
        )


async def test_rate_and_breaks(engine: EspeakEngine, tmp_path: Path) -> None:
    text = "one two three four five six seven eight"
    durations = [
        (await said(engine, utterance(Words(text=text, rate=rate)), tmp_path / "r.wav")).size / 8000
        for rate in (0.5, 1.0, 2.0)
    ]
    assert durations[0] > 1.6 * durations[1] > 2.4 * durations[2]

    close = await said(engine, utterance("one", "two"), tmp_path / "close.wav")
    apart = await said(engine, utterance("one", Silence(seconds=2.0), "two"), tmp_path / "apart.wav")
    gap = (apart.size - close.size) / 8000
    assert gap == pytest.approx(2.0 - 0.06, abs=0.02)
    only = await said(engine, utterance(Silence(seconds=1.0)), tmp_path / "only.wav")
    assert only.size == pytest.approx(1.15 * 8000, abs=2)
    assert rms(only) == 0


async def test_wideband(engine: EspeakEngine, tmp_path: Path) -> None:
    samples = await said(engine, utterance("Sixteen thousand samples."), tmp_path / "w.wav", 16_000)
    with wave.open(str(tmp_path / "w.wav")) as file:
        assert file.getframerate() == 16_000
    assert samples.size > 16_000


@pytest.mark.parametrize(
    "text",
    ["", "   ", "...", "-", "\u200b", "\x01 5p hello", "a\x00b", "\ud800", "😀", "[[h@loU]] <b>x</b>",
     "x" * 4000, "9" * 2000, "&amp;\r\n\t", "\\[x]" * 300],
)  # fmt: skip
async def test_odd_text_does_no_harm(engine: EspeakEngine, tmp_path: Path, text: str) -> None:
    pid = engine.worker_pid
    await said(engine, utterance(text), tmp_path / "odd.wav")
    assert engine.worker_pid == pid


async def test_what_can_never_be_spoken_is_refused_with_the_remedy(
    engine: EspeakEngine, tmp_path: Path
) -> None:
    with pytest.raises(Unavailable, match=r"no voice for the language 'tlh'.*en-GB.*zh-HK"):
        engine.check(utterance("nuqneH", language="tlh"))
    with pytest.raises(Unavailable, match="6000 characters is too long"):
        engine.check(utterance("x" * 3000, "x" * 3000))
    with pytest.raises(Unavailable, match="Breaks of 601 s"):
        engine.check(utterance(Silence(seconds=601)))
    short = EspeakEngine(max_seconds=1.0)
    try:
        with pytest.raises(Unavailable, match=r"would take \d+ s to say; 1 s is the most"):
            await said(short, utterance("This is longer than one second, surely."), tmp_path / "x.wav")
    finally:
        await short.close()


async def test_a_worker_killed_at_work_costs_one_request(engine: EspeakEngine, tmp_path: Path) -> None:
    pid = engine.worker_pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # so that the request is surely under way
    asking = asyncio.ensure_future(said(engine, utterance("Hello?"), tmp_path / "a.wav"))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(Unavailable, match="died at this job"):
        await asking
    assert (await said(engine, utterance("Hello again."), tmp_path / "a.wav")).size > 4000
    assert engine.worker_pid != pid


async def test_a_worker_killed_in_idleness_costs_nothing(engine: EspeakEngine, tmp_path: Path) -> None:
    pid = engine.worker_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while engine.worker_pid is not None:
        await asyncio.sleep(0.005)
    assert (await said(engine, utterance("Hello again."), tmp_path / "a.wav")).size > 4000


async def test_a_worker_that_hangs_is_ended_in_time(tmp_path: Path) -> None:
    engine = EspeakEngine(job_seconds=0.3)
    try:
        await engine.start()
        pid = engine.worker_pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(Unavailable, match=r"took longer than 0\.3 s"):
            await said(engine, utterance("Hello?"), tmp_path / "a.wav")
        assert not Path(f"/proc/{pid}").exists()
        assert engine.worker_pid is None
    finally:
        await engine.close()


async def test_a_cancelled_request_leaves_no_answer_for_the_next(
    engine: EspeakEngine, tmp_path: Path
) -> None:
    pid = engine.worker_pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    asking = asyncio.ensure_future(said(engine, utterance("First."), tmp_path / "1.wav"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await said(engine, utterance("Second."), tmp_path / "2.wav")
    assert not (tmp_path / "1.wav").exists()


async def test_the_queue_is_bounded(tmp_path: Path) -> None:
    engine = EspeakEngine(queue_limit=3)
    try:
        results = await asyncio.gather(
            *(engine.speak(utterance(f"{n}"), sample_rate=8000, to=tmp_path / f"{n}.wav") for n in range(5)),
            return_exceptions=True,
        )
    finally:
        await engine.close()
    refused = [result for result in results if result is not None]
    assert len(refused) == 2
    assert all(isinstance(one, Unavailable) and "3 jobs waiting" in str(one) for one in refused)


async def test_closing_ends_who_waits(tmp_path: Path) -> None:
    engine = EspeakEngine()
    await engine.start()
    pid = engine.worker_pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    asking = [
        asyncio.ensure_future(engine.speak(utterance(f"{n}"), sample_rate=8000, to=tmp_path / f"{n}.wav"))
        for n in range(3)
    ]
    await asyncio.sleep(0)
    await engine.close()
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)
    assert not Path(f"/proc/{pid}").exists()
