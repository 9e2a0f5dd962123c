"""Callflows that the customer's web server returns while the call waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.audio import listen, read_wav, tone, tone_seconds, write_wav
from tests.e2e.conftest import MakePlatform, Voices
from tests.e2e.ears import CLEAR
from tests.e2e.flows import flow, hangup, play, say
from tests.e2e.node import NUMBER, account, media
from voice.records import CallStatus, Event, StepFinished


class Application:
    """The customer's web server."""

    def __init__(self) -> None:
        self.url = ""
        self.sounds = ""
        """URL of the test's temporary directory."""
        self.questions: list[dict[str, str]] = []
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.answer = web.Response(status=500)

    async def handle(self, request: web.Request) -> web.Response:
        self.questions.append(dict(request.query))
        self.asked.set()
        await self.may_answer.wait()
        return self.answer


@pytest.fixture
async def application(tmp_path: Path) -> AsyncIterator[Application]:
    one = Application()
    server = web.Application()
    server.router.add_get("/flow", one.handle)
    server.router.add_static("/sounds", tmp_path)
    runner = web.AppRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    one.url = f"http://{host}:{port}/flow"
    one.sounds = f"http://{host}:{port}/sounds"
    yield one
    await runner.cleanup()


async def test_a_flow_is_fetched_while_the_caller_hears_ringing(
    node: MakePlatform, application: Application, tmp_path: Path
) -> None:
    heard = tmp_path / "heard.wav"
    application.answer = web.Response(text=flow(say()), content_type="application/xml")
    async with node(account(url=application.url)) as here:
        async with here.pbx("--record", str(heard)) as caller:
            await application.asked.wait()
            await caller.event("state", status=180)
            assert not caller.heard("state", status=200)
            application.may_answer.set()
            assert await caller.ended() == 200
        prompt = await here.prompt()
        call_id = await here.call_id()
    (question,) = application.questions
    assert question["callID"] == call_id
    assert question["destination"].lstrip("+") == NUMBER.lstrip("+")
    assert listen(read_wav(heard), prompt).score > CLEAR


async def test_sounds_are_played_from_an_upload_and_from_a_url(
    node: MakePlatform, application: Application, voices: Voices, tmp_path: Path
) -> None:
    heard = tmp_path / "heard.wav"
    uploaded = voices(440, 0.7)
    write_wav(tmp_path / "remote.wav", tone(880, 0.7, rate=44_100), rate=44_100)
    steps = flow(play(Path(uploaded).name), play(f"{application.sounds}/remote.wav"))
    async with node(account(flow=steps, also=media(uploaded))) as here:
        async with here.pbx("--record", str(heard)) as caller:
            assert await caller.ended() == 200
        finished = await here.notes.some(2, StepFinished)
    assert [step.outcome for step in finished] == ["done", "done"]
    assert tone_seconds(read_wav(heard), 440) > 0.4
    assert tone_seconds(read_wav(heard), 880) > 0.4


async def test_a_server_that_fails_leads_to_the_fallback_flow(
    node: MakePlatform, application: Application
) -> None:
    application.may_answer.set()
    declared = account(url=application.url, flow=flow(hangup("busy")), limits='fallback_callflow = "main"')
    async with node(declared) as here:
        async with here.pbx() as caller:
            assert await caller.ended() == 486
        ended = await here.ended()
        event = await here.notes.first(Event)
    assert ended.status is CallStatus.BUSY
    assert (event.kind, event.call_id) == ("callflow_fetch_failed", ended.call_id)
    assert "500" in event.detail


async def test_a_server_that_fails_without_fallback_ends_the_call_with_the_reason(
    node: MakePlatform, application: Application
) -> None:
    application.may_answer.set()
    async with node(account(url=application.url)) as here:
        async with here.pbx() as caller:
            assert await caller.ended() == 480
        ended = await here.ended()
    assert ended.status is CallStatus.FAILED
    assert "500" in ended.reason
