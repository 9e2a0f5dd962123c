"""Recordings: on their new and their deprecated paths, their sound in ranges, and their end."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import pytest

from tests.api.world import ACME, World

CALL, LEG, RECORDING = (str(uuid.UUID(int=at)) for at in (1, 2, 3))
OLD = f"/calls/{CALL}/legs/{LEG}/recordings"
PATHS = [f"/recordings/{RECORDING}", f"{OLD}/{RECORDING}", f"/v1{OLD}/{RECORDING}"]


async def recorded(api: World, **columns: object) -> Path:
    await api.call(CALL)
    await api.leg(LEG, CALL)
    return await api.recording(RECORDING, CALL, LEG, **columns)


@pytest.mark.parametrize("path", PATHS)
async def test_view(api: World, path: str) -> None:
    await recorded(api)
    answer = await api.ask("GET", path, headers={"Content-Type": "application/json"})
    assert answer.status == 200
    links = {"file": f"/recordings/{RECORDING}.wav", "self": f"/recordings/{RECORDING}"}
    assert answer.json["_links"] == links
    assert answer.data == [
        {
            "id": RECORDING,
            "format": "wav",
            "legId": LEG,
            "callId": CALL,
            "status": "done",
            "state": "done",
            "type": "ivr",
            "duration": 10,
            "createdAt": "2017-03-06T13:34:24Z",
            "updatedAt": "2017-03-06T13:34:34Z",
            "deletedAt": None,
            "_links": links,
        }
    ]


async def test_list(api: World) -> None:
    await recorded(api)
    listed = await api.ask("GET", f"{OLD}?limit=10&offset=0")
    assert [one["id"] for one in listed.data] == [RECORDING]
    assert listed.data[0]["_links"]["file"] == f"/recordings/{RECORDING}.wav"
    assert listed.json["pagination"]["totalCount"] == 1
    assert (await api.ask("GET", f"/calls/{CALL}/legs/nothing/recordings")).status == 404


@pytest.mark.parametrize("path", PATHS)
async def test_download(api: World, path: str) -> None:
    file = await recorded(api)
    content = await asyncio.to_thread(file.read_bytes)
    # Python, PHP and Java ask for JSON, even here.
    whole = await api.ask("GET", f"{path}.wav", headers={"Accept": "application/json"})
    assert whole.status == 200
    assert whole.content == content
    assert whole.headers["Content-Type"] == "audio/wav"
    assert whole.headers["Content-Disposition"] == f'attachment; filename="{RECORDING}.wav"'
    head = await api.ask("HEAD", f"{path}.wav")
    assert (head.status, head.headers["Content-Length"], head.content) == (200, str(len(content)), b"")


@pytest.mark.parametrize(
    ("asked", "status", "expected"),
    [
        ("bytes=0-99", 206, slice(0, 100)),
        ("bytes=10000-", 206, slice(10_000, None)),
        ("bytes=-5", 206, slice(-5, None)),
        ("bytes=99999-", 416, None),
        ("nonsense", 416, None),
    ],
)
async def test_ranges(api: World, asked: str, status: int, expected: slice | None) -> None:
    file = await recorded(api)
    content = await asyncio.to_thread(file.read_bytes)
    part = await api.ask("GET", f"/recordings/{RECORDING}.wav", headers={"Range": asked})
    assert part.status == status
    if expected is not None:
        assert part.content == content[expected]
        assert part.headers["Content-Range"].endswith(f"/{len(content)}")


@pytest.mark.parametrize("path", PATHS)
async def test_deleting_removes_the_file(api: World, path: str) -> None:
    file = await recorded(api)
    gone = await api.ask("DELETE", path, {})
    assert (gone.status, gone.content) == (204, b"")
    assert not await asyncio.to_thread(file.exists)
    for again in (path, f"{path}.wav"):
        missing = await api.ask("GET", again)
        assert (missing.status, missing.errors[0]["code"]) == (404, 13)
    assert (await api.ask("GET", OLD)).data == []
    assert (await api.ask("DELETE", path)).status == 404


async def test_one_that_is_being_made(api: World) -> None:
    file = await recorded(api, status="recording")
    for method, path in (("GET", f"/recordings/{RECORDING}.wav"), ("DELETE", f"/recordings/{RECORDING}")):
        refused = await api.ask(method, path)
        assert (refused.status, refused.errors[0]["code"]) == (422, 21)
    assert await asyncio.to_thread(file.exists)


async def test_another_account_sees_nothing_of_it(api: World) -> None:
    file = await recorded(api)
    for path in (*PATHS, OLD):
        assert (await api.ask("GET", path, key="other")).status == 404
        assert (await api.ask("GET", f"{path}.wav", key="other")).status == 404
        assert (await api.ask("DELETE", path, key="other")).status in (404, 405)
    assert await asyncio.to_thread(file.exists)


async def test_the_call_and_leg_of_a_path_count(api: World) -> None:
    await recorded(api)
    other = await api.call(str(uuid.UUID(int=9)))
    assert (await api.ask("GET", f"/calls/{other}/legs/{LEG}/recordings/{RECORDING}")).status == 404
    assert (await api.ask("GET", f"/calls/{CALL}/legs/{other}/recordings/{RECORDING}")).status == 404


async def test_no_path_outside_of_the_recordings(api: World, tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    await asyncio.to_thread(secret.write_bytes, b"secret")
    link = api.settings.recordings_directory / ACME / "link.wav"
    await asyncio.to_thread(link.parent.mkdir, parents=True)
    await asyncio.to_thread(link.symlink_to, secret)
    for at, path in enumerate((secret, link, link.parent / "../../secret.wav", Path("/etc/passwd"))):
        call, leg, recording = (str(uuid.UUID(int=100 * at + one)) for one in (10, 11, 12))
        await api.call(call)
        await api.leg(leg, call)
        await api.recording(recording, call, leg, path=str(path))
        assert (await api.ask("GET", f"/recordings/{recording}.wav")).status == 404
        assert (await api.ask("DELETE", f"/recordings/{recording}")).status == 204
    assert await asyncio.to_thread(secret.read_bytes) == b"secret"


@pytest.mark.parametrize("id", ["..%2f..%2fsecret", "%00", "%ff%fe", "a" * 3_000, "%2e%2e", "' OR 1=1 --"])
async def test_odd_ids_are_not_found(api: World, id: str) -> None:
    await recorded(api)
    missing = await api.ask("GET", f"/recordings/{id}.wav")
    assert missing.status == 404
    assert len(missing.content) < 1_000
