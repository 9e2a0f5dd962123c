"""Calls in real call processes, heard and recorded by a real telephone."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.audio import ARRIVES, read_wav, tone, tone_seconds, write_wav
from tests.phone import phone
from tests.pool.conftest import GREET_AND_RECORD, MakeWorld
from voice.pool.orders import PoolFull
from voice.records import (
    CallChanged,
    CallEnded,
    CallStatus,
    Event,
    LegMedia,
    RecordingDone,
    RecordingStarted,
    StepFinished,
    StepStarted,
)


@pytest.fixture
def voice_file(tmp_path: Path) -> Path:
    """What the caller says: 1,000 Hz for a long time."""
    return write_wav(tmp_path / "voice.wav", tone(1000, 20.0))


async def test_a_caller_hears_the_prompt_and_is_recorded(
    world: MakeWorld, voice_file: Path, tmp_path: Path
) -> None:
    heard = tmp_path / "heard.wav"
    async with world() as here:
        order, uri = await here.seat(GREET_AND_RECORD)
        arguments = (
            "--play",
            str(voice_file),
            "--record",
            str(heard),
            "--digits",
            "#",
            "--digits-after",
            "3",
        )
        async with phone("call", uri, *arguments) as caller:
            assert await caller.ended() == 200
        done = await here.notes.first(RecordingDone)
        ended = await here.notes.first(CallEnded)
        media = await here.notes.first(LegMedia)
        started = await here.notes.first(RecordingStarted)
    assert tone_seconds(read_wav(heard), 440) > ARRIVES
    recording = read_wav(started.path)
    assert done.status == "done"
    assert done.seconds == pytest.approx(len(recording) / 8000, abs=0.01)
    assert tone_seconds(recording, 1000) > 1.5 * ARRIVES
    assert ended.status is CallStatus.ENDED
    assert media.leg_id == order.leg_id
    assert media.codec.startswith("PCMA")
    assert media.received_packets > 100
    words = [record.outcome for record in here.notes.records if isinstance(record, StepFinished)]
    assert words == ["done", "done"]
    assert any(isinstance(r, CallChanged) and r.status is CallStatus.ONGOING for r in here.notes.records)


async def test_a_recording_of_a_killed_process_is_playable_and_its_far_end_gets_bye(
    world: MakeWorld, voice_file: Path
) -> None:
    async with phone("answer") as never_called:
        # The BYE in place of the dead process goes to the edge; here the caller itself stands there.
        await never_called.address()
    port = 47_321
    async with world(edge=("127.0.0.1", port)) as here:
        order, uri = await here.seat(GREET_AND_RECORD)
        async with phone("call", uri, "--port", str(port), "--play", str(voice_file)) as caller:
            started = await here.notes.first(RecordingStarted)
            path = Path(started.path)
            while not path.exists() or path.stat().st_size < 3 * 16_000:
                await asyncio.sleep(0.05)
            worker = here.pool.worker_of(order.call_id)
            assert worker is not None
            os.kill(worker.pid, signal.SIGKILL)
            assert (await caller.event("state", state="DISCONNECTED"))["status"] == 200
        done = await here.notes.first(RecordingDone)
        ended = await here.notes.first(CallEnded)
        died = await here.notes.first(Event, lambda event: event.kind == "call_process_died")
        assert here.desk.lost == [worker.seat]
        await here.pool.warm()
    assert done.status == "done"
    assert done.seconds > 2.4
    assert tone_seconds(read_wav(path), 1000) > done.seconds * ARRIVES
    assert ended.status is CallStatus.FAILED
    assert "SIGKILL" in ended.reason
    assert died.call_id == order.call_id


async def test_a_full_pool_says_when_to_come_back(world: MakeWorld) -> None:
    async with world(max_processes=1) as here:
        await here.seat()
        with pytest.raises(PoolFull) as full:
            await here.seat()
        assert full.value.retry_after > 0
        assert "max_processes is 1" in str(full.value)


async def test_a_released_seat_is_free_again(world: MakeWorld) -> None:
    async with world(max_processes=1) as here:
        order, _ = await here.seat()
        here.pool.release(order.call_id)
        await here.seat()


async def test_processes_are_recycled_after_their_share_of_calls(world: MakeWorld) -> None:
    async with world(max_processes=1, calls_before_recycling=2) as here:
        pids = []
        for _ in range(3):
            order, uri = await here.seat()
            worker = here.pool.worker_of(order.call_id)
            assert worker is not None
            pids.append(worker.pid)
            async with phone("call", uri) as caller:
                assert await caller.ended() == 200
            await here.notes.first(CallEnded, lambda end, call=order.call_id: end.call_id == call)  # type: ignore[misc]
            await here.pool.warm()
    assert pids[0] == pids[1] != pids[2]


async def test_two_calls_share_a_process_and_do_not_hear_each_other(
    world: MakeWorld, voice_file: Path, tmp_path: Path
) -> None:
    async with world(calls_per_process=2, max_processes=1) as here:
        _, first = await here.seat(GREET_AND_RECORD)
        _, second = await here.seat(GREET_AND_RECORD)
        low = write_wav(tmp_path / "low.wav", tone(600, 20.0))
        end = ("--digits", "#", "--digits-after", "2.5")
        async with (
            phone("call", first, "--play", str(voice_file), *end) as one,
            phone("call", second, "--play", str(low), *end) as two,
        ):
            assert await one.ended() == 200
            assert await two.ended() == 200
        places = [r for r in here.notes.records if isinstance(r, RecordingStarted)]
    heard = [read_wav(place.path) for place in places]
    assert sorted(tone_seconds(samples, 1000) > 0.5 for samples in heard) == [False, True]
    assert sorted(tone_seconds(samples, 600) > 0.5 for samples in heard) == [False, True]


async def test_a_dynamic_callflow_is_fetched_while_the_caller_hears_ringing(world: MakeWorld) -> None:
    async with world() as here:
        _, uri = await here.seat(None, url="https://flows.example.com/one")
        async with phone("call", uri) as caller:
            await caller.event("state", status=180)
            assert await caller.ended() == 200
        assert here.flow.asked == ["https://flows.example.com/one"]


async def test_a_failed_fetch_runs_the_fallback_flow(world: MakeWorld) -> None:
    fallback = (
        '<callflow><steps><step id="no" action="hangup"><reason>busy</reason></step></steps></callflow>'
    )
    async with world() as here:
        _, uri = await here.seat(None, url="https://flows.example.com/broken", fallback_document=fallback)
        async with phone("call", uri) as caller:
            assert await caller.ended() == 486
        event = await here.notes.first(Event)
        ended = await here.notes.first(CallEnded)
    assert "answered" in event.detail
    assert ended.status is CallStatus.BUSY


async def test_a_failed_fetch_without_fallback_ends_the_call_with_the_reason(world: MakeWorld) -> None:
    async with world() as here:
        _, uri = await here.seat(None, url="https://flows.example.com/broken")
        async with phone("call", uri) as caller:
            assert await caller.ended() == 480
        ended = await here.notes.first(CallEnded)
    assert "https://flows.example.com/broken answered" in ended.reason
    assert ended.status is CallStatus.FAILED


async def test_a_caller_who_gives_up_before_the_answer_leaves_a_record(world: MakeWorld) -> None:
    wait = '<callflow><steps><step id="wait" action="pause"><length>30</length></step></steps></callflow>'
    async with world() as here:
        _, uri = await here.seat(wait)
        async with phone("call", uri, "--limit", "2") as caller:
            await here.notes.first(StepStarted)
            await caller.ended()
        ended = await here.notes.first(CallEnded)
    assert ended.status is CallStatus.NO_ANSWER
    assert "gave up" in ended.reason


async def test_an_invite_that_no_order_announced_is_refused(world: MakeWorld) -> None:
    async with world() as here:
        _, uri = await here.seat()
        stranger = "sip:stranger@" + uri.partition("@")[2]
        async with phone("call", stranger) as caller:
            assert await caller.ended() == 404


async def test_stopping_the_pool_ends_its_calls_with_bye(world: MakeWorld, voice_file: Path) -> None:
    async with world() as here:
        _, uri = await here.seat(GREET_AND_RECORD)
        async with phone("call", uri, "--play", str(voice_file)) as caller:
            await here.notes.first(RecordingStarted)
            await here.pool.stop("the node is shutting down")
            assert (await caller.event("state", state="DISCONNECTED"))["status"] == 200
        ended = await here.notes.first(CallEnded)
    assert ended.reason == "the node is shutting down"


async def test_a_dial_bridges_both_ways_and_ends_when_the_callee_hangs_up(
    world: MakeWorld, voice_file: Path, tmp_path: Path
) -> None:
    low = write_wav(tmp_path / "low.wav", tone(600, 20.0))
    caller_heard, callee_heard = tmp_path / "caller.wav", tmp_path / "callee.wav"
    async with (
        world() as here,
        phone(
            "answer", "--ring", "0.5", "--play", str(low), "--record", str(callee_heard), "--talk", "3"
        ) as callee,
    ):
        target = f"sip:bob@{await callee.address()}"
        flow = f'<callflow><steps><step id="t" action="transfer"><to>{target}</to></step></steps></callflow>'
        _, uri = await here.seat(flow)
        arguments = ("--play", str(voice_file), "--record", str(caller_heard), "--digits", "5")
        async with phone("call", uri, *arguments) as caller:
            await caller.event("state", status=180)
            await callee.event("digit", digit="5")
            assert await caller.ended() == 200
        assert await callee.ended() == 200
        step = await here.notes.first(StepFinished)
        ended = await here.notes.first(CallEnded)
    assert tone_seconds(read_wav(caller_heard), 600) > 3 * ARRIVES
    assert tone_seconds(read_wav(callee_heard), 1000) > 2.5 * ARRIVES
    assert step.outcome == "answered"
    assert ended.status is CallStatus.ENDED


async def test_a_busy_callee_lets_the_flow_go_on(world: MakeWorld) -> None:
    async with world() as here, phone("answer", "--status", "486") as callee:
        target = f"sip:bob@{await callee.address()}"
        flow = (
            f'<callflow><steps><step id="t" action="transfer"><to>{target}</to></step>'
            '<step id="sorry" action="say"><language>en-GB</language><voice>male</voice>'
            "<text>Sorry.</text></step></steps></callflow>"
        )
        _, uri = await here.seat(flow)
        async with phone("call", uri) as caller:
            assert await caller.ended() == 200
        steps = [r.outcome for r in here.notes.records if isinstance(r, StepFinished)]
    assert steps == ["busy", "done"]
