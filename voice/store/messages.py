"""Voice messages: what was asked for, to whom, and how far each recipient's call has come.

A message is stored in one transaction with the calls to its recipients, so after any crash it is there with
all of them or not at all; placing the calls is the queue's business (`voice.store.outbound`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import delete, insert, or_, select, update

from callflows.steps.machine import MACHINE_REASON
from voice.records import CallStatus
from voice.store.database import Database
from voice.store.deliveries import enqueue_report
from voice.store.listing import Found, Row, Window, first, page
from voice.store.outbound import NewCall, OutboundStore
from voice.store.schema import calls, numbers
from voice.store.service_schema import voice_message_recipients as recipients
from voice.store.service_schema import voice_messages

_AT_ONCE: Final = 500


class RecipientStatus(StrEnum):
    """MessageBird's words (reference, section 6), and `scheduled` before its time has come."""

    SCHEDULED = "scheduled"
    CALLING = "calling"
    ANSWERED = "answered"
    FAILED = "failed"
    BUSY = "busy"
    MACHINE = "machine"


OPEN: Final = (RecipientStatus.SCHEDULED, RecipientStatus.CALLING)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message to be kept; times are UTC seconds since the epoch."""

    id: str
    account_id: str
    originator: str | None
    body: str
    reference: str | None
    language: str
    voice: str
    repeat: int
    if_machine: str
    machine_timeout: int
    """Milliseconds."""
    scheduled_at: float | None
    report_url: str | None
    simulated: bool
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Somebody who is called; `number` in digits."""

    number: str
    call_id: str
    status: RecipientStatus
    status_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A recipient whose status is another than the one on record."""

    account_id: str
    message_id: str
    reference: str | None
    report_url: str | None
    recipient: Recipient


class MessageStore:
    """Messages in a database.  Errors of the database come out as StoreError."""

    def __init__(self, database: Database, outbound: OutboundStore) -> None:
        self._database = database
        self._outbound = outbound

    async def caller_id(self, account_id: str, wanted: str | None) -> str | None:
        """The account's number `wanted`, or its oldest one; None when it has no such number."""
        query = select(numbers.c.e164).where(numbers.c.account_id == account_id)
        if wanted is not None:
            query = query.where(numbers.c.e164 == wanted)
        row = await first(self._database, query.order_by(numbers.c.created_at, numbers.c.e164).limit(1))
        return None if row is None else str(row["e164"])

    async def accept(self, message: NewMessage, wanted: Sequence[tuple[str, NewCall]]) -> None:
        """Keeps a message with the calls to its recipients (number in digits, call)."""
        values = {**asdict(message), "simulated": int(message.simulated)}
        rows = [
            {
                "message_id": message.id,
                "position": position,
                "recipient": number,
                "call_id": call.call_id,
                "status": RecipientStatus.SCHEDULED if message.scheduled_at else RecipientStatus.CALLING,
                "status_at": message.created_at,
            }
            for position, (number, call) in enumerate(wanted)
        ]
        with self._database.errors():
            async with self._database.writing() as connection:
                await connection.execute(insert(voice_messages).values(values))
                await connection.execute(insert(recipients), rows)
                await self._outbound.accept_on(connection, [call for _, call in wanted])
        self._outbound.ring()

    async def find(self, account_id: str, message_id: str) -> Row | None:
        return await first(
            self._database,
            select(voice_messages).where(
                voice_messages.c.id == message_id, voice_messages.c.account_id == account_id
            ),
        )

    async def list(self, account_id: str, window: Window) -> Found:
        query = select(voice_messages).where(voice_messages.c.account_id == account_id)
        return await page(self._database, query, voice_messages, voice_messages.c.created_at, window)

    async def recipients_of(self, message_ids: Sequence[str]) -> dict[str, tuple[Recipient, ...]]:
        """By message, in the order in which they were asked for, as they stand now."""
        query = (
            _with_calls()
            .where(recipients.c.message_id.in_(tuple(message_ids)))
            .order_by(recipients.c.message_id, recipients.c.position)
        )
        found: dict[str, list[Recipient]] = {message_id: [] for message_id in message_ids}
        with self._database.errors():
            async with self._database.reading() as connection:
                for row in (await connection.execute(query)).mappings():
                    found[row["message_id"]].append(_recipient(dict(row)))
        return {message_id: tuple(those) for message_id, those in found.items()}

    async def delete(self, account_id: str, message_id: str, reason: str) -> bool:
        """Forgets a message; who was not called yet will not be.  False: there is none."""
        if await self.find(account_id, message_id) is None:
            return False
        for recipient in (await self.recipients_of([message_id]))[message_id]:
            await self._outbound.cancel(recipient.call_id, CallStatus.ENDED, reason)
        with self._database.errors():
            async with self._database.writing() as connection:
                await connection.execute(delete(voice_messages).where(voice_messages.c.id == message_id))
        return True

    async def changed(self) -> tuple[Changed, ...]:
        """Recipients on record as not called yet or being called, whose call says more."""
        query = (
            _with_calls(voice_messages.c.account_id, voice_messages.c.reference, voice_messages.c.report_url)
            .join(voice_messages, voice_messages.c.id == recipients.c.message_id)
            .where(
                # Only what `_status` calls by another name than the one on record, so that many running
                # calls do not take all the places.
                recipients.c.status.in_(OPEN),
                calls.c.status != CallStatus.QUEUED,
                or_(calls.c.ended_at.is_not(None), recipients.c.status == RecipientStatus.SCHEDULED),
            )
            .limit(_AT_ONCE)
        )
        found = []
        with self._database.errors():
            async with self._database.reading() as connection:
                for row in (await connection.execute(query)).mappings():
                    now = _recipient(dict(row))
                    if now.status != row["status"]:
                        found.append(
                            Changed(
                                account_id=row["account_id"],
                                message_id=row["message_id"],
                                reference=row["reference"],
                                report_url=row["report_url"],
                                recipient=now,
                            )
                        )
        return tuple(found)

    async def note(self, changed: Changed, report: Callable[[Changed], str] | None) -> None:
        """Puts a new status on record, together with the report (its URL) that tells of it."""
        recipient = changed.recipient
        with self._database.errors():
            async with self._database.writing() as connection:
                await connection.execute(
                    update(recipients)
                    .where(recipients.c.call_id == recipient.call_id)
                    .values(status=recipient.status, status_at=recipient.status_at, reported=recipient.status)
                )
                if report is not None:
                    await enqueue_report(
                        connection,
                        account_id=changed.account_id,
                        event="voiceMessageReport",
                        url=report(changed),
                        dedupe=f"voice message:{recipient.call_id}:{recipient.status}",
                        at=recipient.status_at or 0.0,
                        call_id=recipient.call_id,
                    )


def _with_calls(*also: Any) -> Any:
    call = calls.c
    return (
        select(
            recipients,
            call.status.label("call_status"),
            call.answered_at,
            call.ended_at,
            call.updated_at,
            call.end_reason,
            *also,
        )
        .select_from(recipients)
        .join(calls, call.id == recipients.c.call_id)
    )


def _recipient(row: Row) -> Recipient:
    status = _status(row)
    return Recipient(
        number=row["recipient"],
        call_id=row["call_id"],
        status=status,
        status_at=row["status_at"] if status == row["status"] else row["ended_at"] or row["updated_at"],
    )


def _status(row: Row) -> RecipientStatus:
    """How a call stands, in the words of voice messages.

    Whether a machine or a person answered is known at the end of a call, so nothing is told before.
    """
    if row["call_status"] == CallStatus.QUEUED:
        return RecipientStatus(row["status"])
    if row["ended_at"] is None:
        return RecipientStatus.CALLING
    if row["end_reason"] == MACHINE_REASON:
        return RecipientStatus.MACHINE
    if row["answered_at"] is not None:
        return RecipientStatus.ANSWERED
    return RecipientStatus.BUSY if row["call_status"] == CallStatus.BUSY else RecipientStatus.FAILED
