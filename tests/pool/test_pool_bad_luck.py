"""What goes wrong in a call, or comes at the wrong moment, costs its step and never a process."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from callflows.ports import RecordingPlace
from tests.notes import PATIENCE_SECONDS
from tests.phone import phone
from tests.pool.bare import bare, sdp
from tests.pool.conftest import GREET, GREET_AND_RECORD, MakeWorld, World, transfer_to
from voice.pool.desk import Desk
from voice.pool.worker import RunningCall
from voice.records import (
    CallChanged,
    CallEnded,
    CallStatus,
    LegMedia,
    RecordingDone,
    RecordingStarted,
    StepFinished,
    StepStarted,
)

AFTERWARDS = '<step id="after" action="say"><language>en-GB</language><text>Sorry.</text></step>'


async def same_process_goes_on(here: World, pid: int) -> None:
    """The process of a call is not thrown away after it; that it is free, it says after the last record."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while here.pool.running_calls:
            await asyncio.sleep(0.01)
    order, _ = await here.seat()
    worker = here.pool.worker_of(order.call_id)
    assert worker is not None
    assert worker.pid == pid


async def test_a_callee_who_hangs_up_before_the_caller_has_acknowledged(world: MakeWorld) -> None:
    async with world(max_processes=1) as here, bare("sip:nobody@127.0.0.1:9") as callee:
        order, uri = await here.seat(transfer_to(callee.address))
        worker = here.pool.worker_of(order.call_id)
        assert worker is not None
        async with bare(uri) as caller:
            caller.invite(sdp())
            callee.answer(await callee.message("INVITE "), "200 OK", sdp())
            await callee.message("ACK ")
            await caller.response(200)
            callee.called_by(await callee.message("INVITE "))
            callee.request("BYE")
            await callee.response(200, to="BYE")
            caller.ack()
            caller.ok(await caller.message("BYE "))
        step = await here.notes.first(StepFinished)
        ended = await here.notes.first(CallEnded)
        await same_process_goes_on(here, worker.pid)
    assert step.outcome == "answered"
    assert ended.status is CallStatus.ENDED
    assert ended.reason.endswith("hung up.")


async def test_a_sound_that_vanished_costs_its_step_only(world: MakeWorld, tmp_path: Path) -> None:
    async with world(max_processes=1) as here:
        here.sound.path = tmp_path / "evicted.wav"
        order, uri = await here.seat(GREET)
        worker = here.pool.worker_of(order.call_id)
        assert worker is not None
        async with phone("call", uri) as caller:
            assert await caller.ended() == 200
        step = await here.notes.first(StepFinished)
        ended = await here.notes.first(CallEnded)
        await same_process_goes_on(here, worker.pid)
    assert step.outcome == "failed"
    assert "evicted.wav" in step.detail
    assert ended.status is CallStatus.ENDED


async def test_a_recording_that_cannot_begin_costs_its_step_only(
    world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Desk._place

    def elsewhere(desk: Desk, call: RunningCall, kind: str, leg_id: str | None) -> RecordingPlace:
        return replace(place(desk, call, kind, leg_id), path="/nonexistent/recording.wav")

    monkeypatch.setattr(Desk, "_place", elsewhere)
    async with world() as here:
        _, uri = await here.seat(GREET_AND_RECORD)
        async with phone("call", uri) as caller:
            assert await caller.ended() == 200
        done = await here.notes.first(RecordingDone)
        ended = await here.notes.first(CallEnded)
        steps = here.notes.all(StepFinished)
    assert [step.outcome for step in steps] == ["done", "failed"]
    assert done.status == "failed"
    assert ended.status is CallStatus.ENDED


async def test_a_recording_that_is_deleted_under_way_is_lost_and_nothing_else(world: MakeWorld) -> None:
    async with world() as here:
        _, uri = await here.seat(GREET_AND_RECORD)
        async with phone("call", uri) as caller:
            path = Path((await here.notes.first(RecordingStarted)).path)
            while not path.exists():
                await asyncio.sleep(0.01)
            path.unlink()
            assert await caller.ended() == 200
        done = await here.notes.first(RecordingDone)
        ended = await here.notes.first(CallEnded)
    assert done.status == "failed"
    assert ended.status is CallStatus.ENDED


async def test_a_process_without_a_leg_left_fails_the_dial_and_not_the_call(world: MakeWorld) -> None:
    talk = GREET.replace("</step>", '</step><step id="w" action="pause"><length>30</length></step>')
    async with world(calls_per_process=4, max_processes=1) as here, AsyncExitStack() as ends:
        others = [(await here.seat(talk))[1] for _ in range(3)]
        _, uri = await here.seat(transfer_to("127.0.0.1:9", AFTERWARDS))
        for other in others:
            end = await ends.enter_async_context(bare(other))
            end.invite(sdp())
            await end.response(200)
            end.ack()
        caller = await ends.enter_async_context(bare(uri))
        caller.invite(sdp())
        await caller.response(200)
        caller.ack()
        caller.ok(await caller.message("BYE "))
        ended = await here.notes.first(CallEnded)
        steps = here.notes.all(StepFinished, lambda step: step.call_id == ended.call_id)
    assert [step.outcome for step in steps] == ["failed", "done"]
    assert ended.status is CallStatus.ENDED


async def test_a_call_that_is_stopped_before_its_ack_gets_bye_after_it(world: MakeWorld) -> None:
    async with world() as here:
        _, uri = await here.seat(GREET)
        async with bare(uri) as caller:
            caller.invite(sdp())
            await caller.response(200)
            stopping = asyncio.create_task(here.pool.stop("the node is shutting down"))
            await here.notes.first(StepFinished)
            caller.ack()
            caller.ok(await caller.message("BYE "))
            await stopping
        ended = await here.notes.first(CallEnded)
    assert ended.reason == "the node is shutting down"


async def test_both_legs_leave_their_statistics_also_in_a_process_that_leaves(world: MakeWorld) -> None:
    async with world(calls_before_recycling=1) as here, bare("sip:nobody@127.0.0.1:9") as callee:
        order, uri = await here.seat(transfer_to(callee.address))
        async with phone("call", uri) as caller:
            invite = await callee.message("INVITE ")
            callee.answer(invite, "200 OK", sdp(), "X-Trunkflow-Leg: callee-leg")
            await here.notes.first(CallChanged)
            await caller.do("hangup")
            await caller.ended()
        await here.notes.first(CallEnded)
        media = here.notes.all(LegMedia)
    assert {one.leg_id for one in media} == {order.leg_id, "callee-leg"}


async def test_a_transfer_that_nobody_answers_is_on_record_as_that(world: MakeWorld) -> None:
    async with world() as here, phone("answer", "--status", "480") as callee:
        _, uri = await here.seat(transfer_to(await callee.address()))
        async with phone("call", uri) as caller:
            assert await caller.ended() == 480
        ended = await here.notes.first(CallEnded)
    assert ended.status is CallStatus.NO_ANSWER


async def test_a_call_that_reaches_its_longest_time_gets_bye(world: MakeWorld) -> None:
    async with world() as here:
        _, uri = await here.seat(GREET_AND_RECORD, max_seconds=3)
        async with phone("call", uri) as caller:
            await here.notes.first(StepStarted, lambda step: step.action == "record")
            assert await caller.ended() == 200
        done = await here.notes.first(RecordingDone)
        ended = await here.notes.first(CallEnded)
    assert done.status == "done"
    assert ended.status is CallStatus.ENDED
    assert "3 seconds" in ended.reason
