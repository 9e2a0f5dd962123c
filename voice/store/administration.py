"""What the administration reads of what happened: refusals, events, how many calls there are now.

Errors of the database come out as StoreError.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, Table, func, select

from voice.store.database import Database
from voice.store.listing import Found, Window, page
from voice.store.queries import from_address
from voice.store.schema import calls, events, refusals


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalFilter:
    """Each that is not None must fit."""

    account_id: str | None = None
    domain: str | None = None
    """A label."""
    source: str | None = None
    """An IP address, by whichever port, or address:port."""
    gate: str | None = None
    cause: str | None = None
    sip_call_id: str | None = None
    since: float | None = None
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Each that is not None must fit."""

    account_id: str | None = None
    kind: str | None = None
    call_id: str | None = None
    since: float | None = None
    """Seconds since the epoch."""


async def refusals_page(database: Database, wanted: RefusalFilter, window: Window) -> Found:
    equal = {
        "account_id": wanted.account_id,
        "domain": wanted.domain,
        "gate": wanted.gate,
        "cause": wanted.cause,
        "sip_call_id": wanted.sip_call_id,
    }
    query = _where(refusals, equal, wanted.since)
    if wanted.source is not None:
        query = query.where(from_address(refusals.c.source_address, wanted.source))
    return await page(database, query, refusals, refusals.c.at, window)


async def events_page(database: Database, wanted: EventFilter, window: Window) -> Found:
    equal = {"account_id": wanted.account_id, "kind": wanted.kind, "call_id": wanted.call_id}
    return await page(database, _where(events, equal, wanted.since), events, events.c.at, window)


async def calls_in_progress(database: Database, account_id: str | None) -> dict[str, int]:
    """How many calls have not ended, by account id: of one account, or of all."""
    query = (
        select(calls.c.account_id, func.count())
        .where(calls.c.ended_at.is_(None), calls.c.started_at.is_not(None), calls.c.account_id.is_not(None))
        .group_by(calls.c.account_id)
    )
    if account_id is not None:
        query = query.where(calls.c.account_id == account_id)
    with database.errors():
        async with database.reading() as connection:
            return {str(owner): int(count) for owner, count in await connection.execute(query)}


def _where(table: Table, equal: Mapping[str, str | None], since: float | None) -> Select[Any]:
    conditions = [table.c[name] == value for name, value in equal.items() if value is not None]
    if since is not None:
        conditions.append(table.c.at >= since)
    return select(table).where(*conditions)
