"""What happened becomes what customers are told: deliveries, made in the transaction that stores the records.

So an event is in the outbox exactly when its record is in the database.  The same record told twice, by a
journal that replays after a crash, makes one delivery to each receiver: `dedupe` names what is told to whom.
"""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import Table, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from voice.objects import call_object, leg_object, recording_object, transcription_object
from voice.records import (
    CallChanged,
    CallEnded,
    CallStarted,
    LegChanged,
    LegStarted,
    LegStatus,
    Record,
    RecordingDone,
    RecordingStarted,
    TranscriptionChanged,
)
from voice.store.schema import calls, legs, recordings
from voice.store.service_schema import deliveries, transcriptions, webhooks

Row = Mapping[str, Any]

_TOLD: Final = (
    CallStarted,
    CallChanged,
    CallEnded,
    LegStarted,
    LegChanged,
    RecordingStarted,
    RecordingDone,
    TranscriptionChanged,
)
_AT_ONCE: Final = 500
"""Ids in one query."""
_OVER: Final = {LegStatus.BUSY, LegStatus.NO_ANSWER, LegStatus.FAILED, LegStatus.HANGUP}


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Who is told."""

    webhook_id: str | None
    """None: the webhook of the call itself."""
    url: str
    token: str | None


async def announce(connection: AsyncConnection, records: Iterable[Record]) -> int:
    """Makes the deliveries that stored records ask for; returns how many are new.

    For the webhooks of the account, and for that of the call.
    """
    told = [record for record in records if isinstance(record, _TOLD)]
    if not told:
        return 0
    account_hooks = await _account_hooks(connection)
    known_calls = await _rows(
        connection,
        calls,
        {record.call_id for record in told},
        or_(calls.c.account_id.in_(tuple(account_hooks)), calls.c.webhook_url.is_not(None)),
    )
    told = [record for record in told if record.call_id in known_calls]
    if not told:
        return 0
    rows = await _their_rows(connection, told)
    made = []
    for record in told:
        call = known_calls[record.call_id]
        event = _event(record, call, rows)
        if event is not None:
            for receiver in _receivers(call, account_hooks):
                made.append(_delivery(event, call, receiver, record.at))
    return await insert_deliveries(connection, made)


async def insert_deliveries(connection: AsyncConnection, made: list[dict[str, Any]]) -> int:
    """Adds rows of `deliveries`, but for those that are there already by their `dedupe`; returns how many."""
    if not made:
        return 0
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(deliveries).on_conflict_do_nothing(index_elements=["dedupe"])
    return (await connection.execute(statement, made)).rowcount


def delivery_row(
    *,
    dedupe: str,
    account_id: str,
    event: str,
    method: str,
    url: str,
    body: str,
    at: float,
    call_id: str | None = None,
    webhook_id: str | None = None,
    token: str | None = None,
) -> dict[str, Any]:
    """A row of `deliveries` that is due at once."""
    return {
        "id": str(uuid.uuid4()),
        "dedupe": dedupe,
        "account_id": account_id,
        "webhook_id": webhook_id,
        "call_id": call_id,
        "event": event,
        "method": method,
        "url": url,
        "destination": destination_of(url),
        "body": body,
        "token": token,
        "created_at": at,
        "state": "pending",
        "attempts": 0,
        "retries": 0,
        "next_at": at,
    }


def destination_of(url: str) -> str:
    """Scheme, host and port: what shares a place in the queue."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    kind: str
    name: str
    key: str
    payload: dict[str, Any]


async def _account_hooks(connection: AsyncConnection) -> dict[str, list[Receiver]]:
    hooks: dict[str, list[Receiver]] = defaultdict(list)
    for row in (await connection.execute(select(webhooks))).mappings():
        receiver = Receiver(webhook_id=row["id"], url=row["url"], token=row["token"])
        hooks[row["account_id"]].append(receiver)
    return hooks


def _receivers(call: Row, account_hooks: Mapping[str, list[Receiver]]) -> list[Receiver]:
    found = list(account_hooks.get(call["account_id"], ()))
    if call["webhook_url"]:
        found.append(Receiver(webhook_id=None, url=call["webhook_url"], token=call["webhook_token"]))
    return found


