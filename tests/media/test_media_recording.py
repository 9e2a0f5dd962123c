"""Recordings of one side and of the whole, at once, while sources come and go."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from callflows.ports import Prompt, Recorded, RecordingPlace, Unavailable
from tests.audio import ARRIVES, Samples, read_wav, tone, tone_seconds, write_wav
from tests.media.conftest import Stage
from voice.media.seam import MediaError
from voice.pool.line import LiveLine
from voice.pool.recorder import LiveRecorder

CALLER, PROMPT, CALLEE, THIRD = 440, 1000, 1500, 2100
"""Hertz."""


@pytest.fixture
def sounds(tmp_path: Path) -> dict[int, str]:
    """A second of each tone."""
    return {
        hertz: str(write_wav(tmp_path / f"{hertz}.wav", tone(hertz, 1.0, level=0.2)))
        for hertz in (CALLER, PROMPT, CALLEE, THIRD)
    }


def place(path: Path) -> RecordingPlace:
    return RecordingPlace(id=path.stem, path=str(path))


async def both(line: LiveLine, directory: Path) -> tuple[LiveRecorder, LiveRecorder]:
    whole = await line.record(place(directory / "whole.wav"), whole=True)
    return whole, await line.record(place(directory / "own.wav"))


def there(samples: Samples, hertz: int) -> float:
    """For how long a tone is in it, alone or with others."""
    return tone_seconds(samples, hertz, share=0.2, quiet=0.02)


async def test_a_whole_recording_has_the_prompt_too(
    stage: Stage, sounds: dict[int, str], tmp_path: Path
) -> None:
    async with stage.caller("--play", sounds[CALLER]) as (line, _):
        whole, own = await both(line, tmp_path)
        await line.play(Prompt(path=sounds[PROMPT], seconds=1.0))
        await own.stop()
        await whole.stop()
    mixed, single = read_wav(tmp_path / "whole.wav"), read_wav(tmp_path / "own.wav")
    assert there(mixed, CALLER) > ARRIVES
    assert ARRIVES < there(mixed, PROMPT) < 1.15
    assert there(single, CALLER) > ARRIVES
    assert there(single, PROMPT) == 0


async def test_a_whole_recording_has_everybody_on_the_call_and_each_side_can_be_had_alone(
    stage: Stage, sounds: dict[int, str], tmp_path: Path
) -> None:
    async with stage.caller("--play", sounds[CALLER], "--loop") as (line, _):
        whole, own = await both(line, tmp_path)
        async with stage.party(line, "--play", sounds[CALLEE], "--loop") as (party, _):
            bridge = asyncio.create_task(line.bridge(party))
            began = asyncio.get_running_loop().time()
            side = await party.record(place(tmp_path / "side.wav"))
            await asyncio.sleep(1.0)
            callees: Recorded = await side.stop()
            took = asyncio.get_running_loop().time() - began
            await party.hangup()
            await bridge
        async with stage.party(line, "--play", sounds[THIRD], "--loop") as (party, _):
            bridge = asyncio.create_task(line.bridge(party))
            await asyncio.sleep(1.0)
            await party.hangup()
            await bridge
        await own.stop()
        recorded = await whole.stop()
    mixed, single, other = (read_wav(tmp_path / f"{name}.wav") for name in ("whole", "own", "side"))
    assert recorded.seconds > 2.0
    assert there(mixed, CALLER) > 2 * ARRIVES
    assert ARRIVES < there(mixed, CALLEE) < recorded.seconds - ARRIVES
    assert ARRIVES < there(mixed, THIRD) < recorded.seconds - ARRIVES
    assert there(single, CALLEE) == 0
    assert there(single, THIRD) == 0
    assert callees.seconds == pytest.approx(took, abs=0.3)
    assert there(other, CALLEE) > ARRIVES
    assert there(other, CALLER) == 0


async def test_a_whole_recording_has_the_ringing(stage: Stage, tmp_path: Path) -> None:
    async with stage.caller() as (line, _):
        whole = await line.record(place(tmp_path / "whole.wav"), whole=True)
        await line._leg.ringback(on=True)
        await asyncio.sleep(0.6)
        await line._leg.ringback(on=False)
        await whole.stop()
    assert there(read_wav(tmp_path / "whole.wav"), 425) == pytest.approx(0.6, abs=0.2)


async def test_recordings_go_on_through_a_hold_of_the_far_end(
    stage: Stage, sounds: dict[int, str], tmp_path: Path
) -> None:
    async with stage.caller("--play", sounds[CALLER], "--loop") as (line, caller):
        whole, own = await both(line, tmp_path)
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(0.5)
        await caller.do("hold")
        await caller.event("media", 2)
        playing = asyncio.create_task(line.play(Prompt(path=sounds[PROMPT], seconds=1.0)))
        await asyncio.sleep(0.5)
        await caller.do("resume")
        await caller.event("media", 3)
        await playing
        await asyncio.sleep(0.5)
        results = [await own.stop(), await whole.stop()]
        took = asyncio.get_running_loop().time() - began
    for recorded in results:
        assert recorded.seconds == pytest.approx(took, abs=0.3)
    mixed = read_wav(tmp_path / "whole.wav")
    assert ARRIVES < there(mixed, PROMPT) < 1.15
    assert there(mixed[-3200:], CALLER) > 0.1
    assert there(read_wav(tmp_path / "own.wav")[-3200:], CALLER) > 0.1


async def test_what_the_stack_says_of_a_file_that_cannot_be_written_is_logged(
    stage: Stage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage.caller() as (line, _):
        with pytest.raises(Unavailable, match="cannot begin"):
            await line.record(place(tmp_path / "nowhere" / "r.wav"), whole=True)
    assert any("No such file" in one.message for one in caplog.records if one.name.endswith("pj.endpoint"))


async def test_a_recording_of_somebody_who_has_hung_up_is_over(stage: Stage, tmp_path: Path) -> None:
    async with stage.caller() as (line, _), stage.party(line) as (party, callee):
        side = await party.record(place(tmp_path / "side.wav"))
        await callee.do("hangup")
        await party.gone
        with pytest.raises(MediaError):
            await party.hold()
        assert (await side.stop()).size >= 44
