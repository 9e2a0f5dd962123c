"""Verifications: a code that was told to somebody, and how often it was entered."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Final

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from voice.records import CallStatus
from voice.store.database import Database
from voice.store.deliveries import enqueue_report
from voice.store.listing import Row, first
from voice.store.outbound import NewCall, OutboundStore
from voice.store.schema import accounts
from voice.store.service_schema import verifications

WINDOW_SECONDS: Final = 3600.0


class VerifyStatus(StrEnum):
    """MessageBird's words (reference, section 7)."""

    SENT = "sent"
    VERIFIED = "verified"
    EXPIRED = "expired"
    FAILED = "failed"
    DELETED = "deleted"


class Entered(StrEnum):
    """What came of entering a code."""

    RIGHT = "right"
    WRONG = "wrong"
    TOO_OFTEN = "too_often"
    EXPIRED = "expired"
    OVER = "over"
    """It was decided before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVerification:
    """A verification to be kept; times are UTC seconds since the epoch."""

    id: str
    account_id: str
    recipient: str
    """In digits."""
    originator: str | None
    reference: str | None
    type: str
    template: str
    language: str
    voice: str
    token_digest: str = field(repr=False)
    max_attempts: int
    call_id: str
    report_url: str | None
    created_at: float
    valid_until: float


class VerificationStore:
    """Errors of the database come out as StoreError."""

    def __init__(self, database: Database, outbound: OutboundStore, clock: Callable[[], float]) -> None:
        self._database = database
        self._outbound = outbound
        self._clock = clock

    async def accept(self, wanted: NewVerification, call: NewCall, most: int) -> bool:
        """Keeps a verification with the call that tells the code.

        False, and nothing is kept: the recipient was already called `most` times within the last hour.
        Requests at the same time are counted one after another.
        """
        values = {**asdict(wanted), "attempts": 0, "status": VerifyStatus.SENT, "message_id": None}
        with self._database.errors():
            async with self._database.writing() as connection:
                if await self._recent(connection, wanted) >= most:
                    return False
                await connection.execute(insert(verifications).values(values))
                await self._outbound.accept_on(connection, [call])
        self._outbound.ring()
        return True

    async def _recent(self, connection: AsyncConnection, wanted: NewVerification) -> int:
        """How many were made for the same recipient within the last hour."""
        row = verifications.c
        # PostgreSQL lets transactions run side by side; SQLite, which ignores this lock, does not.
        mine = select(accounts.c.id).where(accounts.c.id == wanted.account_id)
        await connection.execute(mine.with_for_update())
        query = select(func.count()).where(
            row.account_id == wanted.account_id,
            row.recipient == wanted.recipient,
            row.created_at > self._clock() - WINDOW_SECONDS,
        )
        return int((await connection.execute(query)).scalar_one())

    async def find(self, account_id: str, verification_id: str) -> Row | None:
        """As it stands now; one that was deleted is not found."""
        row = await first(
            self._database,
            select(verifications).where(
                verifications.c.id == verification_id,
                verifications.c.account_id == account_id,
                verifications.c.status != VerifyStatus.DELETED,
            ),
        )
        if row is not None and row["status"] == VerifyStatus.SENT and self._clock() >= row["valid_until"]:
            return {**row, "status": VerifyStatus.EXPIRED}
        return row

    async def enter(
        self, account_id: str, verification_id: str, digest: str, report: Callable[[Row, str], str]
    ) -> Entered | None:
        """Compares a code's digest, counts the attempt, and decides; None: there is no such verification.

        Attempts at the same time are counted one after another.
        """
        row = verifications.c
        now = self._clock()
        mine = (row.id == verification_id, row.account_id == account_id)
        with self._database.errors():
            async with self._database.writing() as connection:
                counted = await connection.execute(
                    update(verifications)
                    .where(*mine, row.status == VerifyStatus.SENT, row.valid_until > now)
                    .values(attempts=row.attempts + 1)
                    .returning(verifications)
                )
                found = counted.mappings().first()
                if found is None:
                    old = (await connection.execute(select(verifications).where(*mine))).mappings().first()
                    return None if old is None or old["status"] == VerifyStatus.DELETED else _past(dict(old))
                right = hmac.compare_digest(found["token_digest"], digest)
                if not right and found["attempts"] < found["max_attempts"]:
                    return Entered.WRONG
                status = VerifyStatus.VERIFIED if right else VerifyStatus.FAILED
                await connection.execute(update(verifications).where(*mine).values(status=status))
                if found["report_url"]:
                    await enqueue_report(
                        connection,
                        account_id=account_id,
                        event="verifyReport",
                        url=report(found, status),
                        dedupe=f"verify:{verification_id}:{status}",
                        at=now,
                        call_id=found["call_id"],
                    )
        return Entered.RIGHT if right else Entered.TOO_OFTEN

    async def delete(self, account_id: str, verification_id: str, reason: str) -> bool:
        """Its code can no longer be entered, and a call that waits is not placed.  False: there is none."""
        row = verifications.c
        with self._database.errors():
            async with self._database.writing() as connection:
                changed = await connection.execute(
                    update(verifications)
                    .where(
                        row.id == verification_id,
                        row.account_id == account_id,
                        row.status != VerifyStatus.DELETED,
                    )
                    .values(status=VerifyStatus.DELETED)
                    .returning(row.call_id)
                )
                call_id = changed.scalar()
        if call_id is None:
            return False
        await self._outbound.cancel(call_id, CallStatus.ENDED, reason)
        return True


def _past(row: Row) -> Entered:
    if row["status"] == VerifyStatus.SENT:
        return Entered.EXPIRED
    return Entered.TOO_OFTEN if row["status"] == VerifyStatus.FAILED else Entered.OVER
