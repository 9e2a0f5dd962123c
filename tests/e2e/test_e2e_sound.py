"""What a caller hears of the platform, and what the platform keeps of a caller."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.audio import ARRIVES, listen, read_wav, tone_seconds
from tests.e2e.conftest import MakePlatform, Voices
from tests.e2e.ears import CLEAR
from tests.e2e.flows import flow, hangup, record, say
from tests.e2e.node import account
from voice.records import CallStatus, LegMedia, StepFinished


@pytest.mark.parametrize(
    ("codec", "transport", "digits_by"),
    [("PCMA", "udp", "rtp"), ("PCMU", "tcp", "info"), ("G722", "udp", "rtp")],
)
async def test_a_caller_hears_the_prompt_is_recorded_and_ends_it_with_a_key(
    node: MakePlatform, voices: Voices, tmp_path: Path, codec: str, transport: str, digits_by: str
) -> None:
    heard = tmp_path / "heard.wav"
    async with node(account(flow=flow(say(), record(beep=True)))) as here:
        sound = ("--play", voices(1000), "--record", str(heard), "--codec", codec, "--digits-by", digits_by)
        async with here.pbx(*sound, transport=transport) as caller:
            prompt = await here.prompt()
            await here.recorded(0.8)
            await caller.do("digits", "#")
            assert await caller.ended() == 200
        ended = await here.ended()
        recording = await here.recording()
        media = await here.notes.first(LegMedia)
        steps = here.notes.all(StepFinished)
    assert listen(read_wav(heard), prompt).score > CLEAR
    assert tone_seconds(recording, 1000) > ARRIVES
    assert "a key was pressed" in steps[-1].detail
    assert media.codec.startswith(codec)
    assert ended.reason == "The callflow came to its end."


async def test_early_speech_is_heard_before_any_answer(
    node: MakePlatform, voices: Voices, tmp_path: Path
) -> None:
    heard = tmp_path / "heard.wav"
    async with node(account(flow=flow(say(early=True), hangup("busy")))) as here:
        async with here.pbx("--play", voices(1000), "--record", str(heard)) as caller:
            prompt = await here.prompt()
            assert await caller.ended() == 486
        ended = await here.ended()
    assert caller.heard("state", status=183)
    assert not caller.heard("state", status=200)
    assert listen(read_wav(heard), prompt).score > CLEAR
    assert ended.status is CallStatus.BUSY


async def test_silence_ends_a_recording(node: MakePlatform, tmp_path: Path) -> None:
    async with node(account(flow=flow(record(silence=1)))) as here:
        async with here.pbx() as caller:
            assert await caller.ended() == 200
        recording = await here.recording()
        step = await here.notes.first(StepFinished)
    assert recording.size >= 8000
    assert "silence" in step.detail
