"""Access keys: shown once, kept as a hash, found again only while they are good."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from voice.store.access_keys import AccessKeys
from voice.store.database import Database, sqlite_url


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with await Database.open(sqlite_url(tmp_path / "keys.db")) as opened:
        yield opened


@pytest.fixture
def keys(database: Database, clock: Clock) -> AccessKeys:
    return AccessKeys(database, clock)


async def test_a_key_is_found_and_says_what_it_may(keys: AccessKeys) -> None:
    key, made = await keys.create(None, test=True, scopes=["calls", "webhooks:read"], label="shop")
    assert key.startswith("test_")
    assert len(key) == 41
    found = await keys.find(key)
    assert found == made
    assert found.test
    assert found.scopes == {"calls", "webhooks:read"}
    assert key.startswith(found.shown)


async def test_the_database_does_not_hold_the_key(keys: AccessKeys, database: Database) -> None:
    key, _ = await keys.create(None)
    async with database.reading() as connection:
        (row,) = (await connection.execute(text("SELECT * FROM api_keys"))).all()
    assert key not in str(row)
    assert key[5:] not in str(row)


@pytest.mark.parametrize("wrong", ["", "live_", "live_" + "a" * 36, "x" * 100_000, "live_\udcff"])
async def test_what_is_no_key_finds_nothing(keys: AccessKeys, wrong: str) -> None:
    await keys.create(None)
    assert await keys.find(wrong) is None


async def test_a_revoked_key_is_no_key(keys: AccessKeys) -> None:
    key, made = await keys.create(None)
    assert await keys.find(key)
    assert await keys.revoke(made.id)
    assert await keys.find(key) is None
    assert not await keys.revoke(made.id)
    assert not await keys.revoke("of nobody")


async def test_a_revocation_by_another_process_is_noticed_within_seconds(
    keys: AccessKeys, database: Database, clock: Clock
) -> None:
    key, made = await keys.create(None)
    assert await keys.find(key)
    await AccessKeys(database, clock).revoke(made.id)
    clock.now += 3
    assert await keys.find(key) is None


async def test_a_key_expires(keys: AccessKeys, clock: Clock) -> None:
    key, _ = await keys.create(None, expires_at=clock.now + 10)
    assert await keys.find(key)
    clock.now += 10
    assert await keys.find(key) is None


async def test_the_old_and_the_new_key_of_a_rotation_are_good_for_a_while(
    keys: AccessKeys, clock: Clock
) -> None:
    old, made = await keys.create(None, scopes=["calls"], label="shop")
    clock.now += 1
    rotated = await keys.rotate(made.id, overlap_seconds=60)
    assert rotated is not None
    new, row = rotated
    assert (row.label, set(row.scopes)) == ("shop", {"calls"})
    assert await keys.find(old)
    assert await keys.find(new)
    clock.now += 61
    assert await keys.find(old) is None
    assert await keys.find(new)
    assert await keys.rotate(made.id, overlap_seconds=60) is None
    assert [one.id for one in await keys.list(everybody=True)] == [made.id, row.id]
