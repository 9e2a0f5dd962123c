"""The Python SDK of MessageBird, unchanged but for its base URL, over the voice surface of a running node."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import messagebird
import messagebird.client as sdk
import pytest
import requests
from messagebird.call_flow import CallFlow
from messagebird.voice_webhook import VoiceCreateWebhookRequest, VoiceUpdateWebhookRequest

from tests.audio import read_wav, tone_seconds
from tests.e2e.conftest import MakePlatform, Voices
from tests.sdk.callee import CALLEE, SOURCE, with_callee

T = TypeVar("T")

PATIENCE_SECONDS = 30.0

SAY = {
    "action": "say",
    "options": {"payload": "This is a test", "language": "en-GB", "voice": "male", "ifMachine": "continue"},
}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], messagebird.Client]:
    """The SDK pointed at a base URL."""

    def pointed(base: str, key: str) -> messagebird.Client:
        monkeypatch.setattr(sdk, "ENDPOINT", base)
        monkeypatch.setattr(sdk, "VOICE_API_ROOT", base)
        return messagebird.Client(key)

    return pointed


def until(what: Callable[[], T], good: Callable[[T], object]) -> T:
    """Asks again until the answer is good; in a thread of its own, since the SDK blocks."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not good(found := what()):
        assert time.monotonic() < deadline, f"waited too long: {found}"
        time.sleep(0.1)
    return found


def codes(error: Any) -> list[int]:
    return [one.code for one in error.value.errors]


async def test_call_flows(node: MakePlatform, client: Any, tmp_path: Path) -> None:
    async with with_callee(node, tmp_path) as (_, base, key):

        def story() -> None:
            api = client(base, key)
            made = api.call_flow_create([SAY], record=True, title="From Python")
            assert isinstance(made, CallFlow)
            assert made.title == "From Python"
            read = api.call_flow(made.id)
            assert read.record is True
            assert read.steps[0]["action"] == "say"
            assert read.steps[0]["options"]["payload"] == "This is a test"
            changed = api.call_flow_update(made.id, [SAY, SAY], False, False, title="Changed")
            assert len(changed.steps) == 2
            listed = api.call_flow_list(limit=5, offset=0)
            assert made.id in [flow.id for flow in listed.data]
            assert listed.pagination["perPage"] == 5
            api.call_flow_numbers_add(made.id, [SOURCE.removeprefix("+")])
            numbers = api.call_flow_numbers_list(made.id)
            assert [number.number for number in numbers.data] == [SOURCE.removeprefix("+")]
            with pytest.raises(sdk.ErrorException) as faulty:
                api.call_flow_create([{"action": "dance"}])
            assert "dance" in str(faulty.value)
            api.call_flow_delete(made.id)
            with pytest.raises(sdk.ErrorException) as gone:
                api.call_flow(made.id)
            assert 13 in codes(gone)

        await asyncio.to_thread(story)


async def test_webhooks(node: MakePlatform, client: Any, tmp_path: Path) -> None:
    async with with_callee(node, tmp_path) as (_, base, key):

        def story() -> None:
            api = client(base, key)
            made = api.voice_create_webhook(
                VoiceCreateWebhookRequest(url="https://example.com/a", title="title", token="secret")
            )
            assert made.url == "https://example.com/a"
            assert made.createdAtDatetime is not None
            assert api.voice_read_webhook(made.id).token == "secret"
            changed = api.voice_update_webhook(
                made.id, VoiceUpdateWebhookRequest(title="title", token="new secret")
            )
            assert changed.url == "https://example.com/a"
            assert changed.token == "new secret"
            assert [hook.id for hook in api.voice_list_webhooks().data] == [made.id]
            api.voice_delete_webhook(made.id)
            assert api.voice_list_webhooks().data == []

        await asyncio.to_thread(story)


