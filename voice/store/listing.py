"""What the API reads of what happened: calls, legs, recordings, in pages, each account its own.

A row is a mapping of column names (`voice.objects` makes JSON of it).  Lists are in order of their time
and id, so that what is added goes to the end.  Errors of the database come out as StoreError.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Select, Table, func, or_, select, update

from sip_config.call_limits import CallLimits
from sip_config.identity_policy import IdentityPolicy
from voice.store.database import Database
from voice.store.schema import accounts, calls, legs, recordings

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which rows of a list are read."""

    limit: int
    offset: int = 0
    newest_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    rows: tuple[Row, ...]
    total: int
    """Of the whole list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter:
    """Each that is not None must fit.  Times are seconds since the epoch."""

    status: str | None = None
    source: str | None = None
    destination: str | None = None
    direction: str | None = None
    since: float | None = None
    """The earliest beginning."""
    until: float | None = None
    """Calls that began before."""


class Terms(NamedTuple):
    """On which an account may call."""

    identity: IdentityPolicy
    """What its calls may show of who calls."""
    limits: CallLimits
    """What it may call."""
    max_call_seconds: int


class Accounts:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def id_of(self, name_or_id: str) -> str | None:
        """The id of an account by its name or its id."""
        query = select(accounts.c.id).where(or_(accounts.c.id == name_or_id, accounts.c.name == name_or_id))
        with self._database.errors():
            async with self._database.reading() as connection:
                return (await connection.execute(query)).scalars().first()

    async def terms(self, account_id: str) -> Terms:
        """Of an account that there is."""
        query = select(accounts.c.identity, accounts.c.limits, accounts.c.max_call_seconds).where(
            accounts.c.id == account_id
        )
        with self._database.errors():
            async with self._database.reading() as connection:
                identity, limits, seconds = (await connection.execute(query)).one()
        return Terms(
            msgspec.json.decode(identity, type=IdentityPolicy),
            msgspec.json.decode(limits, type=CallLimits),
            int(seconds),
        )


class Listing:
    """Calls, legs and recordings of one account at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def calls(self, account_id: str, window: Window, wanted: CallFilter) -> Found:
        # A row without a beginning is a call of which only a later piece has been written yet.
        conditions = [calls.c.account_id == account_id, calls.c.started_at.is_not(None)]
        equal = {
            "status": wanted.status,
            "source": wanted.source,
            "destination": wanted.destination,
            "direction": wanted.direction,
        }
        conditions += [calls.c[name] == value for name, value in equal.items() if value is not None]
        if wanted.since is not None:
            conditions.append(calls.c.started_at >= wanted.since)
        if wanted.until is not None:
            conditions.append(calls.c.started_at < wanted.until)
        return await page(self._database, select(calls).where(*conditions), calls, calls.c.started_at, window)

    async def call(self, account_id: str, call_id: str) -> Row | None:
        query = select(calls).where(
            calls.c.id == call_id, calls.c.account_id == account_id, calls.c.started_at.is_not(None)
        )
        return await first(self._database, query)

    async def legs(self, account_id: str, call_id: str, window: Window) -> Found:
        query = _of_account(legs, account_id).where(legs.c.call_id == call_id)
        return await page(self._database, query, legs, legs.c.started_at, window)

    async def leg(self, account_id: str, leg_id: str, *, call_id: str | None = None) -> Row | None:
        """A leg; with `call_id`, only when it belongs to that call."""
        query = _of_account(legs, account_id).where(legs.c.id == leg_id)
        return await first(self._database, _within(query, legs.c.call_id, call_id))

    async def recordings(self, account_id: str, call_id: str, leg_id: str | None, window: Window) -> Found:
        """Those that have not been deleted, of one leg or of the whole call."""
        query = _of_account(recordings, account_id).where(
            recordings.c.call_id == call_id, recordings.c.deleted_at.is_(None)
        )
        return await page(
            self._database,
            _within(query, recordings.c.leg_id, leg_id),
            recordings,
            recordings.c.started_at,
            window,
        )

    async def recording(
        self, account_id: str, recording_id: str, *, call_id: str | None = None, leg_id: str | None = None
    ) -> Row | None:
        """A recording that has not been deleted; only of that call and leg, where given."""
        query = _of_account(recordings, account_id).where(
            recordings.c.id == recording_id, recordings.c.deleted_at.is_(None)
        )
        query = _within(_within(query, recordings.c.call_id, call_id), recordings.c.leg_id, leg_id)
        return await first(self._database, query)

    async def forget_recording(self, recording_id: str, now: float) -> None:
        """Marks it as deleted."""
        with self._database.errors():
            async with self._database.writing() as connection:
                await connection.execute(
                    update(recordings)
                    .where(recordings.c.id == recording_id, recordings.c.deleted_at.is_(None))
                    .values(deleted_at=now, updated_at=now)
                )


async def page(
    database: Database, query: Select[Any], table: Table, time: ColumnElement[Any], window: Window
) -> Found:
    """One window of what `query` finds, in order of `time` and the table's id; and how much there is."""
    order: list[ColumnElement[Any]] = [time, table.c.id]
    if window.newest_first:
        order = [column.desc() for column in order]
    rows = query.order_by(*order).limit(window.limit).offset(window.offset)
    with database.errors():
        async with database.reading() as connection:
            counted = await connection.execute(select(func.count()).select_from(query.subquery()))
            found = await connection.execute(rows)
            return Found(rows=tuple(dict(row) for row in found.mappings()), total=int(counted.scalar_one()))


async def first(database: Database, query: Select[Any]) -> Row | None:
    with database.errors():
        async with database.reading() as connection:
            row = (await connection.execute(query)).mappings().first()
            return None if row is None else dict(row)


def _of_account(table: Table, account_id: str) -> Select[Any]:
    """Rows of a table whose calls belong to the account."""
    return (
        select(table)
        .join(calls, calls.c.id == table.c.call_id)
        .where(calls.c.account_id == account_id, table.c.started_at.is_not(None))
    )


def _within(query: Select[Any], column: ColumnElement[Any], value: str | None) -> Select[Any]:
    return query if value is None else query.where(column == value)
