"""Whoever kills the platform, at any moment: nothing that it accepted is lost, and nobody is called twice."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.e2e.node import NUMBER, account, gateway
from tests.e2e.served import Served, served
from tests.ports import free_port
from tests.sipp import invited, sipp

pytestmark = [pytest.mark.long, pytest.mark.peer]

KILLS = 50
MOST_CALLS = 400
LIMITS = "calls_per_second = 50.0\nconcurrent_calls = 200"
CALLFLOW = {"steps": [{"action": "pause", "options": {"length": 0.3}}]}
FINAL = {"ended", "failed", "busy", "no_answer"}
PATIENCE_SECONDS = 90.0


class Receiver:
    """The customer's web server: keeps what it is told."""

    def __init__(self) -> None:
        self.told: Counter[tuple[str, str, str]] = Counter()
        """How often each (event, id, status) came: at least once, perhaps more often."""

    async def handle(self, request: web.Request) -> web.Response:
        for item in (await request.json())["items"]:
            payload = item["payload"]
            self.told[item["event"], payload["id"], payload["status"]] += 1
        return web.Response()


class Load:
    """A customer who places calls and sends messages, and remembers what was accepted."""

    def __init__(self, base: str, key: str, hook: str) -> None:
        self._base = base
        self._headers = {"Authorization": f"AccessKey {key}"}
        self._hook = hook
        self._next = 0
        self.calls: dict[str, str] = {}
        """Destination of each accepted call, by id."""
        self.messages: dict[str, str] = {}
        """Recipient of each accepted message, by id."""

    async def run(self, session: aiohttp.ClientSession) -> None:
        while len(self.calls) + len(self.messages) < MOST_CALLS:
            self._next += 1
            number = f"+31612{self._next:06}"
            # Killed meanwhile: whether it was accepted, nobody knows; that is not what is promised.
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                if self._next % 4:
                    self.calls[await self._call(session, number)] = number
                else:
                    self.messages[await self._message(session, number)] = number
            await asyncio.sleep(0.02)

    async def reaches(self, calls: int) -> None:
        """Waits until so many calls are accepted."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.calls) < calls:
                await asyncio.sleep(0.02)

    async def _call(self, session: aiohttp.ClientSession, number: str) -> str:
        webhook = {"url": self._hook, "token": "secret"}
        body = {"source": NUMBER, "destination": number, "callFlow": CALLFLOW, "webhook": webhook}
        answer = await self._post(session, "/calls", body)
        accepted: str = answer["data"][0]["id"]
        return accepted

    async def _message(self, session: aiohttp.ClientSession, number: str) -> str:
        at = (datetime.now(UTC) + timedelta(seconds=1)).isoformat(timespec="seconds")
        body = {"originator": NUMBER, "recipients": [number], "body": "Hi.", "scheduledDatetime": at}
        accepted: str = (await self._post(session, "/voicemessages", body))["id"]
        return accepted

    async def _post(self, session: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> Any:
        async with session.post(self._base + path, json=body, headers=self._headers) as answer:
            assert answer.status == 201, await answer.text()
            return await answer.json()

    async def get(self, session: aiohttp.ClientSession, path: str) -> Any:
        while True:
            async with session.get(self._base + path, headers=self._headers) as answer:
                if answer.status != 429:
                    assert answer.status == 200, await answer.text()
                    return await answer.json()
                wait = float(answer.headers["Retry-After"])
            await asyncio.sleep(wait)

    async def ends(self, session: aiohttp.ClientSession) -> dict[str, dict[str, Any]]:
        """The accepted calls, once all of them have ended."""
        ends: dict[str, dict[str, Any]] = {}
        async with asyncio.timeout(PATIENCE_SECONDS):
            for call_id in self.calls:
                while True:
                    (call,) = (await self.get(session, f"/calls/{call_id}"))["data"]
                    if call["status"] in FINAL:
                        break
                    await asyncio.sleep(0.2)
                ends[call_id] = call
        return ends

    async def recipients(self, session: aiohttp.ClientSession) -> dict[str, str]:
        """The status of each recipient, once none is being called."""
        statuses: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE_SECONDS):
            for message_id in self.messages:
                while True:
                    message = await self.get(session, f"/voicemessages/{message_id}")
                    (recipient,) = message["recipients"]["items"]
                    if recipient["status"] not in ("scheduled", "calling"):
                        break
                    await asyncio.sleep(0.2)
                statuses[message_id] = recipient["status"]
        return statuses


async def _killed_again_and_again(node: Served, load: Load, session: aiohttp.ClientSession) -> None:
    dice = random.Random(3)
    work = asyncio.create_task(load.run(session))
    try:
        for number in range(1, KILLS + 1):
            await asyncio.sleep(dice.uniform(0.0, 0.6))
            # A slow machine would kill a node that has hardly been asked for anything.
            await load.reaches(2 * number + 1)
            await node.kill()
            await node.start()
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def test_fifty_kills_lose_nothing_and_call_nobody_twice(tmp_path: Path) -> None:
    receiver = Receiver()
    app = web.Application()
    app.add_routes([web.post("/hook", receiver.handle)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    hook_port = runner.addresses[0][1]
    port = free_port()
    own = f'[accounts.acme.numbers."{NUMBER}"]\n'
    declaration = account(limits=LIMITS, also=own) + gateway("carrier", f"127.0.0.1:{port}")
    try:
        async with (
            sipp(
                "callee", None, folder=tmp_path / "callee", port=port, calls=2 * MOST_CALLS, patience=600
            ) as callee,
            served(tmp_path, declaration) as node,
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
        ):
            load = Load(node.api_url, await node.key(), f"http://127.0.0.1:{hook_port}/hook")
            await _killed_again_and_again(node, load, session)
            ends = await load.ends(session)
            recipients = await load.recipients(session)
            called = invited(callee)
            await _told_of(receiver, ends)
    finally:
        await runner.cleanup()
    assert len(ends) > 100, "the load was too small to mean anything"
    assert [number for number, times in called.items() if len(times) > 1] == []
    # Who was dialled as the node died may have heard it ring, no more: that is on record as a failure.
    cut_off = [call_id for call_id, end in ends.items() if end["status"] == "failed"]
    unheard = [
        number for call_id, number in load.calls.items() if number not in called and call_id not in cut_off
    ]
    assert unheard == []
    assert len(cut_off) < len(ends) / 4, f"{len(cut_off)} of {len(ends)} calls failed"
    lost = [load.messages[one] for one, status in recipients.items() if status == "answered"]
    assert [number for number in lost if number not in called] == []


async def _told_of(receiver: Receiver, ends: dict[str, dict[str, Any]]) -> None:
    """Waits until the first and the last event of each call have come."""

    def missing() -> list[tuple[str, str, str]]:
        wanted = [("callCreated", call_id, "queued") for call_id in ends]
        wanted += [("callUpdated", call_id, end["status"]) for call_id, end in ends.items()]
        return [one for one in wanted if not receiver.told[one]]

    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while missing():
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise AssertionError(f"events that never came: {missing()}") from None
