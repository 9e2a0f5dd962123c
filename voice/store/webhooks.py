"""The webhooks of accounts: where events are told.  Errors of the database come out as StoreError."""

from __future__ import annotations

import uuid

from sqlalchemy import delete, func, insert, select, update

from voice.store.database import Database
from voice.store.listing import Found, Row, Window, first, page
from voice.store.service_schema import webhooks

MOST_WEBHOOKS = 100
"""Of one account: each event makes a delivery for each."""


class TooManyWebhooks(Exception):
    """The account has as many as it may have."""


class WebhookStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, account_id: str, *, url: str, token: str | None, title: str | None, now: float
    ) -> Row:
        """Raises TooManyWebhooks."""
        row = {
            "id": str(uuid.uuid4()),
            "account_id": account_id,
            "url": url,
            "token": token,
            "title": title,
            "created_at": now,
            "updated_at": now,
        }
        owned = select(func.count()).select_from(webhooks).where(webhooks.c.account_id == account_id)
        with self._database.errors():
            async with self._database.writing() as connection:
                if (await connection.execute(owned)).scalar_one() >= MOST_WEBHOOKS:
                    raise TooManyWebhooks
                await connection.execute(insert(webhooks).values(row))
        return row

    async def find(self, account_id: str, webhook_id: str) -> Row | None:
        return await first(
            self._database,
            select(webhooks).where(webhooks.c.id == webhook_id, webhooks.c.account_id == account_id),
        )

    async def list(self, account_id: str, window: Window) -> Found:
        query = select(webhooks).where(webhooks.c.account_id == account_id)
        return await page(self._database, query, webhooks, webhooks.c.created_at, window)

    async def change(
        self, account_id: str, webhook_id: str, changes: dict[str, str | None], now: float
    ) -> Row | None:
        """Sets columns (url, token, title) of one; None when there is no such webhook."""
        with self._database.errors():
            async with self._database.writing() as connection:
                await connection.execute(
                    update(webhooks)
                    .where(webhooks.c.id == webhook_id, webhooks.c.account_id == account_id)
                    .values(**changes, updated_at=now)
                )
        return await self.find(account_id, webhook_id)

    async def delete(self, account_id: str, webhook_id: str) -> bool:
        """Whether there was one."""
        with self._database.errors():
            async with self._database.writing() as connection:
                gone = await connection.execute(
                    delete(webhooks).where(webhooks.c.id == webhook_id, webhooks.c.account_id == account_id)
                )
                return gone.rowcount > 0
