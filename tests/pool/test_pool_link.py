"""The call process's end of the local socket, when parents hang up, talk nonsense, or stay away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from voice.pool import link as link_module
from voice.pool.link import ParentLink
from voice.pool.wire import CallOver, FromProcess, Hello, Noted, Tell, frame, read_from_process, told
from voice.records import CallChanged, CallStatus


class Parents:
    """A socket that call processes connect to; `welcome` says what becomes of a connection."""

    def __init__(self) -> None:
        self.met = 0
        self.heard: list[FromProcess] = []
        self.welcome: Callable[[asyncio.StreamWriter], bool] = lambda writer: True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.met += 1
        try:
            while self.welcome(writer):
                self.heard.append(await read_from_process(reader))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def listening(path: Path, parents: Parents) -> AsyncIterator[None]:
    server = await asyncio.start_unix_server(parents.serve, path)
    async with server:
        yield


@asynccontextmanager
async def linked(path: Path) -> AsyncIterator[ParentLink]:
    def hello() -> Hello:
        return Hello(
            pid=1,
            zygote=1,
            host="127.0.0.1",
            port=1,
            rtp_port=1,
            calls=[],
            dialogs=[],
            recordings=[],
            taken=0,
        )

    link = ParentLink(str(path), hello, lambda message: None)
    running = asyncio.create_task(link.run())
    async with asyncio.timeout(20):
        yield link
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def turns(count: int = 50) -> None:
    """Lets everything that is ready run, socket events included."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_parent_that_hangs_up_is_not_called_again_without_a_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "RECONNECT_SECONDS", 3600.0)
    parents = Parents()
    parents.welcome = lambda writer: False
    async with listening(tmp_path / "s", parents), linked(tmp_path / "s") as link:
        while not (parents.met and link.orphaned_since):
            await asyncio.sleep(0)
        await turns()
        assert parents.met == 1


async def test_a_parent_that_talks_nonsense_is_left_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "RECONNECT_SECONDS", 0.01)
    parents = Parents()

    def nonsense(writer: asyncio.StreamWriter) -> bool:
        if parents.met == 1:
            writer.write(b"\0\0\0\2{}")
        return True

    parents.welcome = nonsense
    async with listening(tmp_path / "s", parents), linked(tmp_path / "s"):
        while len(parents.heard) < 2:
            await asyncio.sleep(0.001)
    assert all(isinstance(message, Hello) for message in parents.heard)


async def test_what_was_told_without_a_parent_is_kept_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "RECONNECT_SECONDS", 0.01)
    parents = Parents()
    async with linked(tmp_path / "s") as link:
        await link.flush(0.01)
        link.send(CallOver(call_id="one"))
        flushing = asyncio.create_task(link.flush(20))
        await turns()
        assert not flushing.done()
        async with listening(tmp_path / "s", parents):
            await flushing
            while len(parents.heard) < 2:
                await asyncio.sleep(0.001)
    assert parents.heard[1] == CallOver(call_id="one")


async def test_nobody_is_waited_for_longer_than_allowed(tmp_path: Path) -> None:
    async with linked(tmp_path / "s") as link:
        link.send(CallOver(call_id="one"))
        await link.flush(0.01)


async def test_what_was_told_is_told_to_each_parent_until_one_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "RECONNECT_SECONDS", 0.01)
    parents = Parents()
    records = [CallChanged(call_id="one", at=float(at), status=CallStatus.ONGOING) for at in range(3)]

    def takes_one_and_goes(writer: asyncio.StreamWriter) -> bool:
        if parents.met == 1 and len(parents.heard) == 4:
            writer.write(frame(Noted(number=1)))
            return False
        if len(parents.heard) == 7:
            writer.write(frame(Noted(number=3)))
        return True

    parents.welcome = takes_one_and_goes
    async with linked(tmp_path / "s") as link:
        for record in records:
            link.tell(record)
        flushing = asyncio.create_task(link.flush(20))
        async with listening(tmp_path / "s", parents):
            await flushing
    tells = [told(message) for message in parents.heard if isinstance(message, Tell)]
    assert parents.met == link.parents == 2
    assert tells == [*records, *records[1:]]


async def test_of_too_much_that_nobody_takes_the_oldest_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "RECONNECT_SECONDS", 0.01)
    monkeypatch.setattr(link_module, "MAX_BACKLOG", 2)
    parents = Parents()
    async with linked(tmp_path / "s") as link:
        for at in range(3):
            link.tell(CallChanged(call_id="one", at=float(at), status=CallStatus.ONGOING))
        async with listening(tmp_path / "s", parents):
            while len(parents.heard) < 3:
                await asyncio.sleep(0.001)
    assert [message.number for message in parents.heard if isinstance(message, Tell)] == [2, 3]
