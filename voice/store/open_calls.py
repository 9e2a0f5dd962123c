"""Calls without an end on record, for whoever knows that they have one."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Table, func, select

from voice.store.database import Database
from voice.store.schema import accounts, calls, legs, recordings
from voice.store.service_schema import outbound_calls

_LONGEST: Final = 86_400
"""Seconds, for calls of an account that is no more: longer than any may last."""


_began: Final = func.coalesce(outbound_calls.c.dialled_at, calls.c.started_at)
"""An outgoing call begins on record when it is accepted, perhaps days before it is placed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCall:
    """A call without an end, and what of it has none either."""

    id: str
    answered: bool
    legs: tuple[str, ...]
    """Ids."""
    recordings: tuple[tuple[str, str], ...]
    """Id and path."""


async def open_calls_of(database: Database, node: str, *, before: float) -> tuple[OpenCall, ...]:
    """Those that call processes of this node were to run, begun before this time.  Raises StoreError."""
    return await _open(database, _calls().where(calls.c.node == node, _began < before))


async def overdue_calls(database: Database, *, now: float, grace: float) -> tuple[OpenCall, ...]:
    """Those that began longer ago than a call of their account may last, and `grace` seconds more.

    Raises StoreError.
    """
    longest = func.coalesce(accounts.c.max_call_seconds, _LONGEST) + func.coalesce(
        outbound_calls.c.ring_seconds, 0.0
    )
    query = _calls(joined=accounts, on=accounts.c.id == calls.c.account_id)
    return await _open(database, query.where(longest + _began < now - grace))


def _calls(joined: Table | None = None, on: ColumnElement[bool] | None = None) -> Select[Any]:
    """Without those that wait in the queue of outgoing calls, however long."""
    tables = calls.outerjoin(outbound_calls, outbound_calls.c.call_id == calls.c.id)
    waits = func.coalesce(outbound_calls.c.state, "").in_(("queued", "claimed"))
    return (
        select(calls.c.id, calls.c.answered_at)
        .select_from(tables if joined is None else tables.outerjoin(joined, on))
        .where(calls.c.ended_at.is_(None), ~waits)
        .order_by(calls.c.id)
    )


async def _open(database: Database, query: Select[Any]) -> tuple[OpenCall, ...]:
    these = query.with_only_columns(calls.c.id).order_by(None)
    leg_query = select(legs.c.call_id, legs.c.id).where(legs.c.ended_at.is_(None), legs.c.call_id.in_(these))
    recording_query = select(recordings.c.call_id, recordings.c.id, recordings.c.path).where(
        recordings.c.ended_at.is_(None), recordings.c.call_id.in_(these)
    )
    open_legs: dict[str, list[str]] = defaultdict(list)
    open_recordings: dict[str, list[tuple[str, str]]] = defaultdict(list)
    with database.errors():
        async with database.reading() as connection:
            found = (await connection.execute(query)).all()
            for leg in await connection.execute(leg_query):
                open_legs[leg.call_id].append(leg.id)
            for recording in await connection.execute(recording_query):
                open_recordings[recording.call_id].append((recording.id, recording.path))
    return tuple(
        OpenCall(
            id=call_id,
            answered=answered_at is not None,
            legs=tuple(open_legs[call_id]),
            recordings=tuple(open_recordings[call_id]),
        )
        for call_id, answered_at in found
    )
