"""An API on a real database and a real port, with two accounts that must not see each other."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import Table, insert, select

from tests.api.conformance import Conformance
from voice.api import resources
from voice.api.operation import Operation
from voice.api.server import ApiServer
from voice.api.services import Services
from voice.bells import Bells
from voice.settings import ApiSettings, RelaySettings, Secret, Settings, SocketAddress
from voice.store.access_keys import AccessKeys
from voice.store.commands import Command, Commands, Outcome
from voice.store.database import Database, sqlite_url
from voice.store.schema import accounts, calls, legs, numbers, recordings

ACME, OTHER = "acme-id", "other-id"
NUMBER, OTHERS_NUMBER = "+31201234567", "+31207654321"
T0 = 1_488_807_254.0
"""2017-03-06T13:34:14Z"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: Any
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def data(self) -> Any:
        return self.json["data"]

    @property
    def errors(self) -> Any:
        return self.json["errors"]


@dataclass(slots=True, kw_only=True)
class World:
    settings: Settings
    database: Database
    services: Services
    server: ApiServer
    session: aiohttp.ClientSession
    keys: dict[str, str] = field(default_factory=dict)
    """By what they are for: live, test, other, operator, reader."""
    conformance: Conformance | None = None
    """Checks each answer against the documentation."""

    @property
    def address(self) -> SocketAddress:
        return self.server.addresses[0]

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = "live",
        raw: bytes | str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """A request with `body` as JSON, or with `raw` as it is."""
        sent = dict(headers or {})
        if key is not None:
            sent.setdefault("Authorization", f"AccessKey {self.keys.get(key, key)}")
        if body is not None:
            raw = json.dumps(body)
            sent.setdefault("Content-Type", "application/json")
        url = f"http://{self.address}{path}"
        async with self.session.request(method, url, data=raw, headers=sent) as answer:
            content = await answer.read()
            if self.conformance is not None:
                self.conformance.check(method, path, answer.status, answer.content_type, content)
            return Answer(status=answer.status, headers=answer.headers, content=content)

    async def put(self, table: Table, *rows: dict[str, Any]) -> None:
        async with self.database.writing() as connection:
            for row in rows:
                await connection.execute(insert(table).values(row))

    async def call(self, call_id: str, *, account: str = ACME, at: float = T0, **columns: Any) -> str:
        row = {
            "id": call_id,
            "account_id": account,
            "direction": "outgoing",
            "status": "ended",
            "source": NUMBER,
            "destination": "+31612345678",
            "started_at": at,
            "updated_at": at + 60,
            "ended_at": at + 60,
        }
        await self.put(calls, {**row, **columns})
        return call_id

    async def leg(self, leg_id: str, call_id: str, *, at: float = T0, **columns: Any) -> str:
        row = {
            "id": leg_id,
            "call_id": call_id,
            "direction": "outgoing",
            "status": "hangup",
            "source": NUMBER,
            "destination": "+31612345678",
            "sip_status": 200,
            "started_at": at,
            "answered_at": at + 5,
            "updated_at": at + 60,
            "ended_at": at + 60,
        }
        await self.put(legs, {**row, **columns})
        return leg_id

    async def recording(self, recording_id: str, call_id: str, leg_id: str, **columns: Any) -> Path:
        """A recording with a file."""
        folder = self.settings.recordings_directory / ACME
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        path = folder / f"{recording_id}.wav"
        await asyncio.to_thread(path.write_bytes, bytes(range(256)) * 40)
        row = {
            "id": recording_id,
            "call_id": call_id,
            "leg_id": leg_id,
            "kind": "ivr",
            "path": str(path),
            "status": "done",
            "started_at": T0 + 10,
            "ended_at": T0 + 20,
            "seconds": 9.5,
            "size": 10_240,
        }
        await self.put(recordings, {**row, **columns})
        return path

    @asynccontextmanager
    async def obeying(self, *outcomes: Outcome) -> AsyncIterator[list[Command]]:
        """A node that takes commands and says of each, in turn, what became of it; yields what it got."""
        commands = self.services.commands
        assert commands is not None
        got: list[Command] = []
        due = iter(outcomes)

        async def obey() -> None:
            while True:
                await self.services.bells.commands.wait(1.0)
                for given in await commands.waiting():
                    await commands.take(given.id)
                    got.append(given.command)
                    await commands.finish(given.id, next(due))

        task = asyncio.create_task(obey())
        try:
            yield got
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def rows(self, table: Table) -> list[dict[str, Any]]:
        async with self.database.reading() as connection:
            return [dict(row) for row in (await connection.execute(select(table))).mappings()]

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A bare connection, for what no client library sends."""
        reader, writer = await asyncio.open_connection(self.address.host, self.address.port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def world(
    folder: Path, operations: Iterable[Operation] | None = None, **api: Any
) -> AsyncIterator[World]:
    """`api`: settings that differ from the usual ones."""
    address = SocketAddress(host="127.0.0.1", port=0)
    usual = ApiSettings(listen=(address,), requests_per_second=10_000, burst=10_000)
    settings = Settings(
        base_domain="sip.example.com",
        data_directory=folder,
        api=replace(usual, **api),
        relay=RelaySettings(key=Secret("a key that all points of presence share")),
    )
    async with await Database.open(sqlite_url(folder / "trunkflow.db")) as database:
        keys = AccessKeys(database, time.time)
        bells = Bells()
        services = Services(
            settings=settings,
            database=database,
            keys=keys,
            bells=bells,
            commands=Commands(database, bells, time.time),
        )
        async with (
            ApiServer(settings.api, services, operations) as server,
            aiohttp.ClientSession() as session,
        ):
            made = World(
                settings=settings,
                database=database,
                services=services,
                server=server,
                session=session,
                conformance=Conformance(resources.operations(services)) if operations is None else None,
            )
            for account, name in ((ACME, "acme"), (OTHER, "other")):
                row = {"id": account, "name": name, "calls_per_second": 10.0, "concurrent_calls": 10}
                await made.put(accounts, {**row, "max_call_seconds": 14_400})
            for owner, number in ((ACME, NUMBER), (OTHER, OTHERS_NUMBER)):
                await made.put(numbers, {"id": str(uuid.uuid4()), "account_id": owner, "e164": number})
            made.keys["live"], _ = await keys.create(ACME)
            made.keys["test"], _ = await keys.create(ACME, test=True)
            made.keys["reader"], _ = await keys.create(ACME, scopes=("calls:read", "webhooks:read"))
            made.keys["other"], _ = await keys.create(OTHER)
            made.keys["operator"], _ = await keys.create(None)
            yield made
