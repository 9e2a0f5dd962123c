"""How long what happened is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Table, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from voice.store import schema
from voice.store.database import Database

_AT_ONCE: Final = 5_000
"""Rows of one deletion, so that the journal does not wait long for its turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Bounds of the tables that strangers can fill: by number of rows, and by age in days."""

    refusals: int = 200_000
    refusal_days: float = 30.0
    events: int = 200_000
    event_days: float = 90.0


async def prune(database: Database, retention: Retention, *, now: float) -> int:
    """Deletes refusals and events beyond the bounds, oldest first; returns how many."""
    deleted = 0
    bounds = (
        (schema.refusals, retention.refusals, retention.refusal_days),
        (schema.events, retention.events, retention.event_days),
    )
    for table, rows, days in bounds:
        deleted += await _prune_table(database, table, rows, now - days * 86_400)
    return deleted


async def _prune_table(database: Database, table: Table, rows: int, oldest: float) -> int:
    deleted = 0
    while True:
        async with database.writing() as connection:
            last = await _last_to_go(connection, table, rows, oldest)
            if last is None:
                return deleted
            first = await connection.scalar(select(func.min(table.c.id)))
            until = min(last, int(first or 0) + _AT_ONCE)
            gone = await connection.execute(delete(table).where(table.c.id <= until))
            deleted += gone.rowcount


async def _last_to_go(connection: AsyncConnection, table: Table, rows: int, oldest: float) -> int | None:
    """The highest id that is beyond a bound.  Ids count up as records come, so they are an order in time."""
    surplus = select(table.c.id).order_by(table.c.id.desc()).offset(rows).limit(1)
    too_old = select(func.max(table.c.id)).where(table.c.at < oldest)
    found = [await connection.scalar(query) for query in (surplus, too_old)]
    return max((int(row_id) for row_id in found if row_id is not None), default=None)
