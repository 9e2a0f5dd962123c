"""What a pool survives: a parent that is killed, neighbours that come and go."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.audio import ARRIVES, read_wav, tone, tone_spans, write_wav
from tests.phone import phone
from tests.pool.conftest import GREET, GREET_AND_RECORD, MakeWorld
from voice.records import CallEnded, CallStatus


class Parent:
    """`parent_program` in a process of its own; what it tells is kept."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._told: list[Any] = []

    async def line(self, kind: str, **facts: object) -> Any:
        """The first thing told under this name with these facts, waited for."""
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            while True:
                for name, value in self._told:
                    if name == kind and all(value[key] == fact for key, fact in facts.items()):
                        return value
                line = await self.process.stdout.readline()
                if not line:
                    raise AssertionError(f"the parent ended without telling {kind}")
                self._told.append(json.loads(line))

    async def finish(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        await self.process.wait()


@asynccontextmanager
async def parent(*arguments: str) -> AsyncIterator[Parent]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.pool.parent_program",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Parent(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_call_outlives_its_parent_and_goes_on_at_its_step(tmp_path: Path, prompt: Path) -> None:
    heard = tmp_path / "heard.wav"
    call_id = str(uuid.uuid4())
    async with parent(str(tmp_path), str(prompt), call_id) as first:
        uri = await first.line("seat")
        async with phone("call", uri, "--record", str(heard)) as caller:
            # Killed in the middle of the first prompt: it has been fetched, the others have not.
            await first.line("StepStarted", step_id="one", call_id=call_id)
            await caller.event("media")
            first.process.kill()
            await first.process.wait()
            async with parent(str(tmp_path), str(prompt)) as second:
                await second.line("ready")
                assert (await second.line("CallEnded"))["status"] == CallStatus.ENDED
                assert await caller.ended() == 200
                await second.finish()
    spans = tone_spans(read_wav(heard), 440)
    began = sum(end - start for start, end in spans if start < spans[0][0] + 1.0)
    assert began > ARRIVES, "the prompt that played when the parent died went on"
    assert sum(end - start for start, end in spans) > 2.0, "the others were had from the next parent"


async def test_an_order_dies_with_its_parent_and_its_process_leaves(tmp_path: Path, prompt: Path) -> None:
    async with parent(str(tmp_path), str(prompt), str(uuid.uuid4())) as first:
        pid = await first.line("pid")
        await first.line("seat")
        first.process.kill()
        await first.process.wait()
        async with parent(str(tmp_path), str(prompt)) as second:
            await second.line("ready")
            # The INVITE was to come through the edge that died.
            async with asyncio.timeout(20):
                while Path(f"/proc/{pid}").exists():
                    await asyncio.sleep(0.01)
            await second.finish()


async def test_a_call_that_ends_without_a_parent_is_told_to_the_next(tmp_path: Path, prompt: Path) -> None:
    call_id = str(uuid.uuid4())
    async with parent(str(tmp_path), str(prompt), call_id) as first:
        uri, pid = await first.line("seat"), await first.line("pid")
        async with phone("call", uri) as caller:
            await caller.event("media")
            first.process.kill()
            await first.process.wait()
            await caller.do("hangup")
            await caller.ended()
        # Told to leave, it stays for the records that nobody has taken.
        os.kill(pid, signal.SIGTERM)
        async with parent(str(tmp_path), str(prompt)) as second:
            await second.line("ready")
            ended = await second.line("CallEnded", call_id=call_id)
            await second.line("LegMedia", call_id=call_id)
            await second.finish()
    assert ended["status"] == CallStatus.ENDED
    assert ended["reason"] == "the caller hung up"


async def test_calls_that_come_and_go_leave_their_neighbour_alone(world: MakeWorld, tmp_path: Path) -> None:
    """A `Call` object freed late would hang up the call that was given its id."""
    voice = write_wav(tmp_path / "voice.wav", tone(1000, 20.0))
    async with world(calls_per_process=2, max_processes=1) as here:
        _, lasting = await here.seat(GREET_AND_RECORD)
        async with phone("call", lasting, "--play", str(voice), "--talk", "12") as neighbour:
            await neighbour.event("media")
            for _ in range(4):
                order, uri = await here.seat(GREET)
                async with phone("call", uri) as passing:
                    assert await passing.ended() == 200
                await here.notes.first(CallEnded, lambda end, call=order.call_id: end.call_id == call)  # type: ignore[misc]
                assert not [event for event in neighbour.events if event.get("state") == "DISCONNECTED"]
            assert await neighbour.ended() == 200
        ended = [record for record in here.notes.records if isinstance(record, CallEnded)]
    assert ended[-1].reason == "the caller hung up"
    assert len(ended) == 5
