"""A process killed while it accepts voice messages: each is there with all its calls, or not at all."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from tests.api.world import ACME, World
from voice.store.outbound import OutboundStore
from voice.store.service_schema import outbound_calls, voice_message_recipients, voice_messages

ROOT = Path(__file__).resolve().parents[2]
ACCEPTS = """
import asyncio, sys, time, uuid
from pathlib import Path
from voice.store.database import Database, sqlite_url
from voice.store.messages import MessageStore, NewMessage
from voice.store.outbound import NewCall, OutboundStore

async def run(url, account):
    async with await Database.open(url) as database:
        store = MessageStore(database, OutboundStore(database, time.time))
        while True:
            message = NewMessage(
                id=uuid.uuid4().hex, account_id=account, originator=None, body="x", reference=None,
                language="en-gb", voice="female", repeat=1, if_machine="delay", machine_timeout=7000,
                scheduled_at=None, report_url=None, simulated=False, created_at=time.time(),
            )
            wanted = []
            for at in range(5):
                call = NewCall(
                    call_id=str(uuid.uuid4()), account_id=account, origin="voice_message",
                    source="+31201234567", destination=f"+3161234567{at}", created_at=time.time(),
                )
                wanted.append((f"3161234567{at}", call))
            await store.accept(message, wanted)
            print(message.id, flush=True)

asyncio.run(run(sqlite_url(Path(sys.argv[1])), sys.argv[2]))
"""


async def test_a_kill_forgets_nobody_and_calls_nobody_twice(api: World) -> None:
    path = api.settings.data_directory / "trunkflow.db"
    said: list[str] = []
    for accepted in (1, 4, 9):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", ACCEPTS, str(path), ACME), cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        for _ in range(accepted):
            said.append((await process.stdout.readline()).decode().strip())
        process.send_signal(signal.SIGKILL)
        said += (await process.stdout.read()).decode().split()
        assert await process.wait() == -signal.SIGKILL
    assert len(said) >= 14
    kept = {row["id"] for row in await api.rows(voice_messages)}
    assert set(said) <= kept
    people = await api.rows(voice_message_recipients)
    queued = {row["call_id"] for row in await api.rows(outbound_calls)}
    assert len(people) == len(queued) == 5 * len(kept)
    assert {row["call_id"] for row in people} == queued
    # Whoever comes next takes each call once.
    first, second = (OutboundStore(api.database, api.services.clock) for _ in range(2))
    due = await first.due(len(queued))
    assert {call.call_id for call in due} == queued
    assert [await first.claim(call, "a") for call in due] == [True] * len(due)
    assert await second.due(len(queued)) == ()
    assert [await second.claim(call, "b") for call in due] == [False] * len(due)
