"""The bans in a database: those of all its nodes, through restarts, and for whoever lists and lifts them.

Each change has a number, so that a node asks for what is new only.  Errors of the database come out as
StoreError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from voice.bans import Ban, BanReason, by_operator, released
from voice.bells import Bell
from voice.store.database import Database
from voice.store.schema import state
from voice.store.service_schema import bans

_VERSION: Final = "bans version"
KEPT_SECONDS: Final = 2 * 86_400.0
"""After its end a ban is kept for so long, because the next one may be longer for it."""
MOST_CHANGES: Final = 2_000
"""That are told at a time."""


class BanStore:
    """`bell`: of this process, rung when a ban is imposed or lifted here."""

    def __init__(self, database: Database, bell: Bell, clock: Callable[[], float]) -> None:
        self._database = database
        self._bell = bell
        self._clock = clock

    # -- the node ----------------------------------------------------------------------------

    async def put(self, changed: Sequence[Ban]) -> None:
        """Writes bans down, each in the place of the one that there is for its address.  Addresses differ."""
        with self._database.errors():
            async with self._database.writing() as connection:
                await _put(connection, changed)

    async def changed_after(self, version: int) -> tuple[Sequence[Ban], int]:
        """Bans that were changed after a version, and the version that these lead to."""
        query = select(bans).where(bans.c.version > version).order_by(bans.c.version).limit(MOST_CHANGES)
        with self._database.errors():
            async with self._database.reading() as connection:
                rows = (await connection.execute(query)).all()
        return [_ban(row) for row in rows], max([version, *(row.version for row in rows)])

    async def tidy(self) -> None:
        """Forgets what ended long ago."""
        with self._database.errors():
            async with self._database.writing() as connection:
                await connection.execute(delete(bans).where(bans.c.until < self._clock() - KEPT_SECONDS))

    # -- operators -----------------------------------------------------------------------------

    async def in_force(self, *, limit: int, offset: int = 0) -> tuple[tuple[Ban, ...], int]:
        """Bans that have not ended, the newest first; and how many there are."""
        query = select(bans).where(bans.c.until > self._clock())
        order = query.order_by(bans.c.since.desc(), bans.c.address).limit(limit).offset(offset)
        with self._database.errors():
            async with self._database.reading() as connection:
                counted = await connection.execute(select(func.count()).select_from(query.subquery()))
                rows = (await connection.execute(order)).all()
        return tuple(_ban(row) for row in rows), int(counted.scalar_one())

    async def of(self, address: str) -> Ban | None:
        """The ban in force of an address, as `read_ban_key` gives it."""
        query = select(bans).where(bans.c.address == address, bans.c.until > self._clock())
        with self._database.errors():
            async with self._database.reading() as connection:
                row = (await connection.execute(query)).one_or_none()
        return None if row is None else _ban(row)

    async def impose(self, address: str, seconds: float) -> Ban:
        """Bans an address, as `read_ban_key` gives it, by the operator's word."""
        ban = by_operator(address, seconds, self._clock())
        await self.put([ban])
        self._bell.ring()
        return ban

    async def release(self, address: str) -> bool:
        """Lifts a ban; False when there is none."""
        now = self._clock()
        with self._database.errors():
            async with self._database.writing() as connection:
                query = select(bans).where(bans.c.address == address, bans.c.until > now)
                row = (await connection.execute(query)).one_or_none()
                if row is not None:
                    await _put(connection, [released(_ban(row), now)])
        self._bell.ring()
        return row is not None


async def _put(connection: AsyncConnection, changed: Sequence[Ban]) -> None:
    # Whoever else changes bans waits for this row, so that versions become visible in their order.
    found = await connection.execute(select(state.c.value).where(state.c.name == _VERSION).with_for_update())
    version = int(found.scalar_one())
    rows = {
        ban.address: {
            "address": ban.address,
            "since": ban.since,
            "until": ban.until,
            "reason": ban.reason.value,
            "level": ban.level,
            "proven": ban.proven,
            "version": number,
        }
        for number, ban in enumerate(changed, version + 1)
    }
    version += len(changed)
    await connection.execute(delete(bans).where(bans.c.address.in_(rows)))
    await connection.execute(insert(bans), list(rows.values()))
    await connection.execute(update(state).where(state.c.name == _VERSION).values(value=str(version)))


def _ban(row: Row[Any]) -> Ban:
    return Ban(
        address=row.address,
        since=row.since,
        until=row.until,
        reason=BanReason(row.reason),
        level=row.level,
        proven=bool(row.proven),
    )
