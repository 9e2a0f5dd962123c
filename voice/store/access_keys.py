"""Access keys of the API: made here, shown once, kept as their SHA-256.

A key carries 200 random bits, so nobody can guess it and a fast hash keeps it as safe as a slow one would; a
slow one would only let strangers buy our processor time with bad keys.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import insert, select, update

from voice.store.database import Database
from voice.store.service_schema import api_keys

_ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
_LETTERS: Final = 36
"""Of 57 signs each: 209 bits."""
_SHOWN: Final = 10
"""Characters by which people tell their keys apart: the mode and five of the secret."""
_REMEMBERED_SECONDS: Final = 2.0
"""How long a key that was found is not looked up again, and so how late a revocation may be noticed."""
_MOST_REMEMBERED: Final = 10_000
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """A key as the store knows it: without the key itself."""

    id: str
    account_id: str | None
    """None: the operator's."""
    label: str
    test: bool
    scopes: frozenset[str]
    shown: str
    """Its first characters."""
    created_at: float
    expires_at: float | None
    revoked_at: float | None

    def is_good(self, now: float) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class AccessKeys:
    """The keys in a database.  Errors of the database come out as StoreError."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._remembered: dict[str, tuple[float, AccessKey]] = {}

    async def create(
        self,
        account_id: str | None,
        *,
        test: bool = False,
        scopes: Iterable[str] = ("*",),
        label: str = "",
        expires_at: float | None = None,
    ) -> tuple[str, AccessKey]:
        """A new key, which nobody can read again, and its row."""
        secret = "".join(secrets.choice(_ALPHABET) for _ in range(_LETTERS))
        key = f"{'test' if test else 'live'}_{secret}"
        made = AccessKey(
            id=str(uuid.uuid4()),
            account_id=account_id,
            label=label,
            test=test,
            scopes=frozenset(scopes),
            shown=key[:_SHOWN],
            created_at=self._clock(),
            expires_at=expires_at,
            revoked_at=None,
        )
        with self._database.errors():
            async with self._database.writing() as connection:
                await connection.execute(insert(api_keys).values(**_columns(made), digest=_digest(key)))
        return key, made

    async def find(self, key: str) -> AccessKey | None:
        """The row of a key that is good now."""
        if len(key) > _LONGEST:
            return None
        now = self._clock()
        digest = _digest(key)
        until, found = self._remembered.get(digest, (0.0, None))
        if found is None or now >= until:
            found = await self._one(api_keys.c.digest == digest)
            if found is None:
                return None
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[digest] = (now + _REMEMBERED_SECONDS, found)
        return found if found.is_good(now) else None

    async def get(self, key_id: str) -> AccessKey | None:
        return await self._one(api_keys.c.id == key_id)

    async def list(self, account_id: str | None = None, *, everybody: bool = False) -> tuple[AccessKey, ...]:
        """Those of an account (None: the operator's), or all; oldest first."""
        query = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id)
        if not everybody:
            query = query.where(api_keys.c.account_id == account_id)
        with self._database.errors():
            async with self._database.reading() as connection:
                return tuple([_key(row) for row in (await connection.execute(query)).mappings()])

    async def rotate(self, key_id: str, *, overlap_seconds: float) -> tuple[str, AccessKey] | None:
        """A new key with the rights of an old one, which expires after the overlap; None: it is not good."""
        old = await self.get(key_id)
        if old is None or not old.is_good(self._clock()):
            return None
        new = await self.create(
            old.account_id, test=old.test, scopes=old.scopes, label=old.label, expires_at=old.expires_at
        )
        end = self._clock() + overlap_seconds
        await self._set(key_id, expires_at=end if old.expires_at is None else min(end, old.expires_at))
        return new

    async def revoke(self, key_id: str) -> bool:
        """Ends a key now.  False: there is none, or it was revoked before."""
        old = await self.get(key_id)
        if old is None or old.revoked_at is not None:
            return False
        await self._set(key_id, revoked_at=self._clock())
        return True

    async def _set(self, key_id: str, **values: Any) -> None:
        with self._database.errors():
            async with self._database.writing() as connection:
                await connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(**values))
        self._remembered.clear()

    async def _one(self, condition: Any) -> AccessKey | None:
        with self._database.errors():
            async with self._database.reading() as connection:
                row = (await connection.execute(select(api_keys).where(condition))).mappings().first()
        return None if row is None else _key(row)


def _digest(key: str) -> str:
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _columns(key: AccessKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "account_id": key.account_id,
        "label": key.label,
        "mode": "test" if key.test else "live",
        "scopes": " ".join(sorted(key.scopes)),
        "shown": key.shown,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }


def _key(row: Any) -> AccessKey:
    return AccessKey(
        id=row["id"],
        account_id=row["account_id"],
        label=row["label"],
        test=row["mode"] == "test",
        scopes=frozenset(row["scopes"].split()),
        shown=row["shown"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )
