"""The whole story of a developer: a sample server answers a PBX, and hears, signed, what happened."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.audio import read_wav, tone_seconds
from tests.baresip import baresip
from tests.e2e.conftest import MakePlatform, Voices
from tests.e2e.node import BASE_DOMAIN, NUMBER, PASSWORD, USER, Platform, account
from tests.ports import free_port
from voice.records import CallStarted, StepFinished, StepStarted
from voice.store.database import Database
from voice.store.listing import Accounts
from voice.store.signing_keys import SigningKeys

pytestmark = pytest.mark.peer

SAMPLE = Path(__file__).resolve().parents[2] / "samples" / "mailbox.py"
PATIENCE_SECONDS = 20.0


class Mailbox:
    """The sample, running; what it prints is kept."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.url = f"http://127.0.0.1:{port}"
        self.printed: list[str] = []
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.printed.append(line.decode().strip())

    async def ready(self, port: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    assert self._process.returncode is None, "\n".join(self.printed)
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    await writer.wait_closed()
                    return

    async def told(self, *words: str) -> str:
        """Waits until it has printed a line that begins and ends so."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                for line in self.printed:
                    if line.startswith(words[0]) and line.endswith(words[-1]):
                        return line
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        self._process.terminate()
        await self._process.wait()
        await self._reader


@asynccontextmanager
async def mailbox(port: int, signing_key: str) -> AsyncIterator[Mailbox]:
    """Runs the sample as its reader would."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(SAMPLE),
        env={**os.environ, "SIGNING_KEY": signing_key, "PORT": str(port)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    one = Mailbox(process, port)
    try:
        await one.ready(port)
        yield one
    finally:
        await one.close()


async def signing_key(here: Platform) -> str:
    async with await Database.of(here.settings) as database:
        account_id = await Accounts(database).id_of("acme")
        assert account_id is not None
        return await SigningKeys(database, time.time).current(account_id)


async def test_a_message_is_left_in_the_mailbox(node: MakePlatform, voices: Voices, tmp_path: Path) -> None:
    port = free_port()
    async with (
        node(account(url=f"http://127.0.0.1:{port}/flow")) as here,
        mailbox(port, await signing_key(here)) as server,
        aiohttp.ClientSession(headers={"Authorization": f"AccessKey {await here.key()}"}) as api,
    ):
        async with api.post(f"{here.api_url}/webhooks", json={"url": f"{server.url}/events"}) as made:
            assert made.status == 201
        pbx = baresip(
            tmp_path / "baresip",
            port=free_port(),
            voice=voices(1000),
            identity=f"sip:{USER}@acme.{BASE_DOMAIN}",
            user=USER,
            password=PASSWORD,
            proxy=here.door(),
        )
        async with pbx as caller:
            await caller.command("dial", f"sip:{NUMBER}@acme.{BASE_DOMAIN}")
            await here.notes.first(StepStarted, lambda step: step.action == "say")
            await caller.event("CALL_ESTABLISHED")
            await caller.command("sndcode", "1")
            await here.recorded(1.5)
            await caller.command("sndcode", "#")
            await caller.event("CALL_CLOSED")
        call = await here.notes.first(CallStarted)
        ended = await here.ended()
        steps = [(step.action, step.outcome) for step in here.notes.all(StepFinished)]
        await server.told("callCreated", f"{call.call_id} starting")
        await server.told("callUpdated", f"{call.call_id} ended")
        line = await server.told("recordingUpdated", "done")
        recording_id = line.split()[1]
        async with api.get(f"{here.api_url}/recordings/{recording_id}.wav") as answer:
            assert answer.status == 200
            content = await answer.read()
    assert steps == [("say", "done"), ("record", "done"), ("say", "done")]
    assert ended.reason == "The callflow came to its end."
    (tmp_path / "message.wav").write_bytes(content)
    assert tone_seconds(read_wav(tmp_path / "message.wav"), 1000) > 1.0
