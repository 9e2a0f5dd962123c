"""What is read from the tables of what happened: for the command line, and for whoever lists calls."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, Table, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from voice.store import schema
from voice.store.database import Database

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRow:
    """A call.  What is None is not known, or has not happened yet; times are in seconds since the epoch."""

    id: str
    account_id: str | None
    account: str | None
    """Name of the account, while it exists."""
    direction: str | None
    status: str | None
    source: str | None
    destination: str | None
    domain: str | None
    acl: str | None
    sip_account: str | None
    number_id: str | None
    callflow_id: str | None
    sip_call_id: str | None
    source_address: str | None
    relayed_by: str | None
    """POP that let it in, where another handles it."""
    started_at: float | None
    answered_at: float | None
    updated_at: float | None
    ended_at: float | None
    end_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LegRow:
    """A leg of a call; packets, and jitter in milliseconds, as the call process counted them."""

    id: str
    call_id: str
    direction: str | None
    source: str | None
    destination: str | None
    gateway: str | None
    status: str | None
    sip_status: int | None
    sip_reason: str | None
    started_at: float | None
    ringing_at: float | None
    answered_at: float | None
    updated_at: float | None
    ended_at: float | None
    codec: str | None
    received_packets: int | None
    received_lost: int | None
    received_jitter_ms: float | None
    sent_packets: int | None
    sent_lost: int | None
    sent_jitter_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    call_id: str
    seq: int
    step_id: str | None
    action: str | None
    started_at: float | None
    finished_at: float | None
    outcome: str | None
    detail: str | None
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRow:
    id: str
    call_id: str
    leg_id: str | None
    kind: str | None
    path: str | None
    status: str | None
    started_at: float | None
    ended_at: float | None
    seconds: float | None
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    id: int
    at: float
    kind: str
    detail: str
    call_id: str | None
    account_id: str | None
    data: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalRow:
    id: int
    at: float
    gate: str
    cause: str
    rule: str
    remedy: str
    sip_status: int
    source_address: str
    method: str
    request_uri: str
    from_uri: str
    sip_call_id: str
    account_id: str | None
    account: str | None
    domain: str | None
    acl: str | None
    sip_account: str | None
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallHistory:
    """Everything on record about one call, each list in order of time."""

    call: CallRow
    legs: tuple[LegRow, ...]
    steps: tuple[StepRow, ...]
    recordings: tuple[RecordingRow, ...]
    events: tuple[EventRow, ...]


async def list_calls(
    database: Database,
    *,
    limit: int,
    account: str | None = None,
    status: str | None = None,
    since: float | None = None,
    sip_call_id: str | None = None,
    source: str | None = None,
) -> tuple[CallRow, ...]:
    """The latest calls, newest first; `account` is a name, `since` the earliest beginning.

    `source`: the IP address that they came from, by whichever port.
    """
    table = schema.calls
    query = _with_account(table).order_by(table.c.started_at.desc(), table.c.id).limit(limit)
    if account is not None:
        query = query.where(schema.accounts.c.name == account)
    if status is not None:
        query = query.where(table.c.status == status)
    if since is not None:
        query = query.where(table.c.started_at >= since)
    if sip_call_id is not None:
        query = query.where(table.c.sip_call_id == sip_call_id)
    if source is not None:
        query = query.where(from_address(table.c.source_address, source))
    with database.errors():
        async with database.reading() as connection:
            return await _read(connection, query, CallRow)


async def find_calls(database: Database, beginning: str, *, limit: int) -> tuple[CallRow, ...]:
    """The calls whose id begins so: people copy the first digits."""
    table = schema.calls
    query = _with_account(table).where(table.c.id.startswith(beginning, autoescape=True)).limit(limit)
    with database.errors():
        async with database.reading() as connection:
            return await _read(connection, query, CallRow)


async def call_history(database: Database, call_id: str) -> CallHistory | None:
    """Everything on record about a call; None when there is no such call.

    Of legs that began at the same moment, as those of a trunk call do, the incoming one is the first.
    """
    table = schema.calls
    with database.errors():
        async with database.reading() as connection:
            found = await _read(connection, _with_account(table).where(table.c.id == call_id), CallRow)
            if not found:
                return None
            return CallHistory(
                call=found[0],
                legs=await _read(
                    connection, _of(call_id, schema.legs, "started_at", "direction", "id"), LegRow
                ),
                steps=await _read(connection, _of(call_id, schema.steps, "seq"), StepRow),
                recordings=await _read(
                    connection, _of(call_id, schema.recordings, "started_at", "id"), RecordingRow
                ),
                events=await _read(connection, _of(call_id, schema.events, "at", "id"), EventRow),
            )


async def list_refusals(
    database: Database,
    *,
    limit: int,
    account: str | None = None,
    domain: str | None = None,
    gate: str | None = None,
    cause: str | None = None,
    source: str | None = None,
    sip_call_id: str | None = None,
    since: float | None = None,
) -> tuple[RefusalRow, ...]:
    """The latest refusals, newest first; `source` is an IP address, by whichever port, or address:port."""
    table = schema.refusals
    query = _with_account(table).order_by(table.c.at.desc(), table.c.id.desc()).limit(limit)
    wanted = {"domain": domain, "gate": gate, "cause": cause, "sip_call_id": sip_call_id}
    for name, value in wanted.items():
        if value is not None:
            query = query.where(table.c[name] == value)
    if account is not None:
        query = query.where(schema.accounts.c.name == account)
    if since is not None:
        query = query.where(table.c.at >= since)
    if source is not None:
        query = query.where(from_address(table.c.source_address, source))
    with database.errors():
        async with database.reading() as connection:
            return await _read(connection, query, RefusalRow)


def from_address(column: ColumnElement[str], source: str) -> ColumnElement[bool]:
    """Whether an ``address:port`` is of this address, or this very one."""
    # The text of one IPv6 address can begin another's; behind the whole address there is one colon more.
    colons = func.length(column) - func.length(func.replace(column, ":", ""))
    whole = and_(column.startswith(f"{source}:", autoescape=True), colons == source.count(":") + 1)
    return or_(column == source, whole)


def _with_account(table: Table) -> Select[Any]:
    owner = schema.accounts
    return select(table, owner.c.name.label("account")).outerjoin_from(
        table, owner, owner.c.id == table.c.account_id
    )


def _of(call_id: str, table: Table, *order: str) -> Select[Any]:
    return select(table).where(table.c.call_id == call_id).order_by(*(table.c[name] for name in order))


async def _read(connection: AsyncConnection, query: Select[Any], kind: type[T]) -> tuple[T, ...]:
    found = await connection.execute(query)
    return tuple([_row(kind, row) for row in found.mappings()])


def _row(kind: type[T], row: Mapping[str, Any]) -> T:
    values = {field.name: row[field.name] for field in fields(kind)}  # type: ignore[arg-type]
    if kind is EventRow:
        values["data"] = json.loads(values["data"])
    return kind(**values)
