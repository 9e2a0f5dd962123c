"""The keys that an account's requests are signed with, and their change with an overlap.

A key has to be known in clear on both sides, so it is stored so.  A new key is shown at once and signs from a
later time on: until then the customer's servers can learn to accept both.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import insert, select, update

from voice.store.database import Database
from voice.store.errors import StoreError
from voice.store.schema import accounts
from voice.store.service_schema import signing_keys

_BYTES: Final = 24
_REMEMBERED_SECONDS: Final = 5.0
_MOST_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key; times are UTC seconds since the epoch."""

    id: str
    account_id: str
    secret: str = field(repr=False)
    created_at: float
    signs_from: float
    revoked_at: float | None


class SigningKeys:
    """The keys in a database.  Errors of the database come out as StoreError."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._remembered: dict[str, tuple[float, str]] = {}

    async def current(self, account_id: str) -> str:
        """The secret that signs now; an account that has none gets one.  Raises StoreError."""
        now = self._clock()
        until, secret = self._remembered.get(account_id, (0.0, ""))
        if now < until:
            return secret
        key = self._signing(await self.list(account_id), now)
        if key is None:
            key = await self.create(account_id)
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[account_id] = (now + _REMEMBERED_SECONDS, key.secret)
        return key.secret

    async def create(self, account_id: str, *, signs_in: float = 0.0) -> SigningKey:
        """A new key, which signs from so many seconds on.  Raises StoreError, also for an unknown account."""
        now = self._clock()
        made = SigningKey(
            id=str(uuid.uuid4()),
            account_id=account_id,
            secret=secrets.token_urlsafe(_BYTES),
            created_at=now,
            signs_from=now + signs_in,
            revoked_at=None,
        )
        with self._database.errors():
            async with self._database.writing() as connection:
                known = await connection.execute(select(accounts.c.id).where(accounts.c.id == account_id))
                if known.first() is None:
                    raise StoreError(f"There is no account {account_id}.")
                await connection.execute(insert(signing_keys).values(**_columns(made)))
        self._remembered.pop(account_id, None)
        return made

    async def list(self, account_id: str) -> tuple[SigningKey, ...]:
        """All keys of an account, newest first."""
        query = (
            select(signing_keys)
            .where(signing_keys.c.account_id == account_id)
            .order_by(signing_keys.c.created_at.desc(), signing_keys.c.id)
        )
        with self._database.errors():
            async with self._database.reading() as connection:
                rows = (await connection.execute(query)).mappings().all()
        return tuple(SigningKey(**row) for row in rows)

    async def revoke(self, key_id: str, account_id: str) -> bool:
        """Ends a key now.  False: the account has none of this id that is good."""
        key = signing_keys.c
        statement = (
            update(signing_keys)
            .where(key.id == key_id, key.account_id == account_id, key.revoked_at.is_(None))
            .values(revoked_at=self._clock())
        )
        with self._database.errors():
            async with self._database.writing() as connection:
                changed = (await connection.execute(statement)).rowcount
        self._remembered.pop(account_id, None)
        return changed > 0

    @staticmethod
    def _signing(keys: tuple[SigningKey, ...], now: float) -> SigningKey | None:
        good = [key for key in keys if key.revoked_at is None and key.signs_from <= now]
        return max(good, key=lambda key: key.signs_from, default=None)


def _columns(key: SigningKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "account_id": key.account_id,
        "secret": key.secret,
        "created_at": key.created_at,
        "signs_from": key.signs_from,
        "revoked_at": key.revoked_at,
    }
