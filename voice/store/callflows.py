"""What the API reads of stored callflows and of the numbers under them, each account its own.

They are changed through `voice.store.config`.  Errors of the database come out as StoreError.
"""

from __future__ import annotations

from sqlalchemy import func, select

from voice.store.database import Database
from voice.store.listing import Found, Row, Window, first, page
from voice.store.schema import callflows, numbers


class CallflowListing:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, account_id: str, window: Window) -> Found:
        """Those without a time of creation, which came from a file of old, are the first."""
        query = select(callflows).where(callflows.c.account_id == account_id)
        created = func.coalesce(callflows.c.created_at, 0.0)
        return await page(self._database, query, callflows, created, window)

    async def find(self, account_id: str, callflow_id: str) -> Row | None:
        return await first(
            self._database,
            select(callflows).where(callflows.c.id == callflow_id, callflows.c.account_id == account_id),
        )

    async def numbers(self, account_id: str, callflow_id: str, window: Window) -> Found:
        """The numbers that the callflow answers."""
        query = select(numbers).where(
            numbers.c.account_id == account_id, numbers.c.callflow_id == callflow_id
        )
        created = func.coalesce(numbers.c.created_at, 0.0)
        return await page(self._database, query, numbers, created, window)

    async def number(self, account_id: str, e164: str) -> Row | None:
        """A number that the account owns."""
        return await first(
            self._database,
            select(numbers).where(numbers.c.e164 == e164, numbers.c.account_id == account_id),
        )
