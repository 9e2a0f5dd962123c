"""Holds, third parties, keys: who hears whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from callflows.ports import Unavailable
from tests.audio import ARRIVES, Samples, read_wav, rms, tone, tone_seconds, write_wav
from tests.media.conftest import Stage

CALLER, CALLEE, THIRD = 440, 1000, 1500
"""Hertz."""

Speak = Callable[[int], tuple[str, ...]]


@pytest.fixture
def speak(tmp_path: Path) -> Speak:
    """Arguments of a telephone that says this tone all the time and keeps what it hears."""

    def arguments(hertz: int) -> tuple[str, ...]:
        sound = write_wav(tmp_path / f"{hertz}.wav", tone(hertz, 1.0, level=0.2))
        return ("--play", str(sound), "--loop", "--record", str(tmp_path / f"heard-by-{hertz}.wav"))

    return arguments


def there(path: Path, hertz: int) -> float:
    """For how long a tone is in it, alone or with others."""
    return tone_seconds(read_wav(path), hertz, share=0.15, quiet=0.02)


def longest_silence(samples: Samples) -> float:
    longest = run = 0
    for start in range(0, samples.size, 160):
        run = run + 1 if rms(samples[start : start + 160]) < 0.005 else 0
        longest = max(longest, run)
    return longest * 0.02


async def test_who_is_held_hears_nothing_and_is_not_heard(stage: Stage, speak: Speak, tmp_path: Path) -> None:
    async with (
        stage.caller(*speak(CALLER)) as (line, caller),
        stage.party(line, *speak(CALLEE)) as (party, _),
    ):
        bridge = asyncio.create_task(line.bridge(party))
        await asyncio.sleep(0.6)
        clock = asyncio.get_running_loop().time
        began = clock()
        await line.hold()
        await caller.event("media", 2)
        await asyncio.sleep(1.0)
        await line.unhold()
        await caller.event("media", 3)
        held = clock() - began
        await asyncio.sleep(0.6)
        await party.hangup()
        await bridge
    by_caller, by_callee = (read_wav(tmp_path / f"heard-by-{hertz}.wav") for hertz in (CALLER, CALLEE))
    assert 0.9 < longest_silence(by_caller) < held + 0.6
    assert 0.9 < longest_silence(by_callee) < held + 0.6
    assert there(tmp_path / f"heard-by-{CALLER}.wav", CALLEE) > ARRIVES
    assert there(tmp_path / f"heard-by-{CALLEE}.wav", CALLER) > ARRIVES


async def test_a_callee_can_be_held_and_hung_up_while_held(stage: Stage, speak: Speak) -> None:
    async with stage.caller(*speak(CALLER)) as (line, _), stage.party(line) as (party, callee):
        bridge = asyncio.create_task(line.bridge(party))
        await party.hold()
        await callee.event("media", 2)
        await callee.do("hangup")
        await bridge
        assert line.parties == ()


async def test_digits_of_who_is_held_are_no_trouble(stage: Stage) -> None:
    async with stage.caller() as (line, caller):
        await line.hold()
        await line.hold()
        await caller.do("digits", "1")
        await line.unhold()
        async with line.digits() as digits:
            await caller.do("digits", "2")
            async for digit in digits:
                if digit == "2":
                    break


async def test_a_third_party_talks_with_both(stage: Stage, speak: Speak, tmp_path: Path) -> None:
    async with (
        stage.caller(*speak(CALLER)) as (line, _),
        stage.party(line, *speak(CALLEE)) as (second, _),
    ):
        first_bridge = asyncio.create_task(line.bridge(second))
        async with stage.party(line, *speak(THIRD)) as (third, _):
            second_bridge = asyncio.create_task(line.bridge(third))
            await asyncio.sleep(1.2)
            assert line.parties == (second, third)
            await third.hangup()
            await second_bridge
        assert not first_bridge.done()
        await second.hangup()
        await first_bridge
    for listener, others in {
        CALLER: (CALLEE, THIRD),
        CALLEE: (CALLER, THIRD),
        THIRD: (CALLER, CALLEE),
    }.items():
        path = tmp_path / f"heard-by-{listener}.wav"
        for hertz in others:
            assert there(path, hertz) > ARRIVES, f"{listener} did not hear {hertz}"
        assert there(path, listener) == 0, f"{listener} heard an echo"


async def test_keys_arrive_in_order(stage: Stage) -> None:
    async with stage.called() as (line, callee):
        await line.send_digits("12w#a", key_seconds=0.1, gap_seconds=0.05)
        for digit in "12#A":
            await callee.event("digit", digit=digit)
        assert [event["digit"] for event in callee.heard("digit")] == ["1", "2", "#", "A"]
        two, hash_key = (callee.heard("digit", digit=digit)[0]["at"] for digit in "2#")
        assert hash_key - two > 0.3, "the pause of half a second is not left out"


async def test_a_key_that_does_not_exist_is_refused_before_any_is_sent(stage: Stage) -> None:
    async with stage.called() as (line, callee):
        with pytest.raises(Unavailable, match="'x' does not exist"):
            await line.send_digits("1x", key_seconds=0.1, gap_seconds=0.05)
        await line.send_digits("5", key_seconds=0.1, gap_seconds=0.05)
        await callee.event("digit")
        assert [event["digit"] for event in callee.heard("digit")] == ["5"]
