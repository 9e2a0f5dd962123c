"""SIGKILL of the node at chosen points: nobody is called twice, and no accepted call is forgotten."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from tests.outbound.conftest import a_call
from tests.phone import Phone, phone
from tests.pool.conftest import GREET
from tests.ports import free_port
from voice.store import schema
from voice.store.database import Database, sqlite_url
from voice.store.outbound import NewCall, OutboundStore

pytestmark = pytest.mark.long

PATIENCE_SECONDS = 30.0


class World:
    """A data directory, a callee, and the nodes that come and go over them."""

    def __init__(self, folder: Path, database: Database, bob: Phone) -> None:
        self.folder = folder
        self.database = database
        self.bob = bob
        self.inside = free_port()

    @asynccontextmanager
    async def node(self, die_at: str = "") -> AsyncIterator[asyncio.subprocess.Process]:
        """A node in a process of its own; stopped in good order, unless it died."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.outbound.node",
            str(self.folder), await self.bob.address(), str(self.inside), die_at,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdin is not None
        try:
            yield process
        finally:
            process.stdin.close()
            await process.communicate()

    async def accept(self, call: NewCall) -> None:
        await OutboundStore(self.database, time.time).accept(call)

    async def end(self, call: NewCall) -> tuple[str, str]:
        """Status and reason on record, once it has ended."""
        query = select(schema.calls).where(schema.calls.c.id == call.call_id)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                async with self.database.reading() as connection:
                    row = (await connection.execute(query)).one()
                if row.ended_at is not None:
                    return row.status, row.end_reason
                await asyncio.sleep(0.05)

    async def dies_and_comes_back(self, die_at: str) -> tuple[NewCall, tuple[str, str]]:
        """A call that is accepted by a node which dies there, and how it ended under the next."""
        call = a_call(document=GREET)
        await self.accept(call)
        async with self.node(die_at) as first:
            assert await first.wait() == -signal.SIGKILL
        async with self.node():
            return call, await self.end(call)

    @property
    def rang(self) -> int:
        return len(self.bob.heard("incoming"))


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    async with (
        await Database.open(sqlite_url(folder / "x.db")) as database,
        phone("answer") as bob,
    ):
        row = {
            "id": "acme",
            "name": "acme",
            "calls_per_second": 1.0,
            "concurrent_calls": 1,
            "max_call_seconds": 60,
        }
        async with database.writing() as connection:
            await connection.execute(insert(schema.accounts).values(row))
        yield World(folder, database, bob)


async def test_killed_once_the_call_is_claimed_the_next_node_places_it(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        _, (status, _) = await here.dies_and_comes_back("claimed")
        assert (status, here.rang) == ("ended", 1)


async def test_killed_before_the_ticket_is_given_out_the_process_asks_the_next_node(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        _, (status, _) = await here.dies_and_comes_back("dialled")
        assert (status, here.rang) == ("ended", 1)


async def test_killed_once_a_leg_was_begun_the_call_ends_and_is_not_placed_again(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        _, (status, reason) = await here.dies_and_comes_back("leg")
        assert (status, here.rang) == ("failed", 0)
        assert "somebody may have been called" in reason


async def test_killed_while_it_talks_the_call_goes_on_to_its_end(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        call = a_call(
            document=GREET.replace(
                "</steps>", '<step id="p" action="pause"><length>3</length></step></steps>'
            )
        )
        async with here.node() as first:
            await here.accept(call)
            await here.bob.event("state", state="CONFIRMED")
            first.kill()
            await first.wait()
        async with here.node():
            status, reason = await here.end(call)
        assert await here.bob.ended() == 200
        assert (status, reason, here.rang) == ("ended", "The callflow came to its end.", 1)
