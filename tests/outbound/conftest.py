"""A queue in a real database, and around its dispatcher as much of a node as it needs."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from sip_config.directory import Directory
from sip_config.model import Account, AccountId
from tests.notes import PATIENCE_SECONDS, Notes
from voice.bells import Bells
from voice.edge.core.limits import Limits
from voice.edge.core.live_calls import LiveCall
from voice.edge.core.over_limit import OverLimit
from voice.outbound import Dispatcher
from voice.pool.orders import CallOrder, PoolFull
from voice.store import schema
from voice.store.database import Database, sqlite_url
from voice.store.outbound import NewCall, OutboundCall, OutboundStore
from voice.store.service_schema import outbound_calls

NODE = "node-1"
SAY = "<callflow><steps/></callflow>"


class Seats:
    """A pool that takes whatever it has room for; nobody answers."""

    def __init__(self) -> None:
        self.orders: list[CallOrder] = []
        self.room = 1_000
        self.refused = 0
        self._more = asyncio.Event()

    async def place(self, order: CallOrder) -> None:
        self._more.set()
        if len(self.orders) >= self.room:
            self.refused += 1
            raise PoolFull("all call processes are busy", 5)
        self.orders.append(order)

    async def until(self, count: int) -> list[CallOrder]:
        """The orders, once there are so many."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.orders) < count:
                self._more.clear()
                await self._more.wait()
        return self.orders

    async def refusal(self) -> None:
        """Waits until an order was refused."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self.refused:
                self._more.clear()
                await self._more.wait()


class Places:
    """The edge's own limits."""

    def __init__(self, accounts: Directory) -> None:
        self._accounts = accounts
        self.limits = Limits()

    def reserve(self, call_id: str, account_id: str) -> OverLimit | None:
        account = self._accounts.account(account_id)
        assert account is not None
        now = time.monotonic()
        return self.limits.admit(LiveCall(call_id, account, since=now), now)

    def taken(self, account_id: str) -> int:
        account = self._accounts.account(account_id)
        assert account is not None
        return self.limits.taken(account)

    def call_ended(self, call_id: str) -> None:
        self.limits.release(call_id, time.monotonic())


class Desk:
    """A store with a queue, and everything that its dispatcher works with."""

    def __init__(self, database: Database, accounts: tuple[Account, ...]) -> None:
        self.database = database
        self.bells = Bells()
        self.store = OutboundStore(database, time.time, self.bells)
        self.seats = Seats()
        self.directory = Directory(base_domain="sip.example.com", pop="eu1", accounts=accounts)
        self.places = Places(self.directory)
        self.notes = Notes()
        self.rehearsed: list[OutboundCall] = []
        self.dispatcher = Dispatcher(
            self.store,
            self.seats,
            self.places,
            lambda: self.directory,
            self.notes,
            self.bells,
            NODE,
            self._rehearse,
        )

    async def _rehearse(self, call: OutboundCall) -> None:
        self.rehearsed.append(call)
        if call.destination == "+31200000666":
            raise ZeroDivisionError

    async def wants(self, *calls: NewCall) -> None:
        await self.store.accept(*calls)

    async def state(self, call_id: str) -> str:
        async with self.database.reading() as connection:
            query = select(outbound_calls.c.state).where(outbound_calls.c.call_id == call_id)
            return str(await connection.scalar(query))

    async def reaches(self, call_id: str, state: str) -> None:
        """Waits until the queue has the call so."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.state(call_id) != state:
                await asyncio.sleep(0.01)

    async def call(self, call_id: str) -> tuple[str, str | None]:
        """Status and reason on record."""
        async with self.database.reading() as connection:
            query = select(schema.calls.c.status, schema.calls.c.end_reason).where(
                schema.calls.c.id == call_id
            )
            row = (await connection.execute(query)).one()
        return row.status, row.end_reason

    @asynccontextmanager
    async def dispatching(self) -> AsyncIterator[None]:
        running = asyncio.create_task(self.dispatcher.run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def account(name: str = "acme", *, rate: float = 1_000, most: int = 1_000) -> Account:
    return Account(
        id=AccountId(name), name=name, calls_per_second=rate, concurrent_calls=most, max_call_seconds=3_600
    )


def a_call(account_id: str = "acme", **other: object) -> NewCall:
    call = NewCall(
        call_id=str(uuid.uuid4()),
        account_id=account_id,
        origin="call",
        source="+31201234567",
        destination="+31207654321",
        document=SAY,
        created_at=time.time(),
    )
    return replace(call, **other)  # type: ignore[arg-type]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with await Database.open(sqlite_url(tmp_path / "x.db")) as opened:
        rows = [
            {
                "id": name,
                "name": name,
                "calls_per_second": 1.0,
                "concurrent_calls": 1,
                "max_call_seconds": 60,
            }
            for name in ("acme", "bolt")
        ]
        async with opened.writing() as connection:
            await connection.execute(insert(schema.accounts), rows)
        yield opened


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database, (account(), account("bolt")))
