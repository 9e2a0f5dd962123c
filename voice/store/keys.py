"""Keys of the node, made once and kept with the rest, so that what they sealed outlives a restart."""

from __future__ import annotations

import secrets

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from voice.store import schema
from voice.store.database import Database

KEY_BYTES = 32


async def node_key(database: Database, name: str, *, now: float) -> bytes:
    """The key of this name, 32 random bytes; made when it is asked for the first time.

    The same for every process and machine that shares the database.  Raises StoreError.
    """
    with database.errors():
        async with database.reading() as connection:
            key = await _read(connection, name)
        if key is not None:
            return key
        try:
            async with database.writing() as connection:
                key = await _read(connection, name)
                if key is None:
                    key = secrets.token_bytes(KEY_BYTES)
                    row = {"name": name, "value": key.hex(), "made_at": now}
                    await connection.execute(insert(schema.secrets).values(row))
        except IntegrityError:
            # Another machine made it between our looking and our writing.
            async with database.reading() as connection:
                key = await _read(connection, name)
        assert key is not None
        return key


async def _read(connection: AsyncConnection, name: str) -> bytes | None:
    found = await connection.execute(select(schema.secrets.c.value).where(schema.secrets.c.name == name))
    value = found.scalar()
    return None if value is None else bytes.fromhex(value)
