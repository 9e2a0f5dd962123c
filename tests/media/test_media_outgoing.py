"""The leg that an outgoing call begins with."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from callflows.ports import CallGone, LineState, NotAnswered, Prompt
from tests.audio import ARRIVES, read_wav, tone, tone_seconds, write_wav
from tests.media.conftest import Stage, first_leg
from tests.phone import PATIENCE_SECONDS, phone
from tests.pool.conftest import order_for
from voice.media.seam import Established, Gone, LegEvent, MediaUp, Progress
from voice.pool import line as line_module
from voice.pool.line import LiveLine
from voice.pool.orders import FirstLeg


async def test_a_callee_who_answers_hears_what_is_played(stage: Stage, heard: Path, tmp_path: Path) -> None:
    prompt = write_wav(tmp_path / "prompt.wav", tone(440, 0.8))
    async with stage.called("--record", str(heard)) as (line, callee):
        assert line.state is LineState.ANSWERED
        await line.play(Prompt(path=str(prompt), seconds=0.8))
        assert "+31201234567@sip.example.com" in (await callee.event("incoming"))["invite"]
    assert 0.8 * ARRIVES < tone_seconds(read_wav(heard), 440) < 0.9


async def test_what_happens_to_the_leg_is_reported_as_the_callers(stage: Stage) -> None:
    async with stage.called("--ring", "0.1") as (line, callee):
        await callee.do("hangup")
        assert await line.ended() == "the callee hung up"
        assert [party for _, party in stage.events] == [None] * len(stage.events)
        kinds = [type(event) for event, _ in stage.events]
        assert (kinds[0], kinds[-1]) == (Progress, Gone)
        assert {Established, MediaUp} == {*kinds} - {Progress, Gone}


async def test_the_edge_is_told_which_leg_it_is(stage: Stage) -> None:
    async with stage.called() as (_, _):
        (plan,) = stage.plans
        assert plan.leg_id is not None
        assert plan.caller_id == "+31201234567"
        assert len(plan.targets) == 1


async def test_the_callees_digits_come(stage: Stage) -> None:
    async with stage.called() as (line, callee), line.digits() as digits:
        await callee.do("digits", "4")
        assert await anext(digits) == "4"


async def test_a_callee_who_is_busy_has_not_answered(stage: Stage) -> None:
    async with phone("answer", "--status", "486") as callee:
        first = await first_leg(callee)
        line = stage.line(replace(order_for(None), outbound=first), None)
        with pytest.raises(NotAnswered) as refused:
            await line.call(first)
        assert refused.value.status == 486
        assert line.state is LineState.ENDED


async def test_a_callee_who_does_not_answer_in_time_is_cancelled(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_module, "DIAL_GRACE_SECONDS", 0.0)
    async with phone("answer", "--ring", "30") as callee:
        first = await first_leg(callee, ring_seconds=0.5)
        line = stage.line(replace(order_for(None), outbound=first), None)
        with pytest.raises(NotAnswered) as late:
            await line.call(first)
        assert late.value.status == 408
        assert await callee.ended() == 487


async def test_a_call_that_is_ended_while_it_rings_is_gone(stage: Stage) -> None:
    async with phone("answer", "--ring", "30") as callee:
        first = await first_leg(callee)
        line = stage.line(replace(order_for(None), outbound=first), None)
        calling = asyncio.create_task(line.call(first))
        await callee.event("incoming")
        await line.hangup()
        with pytest.raises(CallGone, match="the platform ended the call"):
            await calling
        assert await callee.ended() == 487


async def test_a_call_that_is_cancelled_while_it_rings_stops_ringing(stage: Stage) -> None:
    async with phone("answer", "--ring", "30") as callee:
        first = await first_leg(callee)
        line = stage.line(replace(order_for(None), outbound=first), None)
        calling = asyncio.create_task(line.call(first))
        await callee.event("incoming")
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
        assert await callee.ended() == 487
        await line.ended()


async def test_a_call_that_is_cancelled_between_its_answer_and_its_sound_is_hung_up(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with phone("answer") as callee:
        first = await first_leg(callee)
        line = stage.line(replace(order_for(None), outbound=first), None)

        def hear_no_sound(event: LegEvent) -> None:
            if not isinstance(event, MediaUp):
                LiveLine.hear(line, event)

        # A moment of the event loop, made longer.
        monkeypatch.setattr(line, "hear", hear_no_sound)
        calling = asyncio.create_task(line.call(first))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not line.established:
                await asyncio.sleep(0.005)
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
        assert await callee.ended() == 200
        await line.ended()


async def test_a_call_that_was_never_placed_can_be_hung_up(stage: Stage) -> None:
    first = FirstLeg(target="+31201234567", caller_id="+31207654321", ring_seconds=10.0)
    line = stage.line(replace(order_for(None), outbound=first), None)
    await line.hangup()
    assert await line.ended() == "the platform ended the call"
    with pytest.raises(CallGone):
        await line.call(first)
