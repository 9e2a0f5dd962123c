"""Test keys: calls run in simulation, with the records of real ones, and no SIP leaves."""

from __future__ import annotations

import asyncio
import io
import wave
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.e2e.conftest import MakePlatform
from tests.e2e.node import NUMBER, Platform, account
from voice.records import CallEnded, LegStarted, StepFinished

OWN = account(also=f'[accounts.acme.numbers."{NUMBER}"]\n')
SAY = {"action": "say", "options": {"payload": "Hello there", "language": "en-GB", "ifMachine": "hangup"}}
RECORD = {"action": "record", "options": {"maxLength": 3}}


class Api:
    """The API, asked with a test key."""

    def __init__(self, here: Platform, key: str, session: aiohttp.ClientSession) -> None:
        self._base = here.api_url
        self._headers = {"Authorization": f"AccessKey {key}"}
        self._session = session

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        async with self._session.request(
            method, self._base + path, json=body, headers=self._headers
        ) as answer:
            assert answer.status in (200, 201), await answer.text()
            if answer.content_type == "application/json":
                return await answer.json()
            return await answer.read()

    async def call(self, destination: str, *steps: Any) -> Any:
        """A call, once it has ended."""
        body = {"source": NUMBER, "destination": destination, "callFlow": {"steps": list(steps)}}
        call_id = (await self.ask("POST", "/calls", body))["data"][0]["id"]
        async with asyncio.timeout(20):
            while True:
                (call,) = (await self.ask("GET", f"/calls/{call_id}"))["data"]
                if call["endedAt"]:
                    return call
                await asyncio.sleep(0.05)


async def test_a_simulated_call_leaves_the_records_of_a_real_one(node: MakePlatform) -> None:
    async with node(OWN) as here, aiohttp.ClientSession() as session:
        api = Api(here, await here.key(test=True), session)
        call = await api.call("+31612345678", SAY, RECORD)
        assert call["status"] == "ended"
        (leg,) = (await api.ask("GET", f"/calls/{call['id']}/legs"))["data"]
        assert (leg["status"], leg["direction"], leg["sipResponseCode"]) == ("hangup", "outgoing", 200)
        assert leg["cost"] == 0
        (recording,) = (await api.ask("GET", f"/calls/{call['id']}/legs/{leg['id']}/recordings"))["data"]
        assert (recording["status"], recording["type"], recording["duration"]) == ("done", "ivr", 3)
        content = await api.ask("GET", recording["_links"]["file"])
        with wave.open(io.BytesIO(content)) as file:
            assert file.getnframes() == 3 * 8000
        steps = here.notes.all(StepFinished)
        assert [(step.action, step.outcome) for step in steps] == [("say", "done"), ("record", "done")]
        assert here.node.edge.snapshot().messages_received == 0


@pytest.mark.parametrize(
    ("destination", "status", "leg_status", "code"),
    [
        ("+31600000001", "busy", "busy", 486),
        ("+31600000002", "no_answer", "no_answer", 480),
        ("+31600000003", "failed", "failed", 503),
        ("+31600000004", "ended", "hangup", 200),
    ],
)
async def test_numbers_that_do_not_just_answer(
    node: MakePlatform, destination: str, status: str, leg_status: str, code: int
) -> None:
    async with node(OWN) as here, aiohttp.ClientSession() as session:
        api = Api(here, await here.key(test=True), session)
        call = await api.call(destination, SAY)
        assert call["status"] == status
        (leg,) = (await api.ask("GET", f"/calls/{call['id']}/legs"))["data"]
        assert (leg["status"], leg["sipResponseCode"]) == (leg_status, code)
        if code == 200:
            ended = await here.notes.first(CallEnded)
            assert ended.reason == "A machine answered, and the callflow wants people only."


async def test_a_simulated_call_asks_the_customers_server(node: MakePlatform) -> None:
    asked = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((request.method, request.path, "MessageBird-Signature-JWT" in request.headers))
        return web.json_response({"steps": [{"action": "pause", "options": {"length": 1}}]})

    app = web.Application()
    app.add_routes([web.get("/flow", answer), web.post("/done", answer)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with node(OWN) as here, aiohttp.ClientSession() as session:
            api = Api(here, await here.key(test=True), session)
            fetch = {"action": "fetchCallFlow", "options": {"url": f"{base}/flow"}}
            record = {"action": "record", "options": {"maxLength": 2, "onFinish": f"{base}/done"}}
            assert (await api.call("+31612345678", fetch))["status"] == "ended"
            assert (await api.call("+31612345678", record))["status"] == "ended"
    finally:
        await runner.cleanup()
    assert asked == [("GET", "/flow", True), ("POST", "/done", True)]


async def test_voice_messages_of_test_keys_are_simulated(node: MakePlatform) -> None:
    async with node(OWN) as here, aiohttp.ClientSession() as session:
        api = Api(here, await here.key(test=True), session)
        body = {
            "recipients": ["31612345678", "31600000001", "31600000004"],
            "body": "Hi",
            "ifMachine": "hangup",
        }
        message = await api.ask("POST", "/voicemessages", body)
        async with asyncio.timeout(20):
            while True:
                seen = await api.ask("GET", f"/voicemessages/{message['id']}")
                statuses = [one["status"] for one in seen["recipients"]["items"]]
                if "calling" not in statuses:
                    break
                await asyncio.sleep(0.05)
        assert statuses == ["answered", "busy", "machine"]
        assert len(here.notes.all(LegStarted)) == 3
        assert here.node.edge.snapshot().messages_received == 0
