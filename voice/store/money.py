"""Money: balances, rates, and the charge of each leg, in whole millionths of the currency's unit.

A leg is charged once: its charge has its id, and is made in the transaction that lowers the balance.  Seconds
begun count; a fraction of a millionth is rounded up.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import delete, exists, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from voice.objects import whole_seconds
from voice.records import Direction
from voice.store.database import Database
from voice.store.limit_usage import RATES_VERSION
from voice.store.listing import Found, Row, Window, first, page
from voice.store.schema import calls, legs, state
from voice.store.service_schema import balances, charges, rates

_AT_ONCE: Final = 500
_LONGEST_PREFIX: Final = 15


class Payment(StrEnum):
    PREPAID = "prepaid"
    """Calls need a balance that carries them."""
    POSTPAID = "postpaid"
    """The balance may go below zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What an account has."""

    amount: int = 0
    currency: str = "EUR"
    payment: Payment = Payment.POSTPAID
    end_when_spent: bool = False
    """Running calls are ended when a prepaid balance is spent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What a minute to numbers of a prefix costs; `account_id` None: every account without one of its own."""

    id: str
    account_id: str | None
    prefix: str
    per_minute: int
    currency: str


class Money:
    """Errors of the database come out as StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # -- balances -------------------------------------------------------------------------------

    async def balance(self, account_id: str) -> Balance:
        """Of an account that nobody rates: nothing, postpaid."""
        row = await first(self._database, select(balances).where(balances.c.account_id == account_id))
        return Balance() if row is None else _balance(row)

    async def set_balance(self, account_id: str, balance: Balance) -> None:
        """What an account without a balance has talked stays free: it is marked as costing nothing."""
        values = {**asdict(balance), "end_when_spent": int(balance.end_when_spent)}
        with self._database.errors():
            async with self._database.writing() as connection:
                changed = await connection.execute(
                    update(balances).where(balances.c.account_id == account_id).values(values)
                )
                if not changed.rowcount:
                    await connection.execute(insert(balances).values(account_id=account_id, **values))
                    theirs = select(calls.c.id).where(calls.c.account_id == account_id)
                    await connection.execute(
                        update(legs)
                        .where(
                            legs.c.call_id.in_(theirs), legs.c.ended_at.is_not(None), legs.c.cost.is_(None)
                        )
                        .values(cost=0, currency=balance.currency)
                    )

    async def add(self, account_id: str, amount: int) -> bool:
        """Changes a balance by so much.  False: the account has none."""
        with self._database.errors():
            async with self._database.writing() as connection:
                changed = await connection.execute(
                    update(balances)
                    .where(balances.c.account_id == account_id)
                    .values(amount=balances.c.amount + amount)
                )
        return changed.rowcount > 0

    # -- rates ----------------------------------------------------------------------------------

    async def list_rates(self, window: Window, account_id: str | None) -> Found:
        """Those of an account, or, for None, those for all."""
        query = select(rates).where(rates.c.account_id == account_id)
        return await page(self._database, query, rates, rates.c.prefix, window)

    async def find_rate(self, rate_id: str) -> Row | None:
        return await first(self._database, select(rates).where(rates.c.id == rate_id))

    async def put_rate(self, rate: Rate) -> Rate:
        """Keeps a rate, in the place of one for the same prefix and account; returns it with its id."""
        same = (rates.c.account_id == rate.account_id, rates.c.prefix == rate.prefix)
        with self._database.errors():
            async with self._database.writing() as connection:
                found = (await connection.execute(select(rates.c.id).where(*same))).scalar()
                kept = Rate(**{**asdict(rate), "id": found or rate.id or str(uuid.uuid4())})
                await connection.execute(delete(rates).where(rates.c.id == kept.id))
                await connection.execute(insert(rates).values(asdict(kept)))
                await _rates_changed(connection)
        return kept

    async def delete_rate(self, rate_id: str) -> bool:
        with self._database.errors():
            async with self._database.writing() as connection:
                gone = await connection.execute(delete(rates).where(rates.c.id == rate_id))
                await _rates_changed(connection)
        return gone.rowcount > 0

    async def rate_for(self, account_id: str, number: str) -> Rate | None:
        """The rate of the longest prefix; the account's own count before those for all."""
        with self._database.errors():
            async with self._database.reading() as connection:
                return await _rate(connection, account_id, number)

    # -- charges --------------------------------------------------------------------------------

    async def charge_ended_legs(self, now: float) -> int:
        """Charges the outgoing legs that have ended and were not charged; returns how many."""
        uncharged = (
            select(legs, calls.c.account_id)
            .join(calls, calls.c.id == legs.c.call_id)
            .join(balances, balances.c.account_id == calls.c.account_id)
            .where(
                legs.c.ended_at.is_not(None),
                legs.c.direction == Direction.OUTGOING,
                legs.c.cost.is_(None),
                calls.c.simulated.is_(None),
            )
            .limit(_AT_ONCE)
        )
        with self._database.errors():
            async with self._database.reading() as connection:
                rows = (await connection.execute(uncharged)).mappings().all()
            if not rows:
                return 0
            async with self._database.writing() as connection:
                for row in rows:
                    await _charge(connection, dict(row), now)
        return len(rows)

    async def spending(self, now: float) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Accounts whose prepaid balance is spent and whose calls are to end then: with their running calls.

        What running legs have cost so far counts as spent.
        """
        found = []
        with self._database.errors():
            async with self._database.reading() as connection:
                strict = select(balances).where(
                    balances.c.payment == Payment.PREPAID, balances.c.end_when_spent == 1
                )
                for row in (await connection.execute(strict)).mappings().all():
                    running = await _running(connection, row["account_id"], now)
                    if running:
                        found.append((row, running))
        return tuple(
            (row["account_id"], tuple(sorted({leg["call_id"] for leg in running})))
            for row, running in found
            if row["amount"] <= sum(leg["so_far"] for leg in running)
        )


def cost(per_minute: int, seconds: int) -> int:
    """In millionths; a fraction is rounded up."""
    return -(-per_minute * seconds // 60)


async def _rates_changed(connection: AsyncConnection) -> None:
    """Edges that know the rates ask for them again."""
    version = str(uuid.uuid4())
    changed = await connection.execute(
        update(state).where(state.c.name == RATES_VERSION).values(value=version)
    )
    if not changed.rowcount:
        await connection.execute(insert(state).values(name=RATES_VERSION, value=version))


async def _charge(connection: AsyncConnection, row: Row, now: float) -> None:
    answered = row["answered_at"]
    seconds = whole_seconds(row["ended_at"] - answered) if answered is not None else 0
    rate = await _rate(connection, row["account_id"], row["destination"] or "")
    per_minute = rate.per_minute if rate else 0
    amount = cost(per_minute, seconds)
    currency = rate.currency if rate else (await _currency(connection, row["account_id"]))
    upsert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    made = await connection.execute(
        upsert(charges)
        .values(
            leg_id=row["id"],
            call_id=row["call_id"],
            account_id=row["account_id"],
            at=now,
            seconds=seconds,
            per_minute=per_minute,
            amount=amount,
            currency=currency,
        )
        .on_conflict_do_nothing(index_elements=["leg_id"])
    )
    if made.rowcount:
        await connection.execute(
            update(balances)
            .where(balances.c.account_id == row["account_id"])
            .values(amount=balances.c.amount - amount)
        )
        await connection.execute(
            update(legs).where(legs.c.id == row["id"]).values(cost=amount, currency=currency)
        )


async def _rate(connection: AsyncConnection, account_id: str, number: str) -> Rate | None:
    digits = number.removeprefix("+")
    prefixes = [digits[:length] for length in range(min(len(digits), _LONGEST_PREFIX) + 1)]
    query = select(rates).where(
        or_(rates.c.account_id == account_id, rates.c.account_id.is_(None)), rates.c.prefix.in_(prefixes)
    )
    found: Sequence[Any] = (await connection.execute(query)).mappings().all()
    best = max(found, key=lambda row: (len(row["prefix"]), row["account_id"] is not None), default=None)
    return None if best is None else Rate(**best)


async def _currency(connection: AsyncConnection, account_id: str) -> str:
    query = select(balances.c.currency).where(balances.c.account_id == account_id)
    return str((await connection.execute(query)).scalar_one())


async def _running(connection: AsyncConnection, account_id: str, now: float) -> list[dict[str, Any]]:
    """Answered outgoing legs of running calls, with what each has cost `so_far`."""
    query = (
        select(legs)
        .join(calls, calls.c.id == legs.c.call_id)
        .where(
            calls.c.account_id == account_id,
            calls.c.ended_at.is_(None),
            calls.c.simulated.is_(None),
            legs.c.direction == Direction.OUTGOING,
            legs.c.answered_at.is_not(None),
            legs.c.ended_at.is_(None),
            ~exists().where(charges.c.leg_id == legs.c.id),
        )
    )
    running = []
    for row in (await connection.execute(query)).mappings().all():
        rate = await _rate(connection, account_id, row["destination"] or "")
        seconds = whole_seconds(now - row["answered_at"])
        running.append({**row, "so_far": cost(rate.per_minute if rate else 0, seconds)})
    return running


def _balance(row: Row) -> Balance:
    return Balance(
        amount=row["amount"],
        currency=row["currency"],
        payment=Payment(row["payment"]),
        end_when_spent=bool(row["end_when_spent"]),
    )
