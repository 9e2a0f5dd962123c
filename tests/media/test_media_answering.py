"""Who answered: the detector alone, and over SIP and RTP with speech that a telephone plays."""

from __future__ import annotations

import array
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from callflows.model import Utterance, Words
from callflows.ports import Answerer
from tests.audio import RATE, Samples, read_wav, silence, through_g711, tone, write_wav
from tests.media.conftest import Stage
from voice.media.answering import AnswerDetector, EndOfGreeting
from voice.speech.espeak import EspeakEngine

HELLO = "Yes, Jan speaking."
GREETING = "Hello, you have reached Jan Smith. I can not come to the phone. Leave a message after the tone."


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("voices")


class Say:
    """Speaks a text once and keeps it."""

    def __init__(self, directory: Path) -> None:
        self.engine = EspeakEngine()
        self._directory = directory

    async def __call__(self, text: str, voice: str = "male") -> Samples:
        path = self._directory / f"{voice}-{len(text)}.wav"
        if not path.exists():
            utterance = Utterance(language="en-GB", voice=voice, parts=(Words(text=text),))
            await self.engine.speak(utterance, sample_rate=RATE, to=path)
        samples = read_wav(path)
        loud = np.flatnonzero(np.abs(samples) > 0.01)
        return samples[loud[0] : loud[-1] + 1]


@pytest.fixture
async def say(voices: Path) -> AsyncIterator[Say]:
    one = Say(voices)
    try:
        yield one
    finally:
        await one.engine.close()


def pcm(*parts: Samples) -> bytes:
    return (through_g711(np.concatenate(parts)) * 32767).round().astype("<i2").tobytes()


def noise(seconds: float, level: float) -> Samples:
    return np.random.default_rng(7).standard_normal(round(seconds * RATE)) * level


def verdict(sound: bytes, *, within: float = 7.0, portion: int = 4000) -> tuple[Answerer, float]:
    """What is decided, and after how much sound."""
    detector = AnswerDetector(RATE, within)
    for start in range(0, len(sound), portion):
        decided = detector.hear(sound[start : start + portion])
        if decided is not None:
            return decided, detector.heard_seconds
    return detector.give_up(), detector.heard_seconds


@pytest.mark.parametrize("voice", ["male", "female"])
async def test_few_words_and_then_silence_are_a_person(say: Say, voice: str) -> None:
    words = await say(HELLO, voice)
    decided, seconds = verdict(pcm(silence(0.5), words, silence(5)))
    assert decided is Answerer.HUMAN
    assert seconds < 0.5 + words.size / RATE + 1.1


@pytest.mark.parametrize("voice", ["male", "female"])
async def test_who_talks_on_is_a_machine(say: Say, voice: str) -> None:
    decided, seconds = verdict(pcm(silence(0.3), await say(GREETING, voice), silence(3)))
    assert decided is Answerer.MACHINE
    assert seconds < 3.5


@pytest.mark.parametrize("hertz", [440.0, 1000.0, 1400.0])
async def test_a_beep_is_a_machine_however_little_was_said(say: Say, hertz: float) -> None:
    words, beep = await say(HELLO), tone(hertz, 0.3, level=0.2)
    decided, seconds = verdict(pcm(silence(0.2), words, silence(0.4), beep, silence(3)))
    assert decided is Answerer.MACHINE
    assert seconds < 0.2 + words.size / RATE + 0.7


async def test_noise_behind_the_voice_changes_nothing(say: Say) -> None:
    words, greeting = await say(HELLO), await say(GREETING)
    murmur = noise(8, 0.006)
    for speech, truth in ((words, Answerer.HUMAN), (greeting, Answerer.MACHINE)):
        sound = np.concatenate([silence(0.5), speech, silence(8)])[: murmur.size]
        assert verdict(pcm(0.3 * sound + murmur))[0] is truth


@pytest.mark.parametrize("level", [0.0, 0.004, 0.05])
def test_silence_and_noise_are_nobody(level: float) -> None:
    decided, seconds = verdict(pcm(noise(8, level)), within=4.0)
    assert decided is Answerer.UNSURE
    assert seconds == pytest.approx(4.0, abs=0.02)


def test_clicks_are_nobody() -> None:
    clicks = [np.concatenate([tone(900, 0.02), silence(1.2)]) for _ in range(5)]
    assert verdict(pcm(*clicks), within=5.0)[0] is Answerer.UNSURE


async def test_it_does_not_matter_in_which_portions_the_sound_comes(say: Say) -> None:
    sound = pcm(silence(0.5), await say(HELLO), silence(5))
    assert verdict(sound, portion=2) == verdict(sound, portion=322) == verdict(sound, portion=len(sound))


def test_wideband_sound_is_judged_the_same() -> None:
    beep = tone(1000, 0.4, rate=16000, level=0.2)
    detector = AnswerDetector(16000, 7.0)
    sound = array.array("h", (np.concatenate([silence(1, rate=16000), beep]) * 32767).astype(int).tolist())
    assert detector.hear(sound.tobytes()) is Answerer.MACHINE


async def test_a_greeting_is_over_after_its_beep(say: Say) -> None:
    greeting = np.concatenate([await say(GREETING), silence(1.0), tone(800, 0.4, level=0.3)])
    assert ends(pcm(greeting, silence(5))) == pytest.approx(greeting.size / RATE + 0.2, abs=0.15)


async def test_a_greeting_without_a_beep_is_over_after_silence(say: Say) -> None:
    greeting = await say(GREETING)
    assert ends(pcm(greeting, silence(5))) == pytest.approx(greeting.size / RATE + 1.5, abs=0.15)


def ends(sound: bytes) -> float:
    ending = EndOfGreeting(RATE, 1.5)
    for start in range(0, len(sound), 320):
        if ending.hear(sound[start : start + 320]):
            return (start + 320) / 2 / RATE
    raise AssertionError("the greeting was never over")


async def test_a_person_who_answers_a_call_is_heard(stage: Stage, say: Say, tmp_path: Path) -> None:
    hello = write_wav(tmp_path / "hello.wav", np.concatenate([silence(0.6), await say(HELLO), silence(1)]))
    async with stage.called("--play", str(hello)) as (line, _):
        assert await line.answerer(7.0) is Answerer.HUMAN


async def test_a_machine_is_heard_and_the_end_of_its_greeting(stage: Stage, say: Say, tmp_path: Path) -> None:
    greeting = np.concatenate([silence(0.3), await say(GREETING), silence(0.6), tone(1000, 0.4, level=0.3)])
    path = write_wav(tmp_path / "greeting.wav", np.concatenate([greeting, silence(1)]))
    async with stage.called("--play", str(path)) as (line, callee):
        assert await line.answerer(7.0) is Answerer.MACHINE
        await line.quiet(1.5, 20.0)
        over = time.time()
    began = callee.heard("state", state="CONFIRMED")[0]["at"]
    assert 0 < over - began - greeting.size / RATE < 1.2


async def test_a_callee_of_a_transfer_is_listened_to(stage: Stage, say: Say, tmp_path: Path) -> None:
    hello = write_wav(tmp_path / "hello.wav", np.concatenate([silence(0.6), await say(HELLO), silence(1)]))
    async with stage.caller() as (line, _), stage.party(line, "--play", str(hello)) as (party, _):
        assert await party.answerer(7.0) is Answerer.HUMAN


async def test_who_says_nothing_is_unsure_in_time(stage: Stage) -> None:
    async with stage.called() as (line, _):
        assert await line.answerer(1.0) is Answerer.UNSURE
        await line.quiet(0.5, 5.0)