async def _their_rows(connection: AsyncConnection, told: list[Any]) -> dict[str, Row]:
    """The legs, recordings and transcriptions that the records are about, by id."""
    leg_ids = {one.leg_id for one in told if isinstance(one, LegStarted | LegChanged)}
    recording_ids = {one.recording_id for one in told if isinstance(one, RecordingStarted | RecordingDone)}
    transcription_ids = {one.transcription_id for one in told if isinstance(one, TranscriptionChanged)}
    return {
        **await _rows(connection, legs, leg_ids),
        **await _rows(connection, recordings, recording_ids),
        **await _rows(connection, transcriptions, transcription_ids),
    }


async def _rows(connection: AsyncConnection, table: Table, ids: set[str], *also: Any) -> dict[str, Row]:
    found: dict[str, Row] = {}
    wanted = sorted(ids)
    for first in range(0, len(wanted), _AT_ONCE):
        query = select(table).where(table.c.id.in_(wanted[first : first + _AT_ONCE]), *also)
        found.update({row["id"]: row for row in (await connection.execute(query)).mappings()})
    return found


def _event(record: Any, call: Row, rows: Mapping[str, Row]) -> _Event | None:
    """What the record tells; None when what it is about is not stored."""
    match record:
        case CallStarted():
            return _about("call", "created", call, _as_of(call, record.at, status=record.status), call)
        case CallChanged():
            if call["ended_at"] is not None and record.at > call["ended_at"]:
                return None  # It came after the end, and changed nothing.
            return _about("call", record.status, call, _as_of(call, record.at, status=record.status), call)
        case CallEnded():
            return _about("call", call["status"], call, {**call, "updated_at": record.at}, call)
    row = rows.get(_id_of(record))
    if row is None:
        return None
    match record:
        case LegStarted():
            return _about("leg", "created", row, _as_of(row, record.at, status=LegStatus.STARTING), call)
        case LegChanged():
            sip_status = record.sip_status if record.sip_status is not None else row["sip_status"]
            said = _as_of(row, record.at, status=record.status, sip_status=sip_status)
            if record.status in _OVER:
                said = {**said, "ended_at": row["ended_at"]}
            return _about("leg", record.status, row, said, call)
        case RecordingStarted():
            said = {**row, "status": "recording", "seconds": None, "ended_at": None, "updated_at": record.at}
            return _about("recording", "created", row, said, call)
        case RecordingDone():
            return _about("recording", record.status, row, {**row, "updated_at": record.at}, call)
        case _:
            key = "created" if record.status == "created" else record.status
            return _about("transcription", key, row, {**row, "status": record.status}, call)


def _id_of(record: Any) -> str:
    match record:
        case LegStarted() | LegChanged():
            return record.leg_id
        case RecordingStarted() | RecordingDone():
            return record.recording_id
        case _:
            return str(record.transcription_id)


def _as_of(row: Row, at: float, **known: Any) -> Row:
    """A row as it was then: what has happened since is not told before its turn."""
    answered = row["answered_at"]
    return {
        **row,
        **known,
        "updated_at": at,
        "answered_at": answered if answered is not None and answered <= at else None,
        "ended_at": None,
    }


_OBJECTS: Final = {
    "call": call_object,
    "leg": leg_object,
    "recording": recording_object,
    "transcription": transcription_object,
}


def _about(kind: str, state: str, row: Row, said: Row, call: Row) -> _Event:
    payload = _OBJECTS[kind](said)
    payload.pop("_links", None)
    if kind == "call" and call["webhook_url"]:
        payload["webhook"] = {"url": call["webhook_url"]}
    name = f"{kind}Created" if state == "created" else f"{kind}Updated"
    return _Event(kind=kind, name=name, key=f"{kind}:{row['id']}:{state}", payload=payload)


def _delivery(event: _Event, call: Row, receiver: Receiver, at: float) -> dict[str, Any]:
    payload = event.payload
    if event.kind == "call" and receiver.webhook_id is not None:
        payload = {**payload, "webhook": {"url": receiver.url}}
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    envelope = {
        "timestamp": moment,
        "items": [{"type": event.kind, "event": event.name, "payload": payload}],
    }
    return delivery_row(
        dedupe=f"{event.key}:{receiver.webhook_id or 'call'}",
        account_id=call["account_id"],
        event=event.name,
        method="POST",
        url=receiver.url,
        body=json.dumps(envelope, separators=(",", ":"), ensure_ascii=False),
        at=at,
        call_id=call["id"],
        webhook_id=receiver.webhook_id,
        token=receiver.token,
    )
