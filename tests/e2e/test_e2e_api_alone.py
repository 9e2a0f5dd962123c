"""The API in a process of its own, and a node without one: they share the database, and nothing else."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.e2e.node import NUMBER, account, gateway
from tests.e2e.served import served
from tests.phone import phone
from tests.ports import free_port

PATIENCE_SECONDS = 20.0


@asynccontextmanager
async def api_alone(config: Path, url: str) -> AsyncIterator[None]:
    """``trunkflow api``, until the context is left; then it is told to stop, and has to."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "voice.cli.main", "api", str(config), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    async with session.get(f"{url}/openapi.json") as answer:
                        assert answer.status == 200
                        break
                except aiohttp.ClientConnectionError:
                    assert process.returncode is None, "the API did not start"
                    await asyncio.sleep(0.05)
        yield
    finally:
        process.terminate()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await process.wait() == 0


async def test_a_call_is_placed_and_hung_up_by_another_process(tmp_path: Path) -> None:
    async with phone("answer") as callee:
        own = f'[accounts.acme.numbers."{NUMBER}"]\n'
        declaration = account(also=own) + gateway("carrier", await callee.address())
        async with served(tmp_path, declaration, api=False) as node:
            url = f"http://127.0.0.1:{free_port()}"
            config = tmp_path / "api.toml"
            text = node.config.read_text().replace("enabled = false", "enabled = true")
            config.write_text(text.replace(node.api_url.removeprefix("http://"), url.removeprefix("http://")))
            headers = {"Authorization": f"AccessKey {await node.key()}"}
            async with api_alone(config, url), aiohttp.ClientSession(headers=headers) as session:
                body = {
                    "source": NUMBER,
                    "destination": "+31612345678",
                    "callFlow": {"steps": [{"action": "pause", "options": {"length": 60}}]},
                }
                async with session.post(f"{url}/calls", json=body) as answer:
                    assert answer.status == 201
                    call_id = (await answer.json())["data"][0]["id"]
                await callee.event("state", state="CONFIRMED")
                assert (await until(session, f"{url}/calls/{call_id}", "ongoing"))["endedAt"] is None
                async with session.delete(f"{url}/calls/{call_id}") as answer:
                    assert answer.status == 204
                assert await callee.ended() == 200
                await until(session, f"{url}/calls/{call_id}", "ended")


async def until(session: aiohttp.ClientSession, url: str, status: str) -> Any:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            async with session.get(url) as answer:
                (call,) = (await answer.json())["data"]
            if call["status"] == status:
                return call
            await asyncio.sleep(0.05)
