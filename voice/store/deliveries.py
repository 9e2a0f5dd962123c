"""The outbox: requests to customers' servers that wait, are under way, are done, or were given up.

A delivery is claimed by moving its `next_at` beyond the longest time that an attempt takes: whoever dies with
it in hand loses nothing, since it falls due again, and no two nodes send it at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, bindparam, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from voice.store.database import Database
from voice.store.events import delivery_row, insert_deliveries
from voice.store.listing import Found, Window
from voice.store.service_schema import deliveries, delivery_attempts

RETRY_AFTER: Final = (1.0, 5.0, 30.0, 300.0, 1800.0, 3600.0)
"""Seconds after each failed attempt; then it is given up."""
LEASE_SECONDS: Final = 30.0
"""Longer than any attempt."""
KEPT_DAYS: Final = 30.0
"""How long the log of what is done is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One request to be made; `attempt` counts from 1."""

    id: str
    account_id: str
    call_id: str | None
    event: str
    method: str
    url: str
    destination: str
    body: str
    token: str | None = field(repr=False)
    created_at: float
    attempt: int
    retries: int
    """Attempts that failed since it was made due: a replay counts anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How an attempt went: answered with a status, or not, with a sentence."""

    at: float
    seconds: float
    status: int | None
    error: str | None

    @property
    def delivered(self) -> bool:
        return self.error is None


class Deliveries:
    """The outbox in a database.  Errors of the database come out as StoreError."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    # -- the deliverer --------------------------------------------------------------------------

    async def claim(
        self, most: int, *, per_destination: int, but_not: Iterable[str] = ()
    ) -> tuple[Delivery, ...]:
        """Due deliveries, oldest first and a few of each destination; they are the caller's for the lease."""
        now = self._clock()
        row = deliveries.c
        due = (row.state == "pending", row.next_at <= now, row.destination.not_in(tuple(but_not)))
        rank = func.row_number().over(
            partition_by=row.destination, order_by=(row.next_at, row.created_at, row.id)
        )
        ranked = select(row.id, row.next_at, rank.label("rank")).where(*due).subquery()
        query = (
            select(ranked.c.id)
            .where(ranked.c.rank <= per_destination)
            .order_by(ranked.c.rank, ranked.c.next_at)
            .limit(most)
        )
        with self._database.errors():
            async with self._database.reading() as connection:
                ids = (await connection.execute(query)).scalars().all()
            if not ids:
                return ()
            async with self._database.writing() as connection:
                # Another node may have been quicker: what it has is no longer due.
                taken = await connection.execute(
                    update(deliveries)
                    .where(row.id.in_(ids), row.state == "pending", row.next_at <= now)
                    .values(next_at=now + LEASE_SECONDS)
                    .returning(deliveries)
                )
                rows = taken.mappings().all()
        return tuple(_delivery(one) for one in sorted(rows, key=lambda one: one["created_at"]))

    async def next_due(self) -> float | None:
        """When the next delivery falls due."""
        query = select(func.min(deliveries.c.next_at)).where(deliveries.c.state == "pending")
        with self._database.errors():
            async with self._database.reading() as connection:
                found: float | None = (await connection.execute(query)).scalar_one_or_none()
                return found

    async def finish(self, finished: Sequence[tuple[Delivery, Attempt]]) -> None:
        """Writes down how attempts went, in one transaction, and when the next ones are due."""
        with self._database.errors():
            async with self._database.writing() as connection:
                # Executed once for many: a statement is a round trip to the database's thread.
                insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
                # Whoever came too late for its lease has made the same attempt as another: one is on record.
                attempts = insert(delivery_attempts).on_conflict_do_nothing(
                    index_elements=["delivery_id", "number"]
                )
                await connection.execute(attempts, [_attempt_row(one, attempt) for one, attempt in finished])
                await connection.execute(_FINISH, [_finished(one, attempt) for one, attempt in finished])

    async def prune(self) -> int:
        """Forgets what was done long ago; returns how many."""
        before = self._clock() - KEPT_DAYS * 86_400
        old = delete(deliveries).where(deliveries.c.state != "pending", deliveries.c.created_at < before)
        with self._database.errors():
            async with self._database.writing() as connection:
                return (await connection.execute(old)).rowcount

    # -- the API --------------------------------------------------------------------------------

    async def list(
        self,
        account_id: str,
        window: Window,
        *,
        webhook_id: str | None = None,
        call_id: str | None = None,
        state: str | None = None,
    ) -> Found:
        """An account's deliveries, newest first; rows are mappings of column names."""
        wanted = {"webhook_id": webhook_id, "call_id": call_id, "state": state}
        conditions: list[ColumnElement[bool]] = [deliveries.c.account_id == account_id]
        conditions += [deliveries.c[name] == value for name, value in wanted.items() if value is not None]
        query = (
            select(deliveries)
            .where(*conditions)
            .order_by(deliveries.c.created_at.desc(), deliveries.c.id)
            .limit(window.limit)
            .offset(window.offset)
        )
        with self._database.errors():
            async with self._database.reading() as connection:
                total = (
                    await connection.execute(select(func.count()).select_from(deliveries).where(*conditions))
                ).scalar_one()
                rows = (await connection.execute(query)).mappings().all()
        return Found(rows=tuple(dict(row) for row in rows), total=total)

    async def get(self, account_id: str, delivery_id: str) -> tuple[Any, tuple[Any, ...]] | None:
        """A delivery's row and those of its attempts, or None."""
        row = deliveries.c
        with self._database.errors():
            async with self._database.reading() as connection:
                found = await connection.execute(
                    select(deliveries).where(row.id == delivery_id, row.account_id == account_id)
                )
                delivery = found.mappings().first()
                if delivery is None:
                    return None
                attempts = await connection.execute(
                    select(delivery_attempts)
                    .where(delivery_attempts.c.delivery_id == delivery_id)
                    .order_by(delivery_attempts.c.number)
                )
                return delivery, tuple(dict(one) for one in attempts.mappings())

    async def replay(self, account_id: str, delivery_id: str) -> bool:
        """Makes a delivery due again, at once, with its whole row of retries.  False: there is none."""
        row = deliveries.c
        now = self._clock()
        with self._database.errors():
            async with self._database.writing() as connection:
                changed = await connection.execute(
                    update(deliveries)
                    .where(row.id == delivery_id, row.account_id == account_id)
                    .values(state="pending", next_at=now, done_at=None, retries=0)
                )
        return changed.rowcount > 0


