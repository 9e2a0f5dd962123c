"""Transcriptions: what was asked for, how far it is, and the text; the queue of the transcription service.

A recording's own row may be written after its transcription was asked for (the journal writes behind the
call's back), so each row holds all it needs but the file.  Every change is announced in the transaction
that makes it.  Errors of the database come out as StoreError.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import and_, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from voice.bells import Bells
from voice.records import TranscriptionChanged
from voice.store.database import Database
from voice.store.events import announce
from voice.store.listing import Found, Row, Window, first, page
from voice.store.schema import recordings
from voice.store.service_schema import transcriptions

USUAL_LANGUAGE: Final = "en-US"
"""Of a request that names none, as those of some SDKs do (reference section 5.4)."""
MOST_OF_A_RECORDING: Final = 20
WAITS_FOR_RECORDING_SECONDS: Final = 86_400.0
"""A recording that is not complete after a day never will be."""


class TooManyTranscriptions(Exception):
    """The recording has as many as it may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A transcription to make."""

    row: Row
    path: str | None
    """Of the recording; None: it never came, was deleted or failed."""


class TranscriptionStore:
    def __init__(self, database: Database, *, clock: Callable[[], float], bells: Bells) -> None:
        self._database = database
        self._clock = clock
        self._bells = bells

    async def request(
        self,
        *,
        recording_id: str,
        call_id: str,
        leg_id: str | None,
        account_id: str,
        language: str | None,
    ) -> Row:
        """Asks for one; it is durable when this returns.  Raises TooManyTranscriptions."""
        now = self._clock()
        row: dict[str, Any] = {
            "id": str(uuid.uuid4()),
            "account_id": account_id,
            "recording_id": recording_id,
            "call_id": call_id,
            "leg_id": leg_id,
            "language": language or USUAL_LANGUAGE,
            "status": "created",
            "reason": None,
            "text": None,
            "created_at": now,
            "updated_at": now,
        }
        asked = (
            select(func.count())
            .select_from(transcriptions)
            .where(transcriptions.c.recording_id == recording_id)
        )
        with self._database.errors():
            async with self._database.writing() as connection:
                if (await connection.execute(asked)).scalar_one() >= MOST_OF_A_RECORDING:
                    raise TooManyTranscriptions
                await connection.execute(insert(transcriptions).values(row))
                await announce(connection, (_changed(row),))
        self._bells.transcriptions.ring()
        self._bells.deliveries.ring()
        return row

    async def list(self, account_id: str, recording_id: str, window: Window) -> Found:
        query = select(transcriptions).where(
            transcriptions.c.account_id == account_id, transcriptions.c.recording_id == recording_id
        )
        return await page(self._database, query, transcriptions, transcriptions.c.created_at, window)

    async def find(
        self, account_id: str, transcription_id: str, *, recording_id: str | None = None
    ) -> Row | None:
        """One; with `recording_id`, only when it is of that recording."""
        query = select(transcriptions).where(
            transcriptions.c.account_id == account_id, transcriptions.c.id == transcription_id
        )
        if recording_id is not None:
            query = query.where(transcriptions.c.recording_id == recording_id)
        return await first(self._database, query)

    async def reopen(self) -> None:
        """Those that a process which is no more was making wait again."""
        with self._database.errors():
            async with self._database.writing() as connection:
                await connection.execute(
                    update(transcriptions)
                    .where(transcriptions.c.status == "transcribing")
                    .values(status="created")
                )

    async def claim(self) -> Job | None:
        """The oldest that can be made now, from here on ``transcribing``; None when there is none."""
        now = self._clock()
        known = recordings.c
        gone = or_(known.deleted_at.is_not(None), known.status == "failed")
        too_old = and_(known.id.is_(None), transcriptions.c.created_at < now - WAITS_FOR_RECORDING_SECONDS)
        query = (
            select(transcriptions, known.path, gone.label("gone"))
            .outerjoin(recordings, known.id == transcriptions.c.recording_id)
            .where(transcriptions.c.status == "created", or_(known.status == "done", gone, too_old))
            .order_by(transcriptions.c.created_at, transcriptions.c.id)
            .limit(1)
        )
        with self._database.errors():
            async with self._database.writing() as connection:
                found = (await connection.execute(query)).mappings().first()
                if found is None:
                    return None
                row = {column.name: found[column.name] for column in transcriptions.columns}
                row = await _set(connection, row, now, status="transcribing")
        self._bells.deliveries.ring()
        return Job(row=row, path=None if found["gone"] else found["path"])

    async def done(self, row: Row, text: str) -> None:
        await self._finish(row, status="done", text=text)

    async def failed(self, row: Row, reason: str) -> None:
        """`reason` is a sentence for people: why, and what to do."""
        await self._finish(row, status="failed", reason=reason)

    async def _finish(self, row: Row, **values: Any) -> None:
        with self._database.errors():
            async with self._database.writing() as connection:
                await _set(connection, dict(row), self._clock(), **values)
        self._bells.deliveries.ring()


async def _set(connection: AsyncConnection, row: dict[str, Any], now: float, **values: Any) -> dict[str, Any]:
    values["updated_at"] = now
    await connection.execute(update(transcriptions).where(transcriptions.c.id == row["id"]).values(**values))
    row = {**row, **values}
    await announce(connection, (_changed(row),))
    return row


def _changed(row: Row) -> TranscriptionChanged:
    return TranscriptionChanged(
        transcription_id=row["id"],
        recording_id=row["recording_id"],
        call_id=row["call_id"],
        leg_id=row["leg_id"],
        account_id=row["account_id"],
        at=row["updated_at"],
        status=row["status"],
        created_at=row["created_at"],
    )
