"""What the API reads of what happened: calls, legs, recordings, in pages, each account its own."""

from __future__ import annotations

from sqlalchemy import or_, select

from voice.store.database import Database
from voice.store.schema import accounts


class Accounts:
    """Errors of the database come out as StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def id_of(self, name_or_id: str) -> str | None:
        """The id of an account by its name or its id."""
        query = select(accounts.c.id).where(or_(accounts.c.id == name_or_id, accounts.c.name == name_or_id))
        with self._database.errors():
            async with self._database.reading() as connection:
                return (await connection.execute(query)).scalars().first()
