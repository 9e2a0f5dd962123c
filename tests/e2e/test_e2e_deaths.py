"""Call processes that die in the middle of a call, and who notices."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.audio import ARRIVES, tone_seconds
from tests.e2e.conftest import MakePlatform, Voices
from tests.e2e.ears import SEAMLESS, hears, longest_gap
from tests.e2e.flows import flow, record, transfer
from tests.e2e.node import NUMBER, account
from tests.phone import phone
from voice.records import CallEnded, CallStarted, CallStatus, Event, RecordingDone

SECOND = "+31201111111"


async def test_a_dead_call_process_takes_only_its_own_call_along(
    node: MakePlatform, voices: Voices, tmp_path: Path
) -> None:
    caller_heard, callee_heard = tmp_path / "caller.wav", tmp_path / "callee.wav"
    neighbour_heard, friend_heard = tmp_path / "neighbour.wav", tmp_path / "friend.wav"
    async with (
        phone("answer", "--play", voices(600), "--record", str(callee_heard)) as callee,
        phone("answer", "--play", voices(800), "--record", str(friend_heard)) as friend,
    ):
        flows = flow(transfer(f"sip:bob@{await callee.address()}"))
        other = flow(transfer(f"sip:friend@{await friend.address()}"))
        also = f"""
            [accounts.acme.numbers."{SECOND}"]
            callflow = "other"
            [accounts.acme.callflows.other]
            document = '''{other}'''
        """
        async with node(account(flow=flows, also=also)) as here:
            async with (
                here.pbx("--play", voices(1000), "--record", str(caller_heard)) as caller,
                here.pbx(
                    "--play", voices(1200), "--record", str(neighbour_heard), number=SECOND
                ) as neighbour,
            ):
                await hears(caller_heard, 600)
                await hears(callee_heard, 1000)
                await hears(neighbour_heard, 800)
                await hears(friend_heard, 1200)
                victim = await here.notes.first(CallStarted, lambda call: call.destination == NUMBER)
                os.kill(here.worker_pid(victim.call_id), signal.SIGKILL)
                killed = time.time()
                for one in (caller, callee):
                    bye = await one.event("state", state="DISCONNECTED")
                    assert bye["status"] == 200, "the far end was not told by BYE"
                    assert bye["at"] - killed < 2.0
                ended = await here.ended(victim.call_id)
                await here.node.pool.warm()
                # The neighbour's call: still there, and heard for a while longer.
                await hears(neighbour_heard, 800, 1.0, after=neighbour_heard.stat().st_size // 2)
                await hears(friend_heard, 1200, after=friend_heard.stat().st_size // 2)
                await neighbour.do("hangup")
                assert await neighbour.ended() == 200
            await friend.ended()
            died = await here.notes.first(Event, lambda event: event.kind == "call_process_died")
            await here.notes.some(2, CallEnded)
    assert ended.status is CallStatus.FAILED
    assert "SIGKILL" in ended.reason
    assert died.call_id == victim.call_id
    for path, hertz in ((neighbour_heard, 800), (friend_heard, 1200)):
        assert longest_gap(path, hertz) < SEAMLESS, "the neighbour's sound has a gap"


async def test_a_recording_of_a_dead_process_can_be_played(node: MakePlatform, voices: Voices) -> None:
    async with node(account(flow=flow(record()))) as here:
        async with here.pbx("--play", voices(1000)) as caller:
            await here.recorded(1.0)
            os.kill(here.worker_pid(await here.call_id()), signal.SIGKILL)
            assert (await caller.event("state", state="DISCONNECTED"))["status"] == 200
        done = await here.notes.first(RecordingDone)
        recording = await here.recording()
    assert tone_seconds(recording, 1000) > ARRIVES
    assert done.seconds > 0.9


async def test_a_process_that_dies_while_the_callee_rings_cancels_and_answers(node: MakePlatform) -> None:
    async with (
        phone("answer", "--status", "180") as callee,
        node(account(flow=flow(transfer(f"sip:bob@{await callee.address()}")))) as here,
    ):
        async with here.pbx() as caller:
            await caller.event("state", status=180)
            os.kill(here.worker_pid(await here.call_id()), signal.SIGKILL)
            assert (await callee.event("state", state="DISCONNECTED"))["status"] == 487
            assert await caller.ended() >= 500
        ended = await here.ended()
    assert "SIGKILL" in ended.reason


async def test_the_operator_ends_a_call(node: MakePlatform, voices: Voices, tmp_path: Path) -> None:
    heard = tmp_path / "heard.wav"
    async with (
        phone("answer", "--play", voices(600)) as callee,
        node(account(flow=flow(transfer(f"sip:bob@{await callee.address()}")))) as here,
    ):
        async with here.pbx("--record", str(heard)) as caller:
            await hears(heard, 600)
            here.node.pool.stop_call(await here.call_id(), "The operator ended the call.")
            assert await caller.ended() == 200
        assert await callee.ended() == 200
        ended = await here.ended()
    assert ended.reason == "The operator ended the call."


async def test_a_call_ends_when_it_has_lasted_as_long_as_it_may(node: MakePlatform) -> None:
    async with node(account(flow=flow(record()), limits="max_call_seconds = 1")) as here:
        async with here.pbx() as caller:
            assert await caller.ended() == 200
        ended = await here.ended()
    assert "longest time" in ended.reason
