"""Transcriptions from the request to the text, over HTTP, with an engine that is told what to hear."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from callflows.ports import Unavailable
from tests.api.world import ACME, Answer, World, world
from voice.store.schema import recordings
from voice.store.service_schema import deliveries, transcriptions
from voice.store.transcriptions import TranscriptionStore
from voice.transcription.service import TranscriptionService

CALL, LEG, RECORDING = (str(uuid.UUID(int=at)) for at in (1, 2, 3))
OLD = f"/calls/{CALL}/legs/{LEG}/recordings/{RECORDING}/transcriptions"
NEW = f"/recordings/{RECORDING}/transcriptions"


class Ears:
    """Hears what it is told to, in English."""

    def __init__(self) -> None:
        self.hears: str | Exception = "hello world"
        self.began = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.is_closed = False

    def refusal(self, language: str) -> str | None:
        return None if language == "en-US" else f"No engine here transcribes {language}. Use en-US."

    async def transcribe(self, path: Path, language: str) -> str:
        self.began.set()
        await self.may_end.wait()
        if isinstance(self.hears, Exception):
            raise self.hears
        return self.hears

    async def close(self) -> None:
        self.is_closed = True


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        await made.call(CALL)
        await made.leg(LEG, CALL)
        await made.recording(RECORDING, CALL, LEG)
        yield made


@asynccontextmanager
async def serving(api: World, ears: Ears) -> AsyncIterator[None]:
    service = TranscriptionService(store(api), [ears], api.services.bells, api.settings.recordings_directory)
    task = asyncio.create_task(service.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert ears.is_closed


def store(api: World) -> TranscriptionStore:
    return TranscriptionStore(api.database, clock=api.services.clock, bells=api.services.bells)


async def until(api: World, path: str, *statuses: str) -> Answer:
    async with asyncio.timeout(10):
        while (answer := await api.ask("GET", path)).data[0]["status"] not in statuses:
            await asyncio.sleep(0.01)
    return answer


@pytest.mark.parametrize("path", [OLD, NEW, f"/v1{OLD}"])
@pytest.mark.parametrize(
    "raw",
    ['{"language":"en-US"}', '{"Language":"en-US"}', '"en-US"', "{}", ""],
    ids=["py", "cs", "java", "go", "php"],
)
async def test_from_the_request_to_the_text(api: World, path: str, raw: str) -> None:
    made = await api.ask("POST", path, raw=raw)
    assert made.status == 201
    transcription = made.data[0]
    assert (transcription["status"], transcription["recordingId"]) == ("created", RECORDING)
    links = {
        key: f"/transcriptions/{transcription['id']}{end}" for key, end in (("file", ".txt"), ("self", ""))
    }
    assert made.json["_links"] == transcription["_links"] == links
    early = await api.ask("GET", links["file"])
    assert (early.status, early.errors[0]["code"]) == (422, 21)
    async with serving(api, Ears()):
        done = await until(api, f"{path}/{transcription['id']}", "done")
    assert done.data[0]["error"] is None
    for file in (links["file"], f"{path}/{transcription['id']}.txt"):
        text = await api.ask("GET", file, headers={"Accept": "text/plain"})
        assert (text.content, text.headers["Content-Type"]) == (b"hello world", "text/plain; charset=utf-8")
        assert text.headers["Content-Disposition"] == f'attachment; filename="{transcription["id"]}.txt"'
    assert [one["id"] for one in (await api.ask("GET", path)).data] == [transcription["id"]]


async def test_each_change_is_announced(api: World) -> None:
    await api.ask("POST", "/webhooks", {"url": "https://example.com/hook"})
    made = (await api.ask("POST", NEW, {})).data[0]["id"]
    async with serving(api, Ears()):
        await until(api, f"/transcriptions/{made}", "done")
    told = [row["event"] for row in await api.rows(deliveries)]
    assert told == ["transcriptionCreated", "transcriptionUpdated", "transcriptionUpdated"]


@pytest.mark.parametrize(
    ("language", "hears", "reason"),
    [
        ("nl-NL", "", "No engine here transcribes nl-NL"),
        ("en-US", Unavailable("The recording lasts too long."), "lasts too long"),
        ("en-US", RuntimeError("a bug"), "An internal error"),
    ],
)
async def test_what_fails_says_why(api: World, language: str, hears: str | Exception, reason: str) -> None:
    made = (await api.ask("POST", NEW, {"language": language})).data[0]["id"]
    ears = Ears()
    ears.hears = hears
    async with serving(api, ears):
        failed = await until(api, f"/transcriptions/{made}", "failed")
    assert reason in failed.data[0]["error"]
    text = await api.ask("GET", f"/transcriptions/{made}.txt")
    assert (text.status, reason in text.errors[0]["message"]) == (422, True)


async def test_it_waits_for_a_recording_that_is_not_complete(api: World) -> None:
    late, leg = str(uuid.uuid4()), str(uuid.uuid4())
    # As the pool asks, before the journal has written the recording's row.
    row = await store(api).request(
        recording_id=late, call_id=CALL, leg_id=leg, account_id=ACME, language="en-US"
    )
    path = f"/transcriptions/{row['id']}"
    assert await store(api).claim() is None
    await api.recording(late, CALL, leg, status="recording")
    assert await store(api).claim() is None
    async with api.database.writing() as connection:
        await connection.execute(recordings.update().where(recordings.c.id == late).values(status="done"))
    async with serving(api, Ears()):
        await until(api, path, "done")


async def test_a_deleted_recording(api: World) -> None:
    made = (await api.ask("POST", NEW, {})).data[0]["id"]
    assert (await api.ask("DELETE", f"/recordings/{RECORDING}")).status == 204
    async with serving(api, Ears()):
        failed = await until(api, f"/transcriptions/{made}", "failed")
    assert "deleted" in failed.data[0]["error"]
    assert (await api.ask("POST", NEW, {})).status == 404


async def test_one_that_was_interrupted_begins_anew(api: World) -> None:
    made = (await api.ask("POST", NEW, {})).data[0]["id"]
    held = Ears()
    held.may_end.clear()
    async with serving(api, held):
        await held.began.wait()
        assert (await api.ask("GET", f"/transcriptions/{made}")).data[0]["status"] == "transcribing"
    async with serving(api, Ears()):
        await until(api, f"/transcriptions/{made}", "done")


async def test_another_account_sees_nothing_of_it(api: World) -> None:
    made = (await api.ask("POST", NEW, {})).data[0]["id"]
    for method, path in (("GET", NEW), ("POST", NEW), ("GET", OLD), ("GET", f"/transcriptions/{made}")):
        assert (await api.ask(method, path, key="other")).status == 404
    assert (await api.ask("GET", f"/transcriptions/{made}.txt", key="other")).status == 404


async def test_a_recording_has_only_so_many(api: World) -> None:
    statuses = [(await api.ask("POST", NEW, {})).status for _ in range(21)]
    assert statuses == [201] * 20 + [422]
    assert len(await api.rows(transcriptions)) == 20
