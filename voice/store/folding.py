"""Records as rows: many records of one call become few rows before the database sees them.

A call's record is told in pieces, by several parts of the node, and goes on after a restart.  So each
piece says something about a row, and a rule for each column says what becomes of what was known: the
same rule in memory, among the pieces of one batch, and in SQL, against the row that is there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from enum import Enum, auto
from functools import cache
from typing import Any, Final

from sqlalchemy import Table, case, func
from sqlalchemy.dialects import postgresql, sqlite

from voice.records import (
    CallChanged,
    CallEnded,
    CallStarted,
    CallStatus,
    Event,
    LegChanged,
    LegMedia,
    LegStarted,
    LegStatus,
    Record,
    RecordingDone,
    RecordingStarted,
    Refusal,
    StepFinished,
    StepStarted,
    TranscriptionChanged,
)
from voice.store import schema

Row = dict[str, Any]
Upsert = sqlite.Insert | postgresql.Insert

LONGEST_TEXT: Final = 4_000
"""Characters kept of a text; much of it comes from outside."""
_DATA_ENTRIES: Final = 20
_DATA_CHARACTERS: Final = 150
_LARGEST_INTEGER: Final = 2**31 - 1


class Rule(Enum):
    """What a later piece does to a column."""

    FIRST = auto()
    """What is known stays."""
    LAST = auto()
    """The later piece counts."""
    WHILE_OPEN = auto()
    """The later piece counts, unless the row has ended already."""


_RULES: Final[dict[Table, dict[str, Rule]]] = {
    schema.calls: {"status": Rule.WHILE_OPEN, "updated_at": Rule.LAST},
    schema.legs: {
        "status": Rule.WHILE_OPEN,
        "sip_status": Rule.WHILE_OPEN,
        "sip_reason": Rule.WHILE_OPEN,
        "updated_at": Rule.LAST,
        **dict.fromkeys(
            (
                "codec",
                "received_packets",
                "received_lost",
                "received_jitter_ms",
                "sent_packets",
                "sent_lost",
                "sent_jitter_ms",
            ),
            Rule.LAST,
        ),
    },
    schema.steps: dict.fromkeys(("finished_at", "outcome", "detail", "seconds"), Rule.LAST),
    schema.recordings: dict.fromkeys(("status", "ended_at", "seconds", "size"), Rule.LAST),
}
"""By table, the columns with another rule than FIRST."""
_KEYS: Final = {table: tuple(column.name for column in table.primary_key) for table in _RULES}

_ENDED_LEG: Final = {LegStatus.BUSY, LegStatus.NO_ANSWER, LegStatus.FAILED, LegStatus.HANGUP}


class Folded:
    """The rows of a batch: pieces by table and key, and rows that stand for themselves."""

    def __init__(self) -> None:
        self.pieces: dict[Table, dict[tuple[Any, ...], Row]] = {}
        self.whole: dict[Table, list[Row]] = {}

    def upserts(self) -> Iterable[tuple[Table, tuple[str, ...], list[Row]]]:
        """The pieces grouped by table and columns; a row occurs once."""
        for table, rows in self.pieces.items():
            groups: dict[tuple[str, ...], list[Row]] = {}
            for row in rows.values():
                groups.setdefault(tuple(sorted(row)), []).append(row)
            for columns, group in groups.items():
                yield table, columns, group

    def apart(self) -> list[Folded]:
        """Each row by itself."""
        parts = []
        for table, rows in self.pieces.items():
            for key, row in rows.items():
                part = Folded()
                part.pieces[table] = {key: row}
                parts.append(part)
        for table, whole in self.whole.items():
            for row in whole:
                part = Folded()
                part.whole[table] = [row]
                parts.append(part)
        return parts


def fold(records: Iterable[Record]) -> Folded:
    folded = Folded()
    for record in records:
        _add(folded, record)
    return folded


@cache
def upsert(table: Table, columns: tuple[str, ...], dialect: str) -> Upsert:
    """INSERT ... ON CONFLICT DO UPDATE for rows with these columns; SQLite and PostgreSQL spell it alike."""
    statement: Upsert = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    keys = _KEYS[table]
    changes: dict[str, Any] = {}
    for name in columns:
        if name in keys:
            continue
        known, new = table.c[name], statement.excluded[name]
        match _RULES[table].get(name, Rule.FIRST):
            case Rule.FIRST:
                changes[name] = func.coalesce(known, new)
            case Rule.LAST:
                changes[name] = new
            case Rule.WHILE_OPEN:
                changes[name] = case((table.c.ended_at.is_(None), new), else_=known)
    return statement.values(dict.fromkeys(columns)).on_conflict_do_update(index_elements=keys, set_=changes)


def _add(folded: Folded, record: Record) -> None:
    match record:
        case CallStarted():
            _piece(
                folded,
                schema.calls,
                id=record.call_id,
                account_id=record.account_id,
                direction=record.direction,
                status=record.status,
                source=record.source,
                destination=record.destination,
                domain=record.domain,
                acl=record.acl,
                sip_account=record.sip_account,
                number_id=record.number_id,
                callflow_id=record.callflow_id,
                sip_call_id=record.sip_call_id,
                source_address=record.source_address,
                relayed_by=record.relayed_by,
                node=record.node,
                origin=record.origin,
                simulated=1 if record.simulated else None,
                webhook_url=record.webhook_url,
                webhook_token=record.webhook_token,
                started_at=record.at,
                updated_at=record.at,
            )
        case CallChanged():
            answered_at = record.at if record.status is CallStatus.ONGOING else None
            _piece(
                folded,
                schema.calls,
                id=record.call_id,
                status=record.status,
                updated_at=record.at,
                answered_at=answered_at,
            )
        case CallEnded():
            _piece(
                folded,
                schema.calls,
                id=record.call_id,
                status=record.status,
                updated_at=record.at,
                ended_at=record.at,
                end_reason=record.reason,
            )
        case LegStarted() | LegChanged() | LegMedia():
            _add_leg(folded, record)
        case StepStarted():
            _piece(
                folded,
                schema.steps,
                call_id=record.call_id,
                seq=record.seq,
                step_id=record.step_id,
                action=record.action,
                started_at=record.at,
            )
        case StepFinished():
            _piece(
                folded,
                schema.steps,
                call_id=record.call_id,
                seq=record.seq,
                step_id=record.step_id,
                action=record.action,
                started_at=record.at - record.seconds,
                finished_at=record.at,
                outcome=record.outcome,
                detail=record.detail,
                seconds=record.seconds,
            )
        case RecordingStarted():
            _piece(
                folded,
                schema.recordings,
                id=record.recording_id,
                call_id=record.call_id,
                leg_id=record.leg_id,
                kind=record.kind,
                path=record.path,
                status="recording",
                started_at=record.at,
            )
        case RecordingDone():
            _piece(
                folded,
                schema.recordings,
                id=record.recording_id,
                call_id=record.call_id,
                status=record.status,
                ended_at=record.at,
                seconds=record.seconds,
                size=record.size,
            )
        case TranscriptionChanged():
            return  # Its row is there already; it is an event for webhooks.
        case Refusal():
            _whole(folded, schema.refusals, asdict(record))
        case Event():
            _whole(folded, schema.events, {**asdict(record), "data": _json(record.data)})


def _add_leg(folded: Folded, record: LegStarted | LegChanged | LegMedia) -> None:
    match record:
        case LegStarted():
            _piece(
                folded,
                schema.legs,
                id=record.leg_id,
                call_id=record.call_id,
                direction=record.direction,
                status=LegStatus.STARTING,
                source=record.source,
                destination=record.destination,
                gateway=record.gateway,
                started_at=record.at,
                updated_at=record.at,
            )
        case LegChanged():
            _piece(
                folded,
                schema.legs,
                id=record.leg_id,
                call_id=record.call_id,
                status=record.status,
                sip_status=record.sip_status,
                sip_reason=record.sip_reason,
                updated_at=record.at,
                ringing_at=record.at if record.status is LegStatus.RINGING else None,
                answered_at=record.at if record.status is LegStatus.ONGOING else None,
                ended_at=record.at if record.status in _ENDED_LEG else None,
            )
        case LegMedia():
            statistics = asdict(record)
            _piece(folded, schema.legs, id=statistics.pop("leg_id"), **statistics)


def _piece(folded: Folded, table: Table, **said: Any) -> None:
    """Adds what is said about one row; None says nothing."""
    keys, rules = _KEYS[table], _RULES[table]
    key = tuple([said[name] for name in keys])
    row = folded.pieces.setdefault(table, {}).setdefault(key, {})
    has_ended = "ended_at" in row
    for name, value in said.items():
        if value is None:
            continue
        rule = rules.get(name)
        if rule is None:
            if name not in row:
                row[name] = _clean(value)
        elif rule is Rule.LAST or not has_ended:
            row[name] = _clean(value)


def _whole(folded: Folded, table: Table, row: Row) -> None:
    folded.whole.setdefault(table, []).append({name: _clean(value) for name, value in row.items()})


def _json(data: dict[str, str]) -> str:
    """A JSON object that is below LONGEST_TEXT whatever the data."""
    entries = list(data.items())[:_DATA_ENTRIES]
    return json.dumps(
        {key[:20]: _clean(value[:_DATA_CHARACTERS]) for key, value in entries}, ensure_ascii=False
    )


def _clean(value: Any) -> Any:
    """A value that every database takes: text bounded, without NUL and lone surrogates; 32-bit integers."""
    if isinstance(value, str):
        text = value if len(value) <= LONGEST_TEXT else value[:LONGEST_TEXT]
        if "\0" not in text and text.isascii():
            return text
        return text.replace("\0", "�").encode("utf-8", "replace").decode()
    if isinstance(value, int):
        return max(-_LARGEST_INTEGER, min(value, _LARGEST_INTEGER))
    return value
