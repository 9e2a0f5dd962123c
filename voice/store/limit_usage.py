"""What the edges of each machine use of the limits, for those of other machines; and what accounts called.

A machine that says nothing for a while counts as gone with its calls; what it used of the day still counts.
Errors of the database come out as StoreError.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from voice.records import Direction
from voice.store.database import Database
from voice.store.schema import calls, legs, state
from voice.store.service_schema import balances, limit_ledgers, limit_usage, rates

BELIEVED_SECONDS: Final = 5.0
"""For so long the calls of a machine count after it said that it has them."""
KEPT_DAYS: Final = 2
MOST_DESTINATIONS: Final = 20_000
"""Of one account, the latest, that are looked at when its memory is filled."""
RATES_VERSION: Final = "rates version"

Use = tuple[int, float, float]
"""Places, and seconds and money of the day."""


class Finances(NamedTuple):
    """What calls cost, and what prepaid accounts have."""

    version: str
    """Of the rates."""
    rates: list[tuple[str | None, str, int]] | None
    """Account, or None for all, prefix and millionths a minute; None: as they were."""
    prepaid: dict[str, tuple[int, str]]
    """Account -> amount in millionths and currency."""


class LimitUsage:
    """`ledger`: how this machine is called among those that share the database."""

    def __init__(self, database: Database, ledger: str) -> None:
        self._database = database
        self._ledger = ledger

    async def say_present(self, now: float) -> None:
        """Lets other machines know that this one is there."""
        with self._database.errors():
            async with self._database.writing() as connection:
                upsert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
                await connection.execute(
                    upsert(limit_ledgers)
                    .values(id=self._ledger, at=now)
                    .on_conflict_do_update(index_elements=["id"], set_={"at": now})
                )
                await connection.execute(delete(limit_ledgers).where(limit_ledgers.c.at < _long_ago(now)))

    async def is_shared(self, now: float) -> bool:
        """Whether there are other machines, or were today."""
        others = select(func.count()).where(
            limit_ledgers.c.id != self._ledger, limit_ledgers.c.at > _long_ago(now)
        )
        with self._database.errors():
            async with self._database.reading() as connection:
                return bool((await connection.execute(others)).scalar_one())

    async def exchange(self, own: Mapping[str, Use], day: int, now: float) -> dict[str, Use]:
        """Says what this machine has and uses, by subject; returns the same of all others together."""
        rows = [
            {
                "ledger": self._ledger,
                "subject": subject,
                "at": now,
                "day": day,
                "places": use[0],
                "seconds": use[1],
                "spend": use[2],
            }
            for subject, use in own.items()
        ]
        with self._database.errors():
            async with self._database.writing() as connection:
                mine = limit_usage.c.ledger == self._ledger
                await connection.execute(delete(limit_usage).where(mine))
                await connection.execute(delete(limit_usage).where(limit_usage.c.day < day - KEPT_DAYS))
                if rows:
                    await connection.execute(limit_usage.insert(), rows)
            async with self._database.reading() as connection:
                query = select(limit_usage).where(limit_usage.c.ledger != self._ledger)
                found = (await connection.execute(query)).mappings().all()
        others: dict[str, Use] = {}
        for row in found:
            places, seconds, spend = others.get(row["subject"], (0, 0.0, 0.0))
            if row["at"] > now - BELIEVED_SECONDS:
                places += row["places"]
            if row["day"] == day:
                seconds, spend = seconds + row["seconds"], spend + row["spend"]
            others[row["subject"]] = (places, seconds, spend)
        return others

    async def finances(self, known_version: str) -> Finances:
        """`known_version`: of the rates that need not be told again."""
        with self._database.errors():
            async with self._database.reading() as connection:
                query = select(state.c.value).where(state.c.name == RATES_VERSION)
                version = (await connection.execute(query)).scalar() or "none"
                told = None
                if version != known_version:
                    columns = select(rates.c.account_id, rates.c.prefix, rates.c.per_minute)
                    told = [tuple(row) for row in (await connection.execute(columns)).all()]
                prepaid = select(balances.c.account_id, balances.c.amount, balances.c.currency).where(
                    balances.c.payment == "prepaid"
                )
                found = (await connection.execute(prepaid)).all()
        return Finances(version, told, {row[0]: (row[1], row[2]) for row in found})

    async def called(self, account_id: str, since: float) -> list[str]:
        """Whom an account has called since a time, oldest first."""
        query = (
            select(legs.c.destination)
            .join(calls, calls.c.id == legs.c.call_id)
            .where(
                calls.c.account_id == account_id,
                calls.c.started_at > since,
                calls.c.simulated.is_(None),
                legs.c.direction == Direction.OUTGOING,
            )
            .order_by(calls.c.started_at.desc())
            .limit(MOST_DESTINATIONS)
        )
        with self._database.errors():
            async with self._database.reading() as connection:
                latest = (await connection.execute(query)).scalars().all()
        return [number for number in reversed(latest) if number]


def _long_ago(now: float) -> float:
    return now - KEPT_DAYS * 86_400
