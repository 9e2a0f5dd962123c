"""Calls that a node and their process took with them have an end on record after the next start."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from tests.audio import ARRIVES, read_wav, tone_seconds
from tests.e2e.conftest import Voices
from tests.e2e.flows import flow, record
from tests.e2e.node import account, pbx_arguments, stored
from tests.e2e.served import served
from tests.notes import Notes
from tests.phone import phone
from voice import recovery as recovery_module
from voice.config_file import read_config_file
from voice.node import running
from voice.records import CallEnded, CallStarted, Direction, RecordingStarted
from voice.recovery import Recovery
from voice.settings import Settings
from voice.store.database import Database
from voice.store.journal import StoreJournal
from voice.store.queries import list_calls


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery_module, "CLAIM_SECONDS", 1.0)


async def only_call(settings: Settings) -> str:
    """Its id, as soon as it is in the database."""
    async with await Database.of(settings) as database, asyncio.timeout(20):
        while not (found := await list_calls(database, limit=2)):
            await asyncio.sleep(0.05)
    (call,) = found
    return call.id


async def test_a_call_that_died_with_its_node_is_closed_with_its_legs_and_recordings(
    voices: Voices, tmp_path: Path
) -> None:
    async with served(tmp_path, account(flow=flow(record()))) as node:
        settings = read_config_file(node.config, {}).settings
        async with phone(*pbx_arguments(node.door), "--play", voices(1000)):
            async with asyncio.timeout(20):
                while not any(
                    path.stat().st_size > 2 * 16_000 for path in settings.recordings_directory.rglob("*.wav")
                ):
                    await asyncio.sleep(0.05)
            processes = node.call_processes()
            await node.kill()
            for pid in processes:
                os.kill(pid, signal.SIGKILL)
        call_id = await only_call(settings)
        assert (await stored(settings, call_id)).call.ended_at is None
        notes = Notes()
        async with running(settings, watch=notes.write):
            await notes.first(CallEnded)
        history = await stored(settings, call_id)
    assert (history.call.status, history.call.end_reason) == ("failed", recovery_module.LOST)
    assert [leg.status for leg in history.legs] == ["failed"]
    (recording,) = history.recordings
    assert recording.status == "done"
    assert recording.path is not None
    assert tone_seconds(read_wav(recording.path), 1000) > 2 * ARRIVES


async def test_a_call_that_outlived_its_node_is_left_to_its_process(tmp_path: Path) -> None:
    async with served(tmp_path, account(flow=flow(record()))) as node:
        settings = read_config_file(node.config, {}).settings
        async with phone(*pbx_arguments(node.door)) as caller:
            await caller.event("media")
            call_id = await only_call(settings)
            await node.kill()
            notes = Notes()
            async with running(settings, watch=notes.write) as again:
                await asyncio.sleep(recovery_module.CLAIM_SECONDS + 0.5)
                assert again.pool.worker_of(call_id) is not None
                assert not notes.all(CallEnded)
                await caller.do("hangup")
                ended = await notes.first(CallEnded)
    assert ended.reason == "the caller hung up"


async def test_trunk_calls_are_left_until_they_have_lasted_longer_than_a_call_may(tmp_path: Path) -> None:
    now = time.time()
    async with await Database.open(f"sqlite:///{tmp_path}/x.db") as database:
        journal = StoreJournal(database, clock=time.time, gather_seconds=0)
        journal.start()
        for call_id, began in (("young", now - 3600), ("overdue", now - 90_000)):
            journal.write(
                CallStarted(
                    call_id=call_id,
                    at=began,
                    account_id="gone",
                    direction=Direction.INCOMING,
                    source="+31201234567",
                    destination="+31207654321",
                )
            )
        await journal.close()
        notes = Notes()
        recovery = asyncio.create_task(
            Recovery(database, notes, "me", lambda call_id: False, time.time).run(now)
        )
        ended = await notes.first(CallEnded)
        recovery.cancel()
        await asyncio.gather(recovery, return_exceptions=True)
    assert (ended.call_id, ended.reason) == ("overdue", recovery_module.OVERDUE)
    assert len(notes.records) == 1
    assert not notes.all(RecordingStarted)