async def enqueue_report(
    connection: AsyncConnection,
    *,
    account_id: str,
    event: str,
    url: str,
    dedupe: str,
    at: float,
    call_id: str | None = None,
) -> None:
    """Adds a status report to the outbox inside somebody's transaction: a GET whose query says everything.

    `url` has its query already (`voice.webhooks.signing.sorted_query`).  With a `dedupe` that is known,
    nothing is added.
    """
    row = delivery_row(
        dedupe=dedupe,
        account_id=account_id,
        event=event,
        method="GET",
        url=url,
        body="",
        at=at,
        call_id=call_id,
    )
    await insert_deliveries(connection, [row])


_FINISH: Final = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("delivery"))
    .values(
        state=bindparam("new_state"),
        attempts=bindparam("new_attempts"),
        retries=bindparam("new_retries"),
        next_at=bindparam("new_next_at"),
        done_at=bindparam("new_done_at"),
        last_status=bindparam("new_status"),
        last_error=bindparam("new_error"),
    )
)


def _attempt_row(one: Delivery, attempt: Attempt) -> dict[str, Any]:
    return {
        "delivery_id": one.id,
        "number": one.attempt,
        "at": attempt.at,
        "seconds": attempt.seconds,
        "status": attempt.status,
        "error": attempt.error,
    }


def _finished(one: Delivery, attempt: Attempt) -> dict[str, Any]:
    """How the delivery stands after the attempt."""
    over = attempt.delivered or one.retries >= len(RETRY_AFTER)
    now = attempt.at + attempt.seconds
    return {
        "delivery": one.id,
        "new_state": "delivered" if attempt.delivered else "failed" if over else "pending",
        "new_attempts": one.attempt,
        "new_retries": one.retries + 1,
        "new_next_at": now if over else now + RETRY_AFTER[one.retries],
        "new_done_at": now if over else None,
        "new_status": attempt.status,
        "new_error": attempt.error,
    }


def _delivery(row: Any) -> Delivery:
    return Delivery(
        id=row["id"],
        account_id=row["account_id"],
        call_id=row["call_id"],
        event=row["event"],
        method=row["method"],
        url=row["url"],
        destination=row["destination"],
        body=row["body"],
        token=row["token"],
        created_at=row["created_at"],
        attempt=row["attempts"] + 1,
        retries=row["retries"],
    )