async def test_a_call_its_recording_and_its_transcription(
    node: MakePlatform, client: Any, voices: Voices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # The SDK stores what it downloads where it is.
    async with with_callee(node, tmp_path, voice=voices(1000)) as (_, base, key):

        def story() -> None:
            api = client(base, key)
            flow = {"title": "A call", "steps": [SAY, {"action": "record", "options": {"maxLength": 2}}]}
            made = api.call_create(SOURCE, CALLEE, flow, {"url": "http://127.0.0.1:9/", "token": "secret"})
            assert made.data.status in ("queued", "starting")
            assert made.data.source == SOURCE.removeprefix("+")
            call_id = made.data.id
            ended = until(lambda: api.call(call_id), lambda call: call.data.endedAt)
            assert ended.data.status == "ended"
            assert call_id in [call.id for call in api.call_list(page=1).data]
            legs = requests.get(
                f"{base}/calls/{call_id}/legs", headers={"Authorization": f"AccessKey {key}"}, timeout=10
            ).json()
            (leg,) = legs["data"]
            assert (leg["status"], leg["direction"]) == ("hangup", "outgoing")
            recordings = api.voice_recording_list_recordings(call_id, leg["id"])
            (recording,) = recordings.data
            read = api.voice_recording_view(call_id, leg["id"], recording.id)
            assert (read.status, read.type, read.format) == ("done", "ivr", "wav")
            api.voice_recording_download(call_id, leg["id"], recording.id)
            assert tone_seconds(read_wav(tmp_path / f"{recording.id}.wav"), 1000) > 1.5
            text = api.voice_transcription_create(call_id, leg["id"], recording.id, "en-US")
            seen = until(
                lambda: api.voice_transcription_view(call_id, leg["id"], recording.id, text.data[0].id),
                lambda found: found.data[0].status in ("done", "failed"),
            )
            assert seen.data[0].status == "done"
            listed = api.voice_transcription_list(call_id, leg["id"], recording.id)
            assert [one.id for one in listed.data] == [text.data[0].id]
            foreign = api.voice_transcription_create(call_id, leg["id"], recording.id, "nl-NL")
            failed = until(
                lambda: api.voice_transcription_view(call_id, leg["id"], recording.id, foreign.data[0].id),
                lambda found: found.data[0].status in ("done", "failed"),
            )
            assert failed.data[0].status == "failed"
            # The SDK looks for a body that a correct 204 has not.
            with contextlib.suppress(TypeError):
                api.voice_recording_delete(call_id, leg["id"], recording.id)
            with pytest.raises(sdk.ErrorException):
                api.voice_recording_view(call_id, leg["id"], recording.id)

        await asyncio.to_thread(story)


async def test_a_call_is_hung_up_and_one_nobody_owns_is_refused(
    node: MakePlatform, client: Any, tmp_path: Path
) -> None:
    async with with_callee(node, tmp_path) as (_, base, key):

        def story() -> None:
            api = client(base, key)
            flow = {"steps": [{"action": "pause", "options": {"length": 60}}]}
            made = api.call_create(SOURCE, CALLEE, flow, {})
            until(lambda: api.call(made.data.id), lambda call: call.data.status == "ongoing")
            api.call_delete(made.data.id)
            ended = until(lambda: api.call(made.data.id), lambda call: call.data.endedAt)
            assert ended.data.status == "ended"
            with pytest.raises(sdk.ErrorException) as foreign:
                api.call_create("+31209999999", CALLEE, flow, {})
            assert "+31209999999" in str(foreign.value) or "31209999999" in str(foreign.value)

        await asyncio.to_thread(story)


async def test_voice_messages_and_the_balance(node: MakePlatform, client: Any, tmp_path: Path) -> None:
    async with with_callee(node, tmp_path) as (_, base, key):

        def story() -> None:
            api = client(base, key)
            sent = api.voice_message_create(
                [CALLEE.removeprefix("+")], "Hello World", {"reference": "Ref", "language": "en-gb"}
            )
            assert sent.recipients["totalCount"] == 1
            seen = until(
                lambda: api.voice_message(sent.id),
                lambda message: message.recipients["items"][0].status == "answered",
            )
            assert seen.recipients["totalDeliveredCount"] == 1
            assert sent.id in [message.id for message in api.voice_message_list().items]
            assert isinstance(api.balance().amount, int | float)

        await asyncio.to_thread(story)


async def test_verify(node: MakePlatform, client: Any, tmp_path: Path) -> None:
    async with with_callee(node, tmp_path) as (_, base, key):

        def story() -> None:
            api = client(base, key)
            sent = api.verify_create(
                CALLEE.removeprefix("+"),
                {"type": "tts", "maxAttempts": 2, "timeout": 60, "returnToken": True},
            )
            assert sent.status == "sent"
            token = sent.token
            assert token.isdigit()
            assert len(token) == 6
            wrong = "111111" if token != "111111" else "222222"
            with pytest.raises(sdk.ErrorException) as mistyped:
                api.verify_verify(sent.id, wrong)
            assert codes(mistyped) == [10]
            assert api.verify_verify(sent.id, token).status == "verified"
            api.call_delete(sent.messages["id"])
            api.verify_delete(sent.id)
            with pytest.raises(sdk.ErrorException) as gone:
                api.verify(sent.id)
            assert codes(gone) == [20]
            with pytest.raises(sdk.ErrorException) as channel:
                api.verify_create(CALLEE.removeprefix("+"))
            assert "sms" in str(channel.value)

        await asyncio.to_thread(story)
