"""Bans in a database, and their way between edges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from voice.ban_keeper import BanKeeper
from voice.bans import Ban, BanReason
from voice.bells import Bell
from voice.edge.core.bans import Bans
from voice.edge.settings import BanRules
from voice.store import bans as store_module
from voice.store.bans import KEPT_SECONDS, BanStore
from voice.store.database import Database, sqlite_url

NOW = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with await Database.open(sqlite_url(tmp_path / "bans.db")) as opened:
        yield opened


@pytest.fixture
def store(database: Database, clock: Clock) -> BanStore:
    return BanStore(database, Bell(), clock)


def a_ban(address: str, *, since: float = NOW, seconds: float = 60, **of: object) -> Ban:
    usual = {"reason": BanReason.SCANNER, "level": 1, "proven": True}
    return Ban(address=address, since=since, until=since + seconds, **{**usual, **of})  # type: ignore[arg-type]


async def test_what_was_put_is_found_until_it_ends(store: BanStore, clock: Clock) -> None:
    older = a_ban("192.0.2.1", since=NOW - 10)
    newer = a_ban("2001:db8::/64", reason=BanReason.WRONG_PASSWORDS, level=3, proven=False)
    await store.put([older, newer])
    assert await store.in_force(limit=10) == ((newer, older), 2)
    assert await store.in_force(limit=1) == ((newer,), 2)
    assert await store.in_force(limit=1, offset=1) == ((older,), 2)
    longer = a_ban("192.0.2.1", since=NOW + 1, seconds=240, level=2)
    await store.put([longer])
    assert await store.in_force(limit=10) == ((longer, newer), 2)
    clock.now = NOW + 100
    assert await store.in_force(limit=10) == ((longer,), 1)
    clock.now = longer.until + KEPT_SECONDS + 1
    await store.tidy()
    assert (await store.changed_after(-1))[0] == []


async def test_changes_are_told_in_parts_and_none_is_left_out(
    store: BanStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MOST_CHANGES", 7)
    put = [a_ban(f"192.0.2.{number}") for number in range(50)]
    for start in (0, 20, 40):
        await store.put(put[start : start + 20])
    told: list[Ban] = []
    version, parts = -1, 0
    while True:
        some, after = await store.changed_after(version)
        if after == version:
            break
        told += some
        version, parts = after, parts + 1
    assert told == put
    assert parts == 8
    assert await store.release("192.0.2.3")
    [last], _ = await store.changed_after(version)
    assert (last.address, last.until, last.level) == ("192.0.2.3", NOW, 0)


async def test_operators_ban_and_release(store: BanStore) -> None:
    ban = await store.impose("192.0.2.1", 100)
    assert (ban.reason, ban.until) == (BanReason.OPERATOR, NOW + 100)
    assert await store.in_force(limit=10) == ((ban,), 1)
    assert await store.release("192.0.2.1")
    assert await store.in_force(limit=10) == ((), 0)
    assert not await store.release("192.0.2.1")
    assert not await store.release("192.0.2.2")


class Edge:
    """An edge without sockets."""

    def __init__(self, clock: Clock) -> None:
        self.bans = Bans(BanRules(), lambda _: False, lambda _: False)
        self._clock = clock

    def put_ban(self, ban: Ban) -> None:
        self.bans.put(ban)

    def take_ban_news(self, most: int) -> list[Ban]:
        return self.bans.take_news(most)

    def enforced_bans(self) -> tuple[Ban, ...]:
        return self.bans.in_force(self._clock())

    def keeps_out(self, host: str) -> bool:
        return self.bans.of(host, "TCP", self._clock()) is not None


async def test_a_ban_reaches_other_nodes_and_outlives_a_restart(
    database: Database, store: BanStore, clock: Clock
) -> None:
    here, there = Edge(clock), Edge(clock)
    keepers = [
        BanKeeper(edge, BanStore(database, Bell(), clock), Bell(), None, clock) for edge in (here, there)
    ]
    here.bans.scanner("192.0.2.1", clock(), proven=True)
    for keeper in keepers:
        await keeper.exchange()
    assert there.keeps_out("192.0.2.1")
    restarted = Edge(clock)
    await BanKeeper(restarted, store, Bell(), None, clock).exchange()
    assert restarted.keeps_out("192.0.2.1")
    clock.now += 10
    await store.release("192.0.2.1")
    await store.impose("192.0.2.2", 60)
    for keeper in keepers:
        await keeper.exchange()
    for edge in (here, there):
        assert not edge.keeps_out("192.0.2.1")
        assert edge.keeps_out("192.0.2.2")


async def test_what_the_database_tells_late_does_not_undo_a_newer_ban(store: BanStore, clock: Clock) -> None:
    edge = Edge(clock)
    keeper = BanKeeper(edge, store, Bell(), None, clock)
    await store.put([a_ban("192.0.2.1", since=NOW - 1_000)])
    edge.bans.scanner("192.0.2.1", NOW, proven=True)
    await keeper.exchange()
    assert edge.keeps_out("192.0.2.1")
    [(ban,), _] = await store.in_force(limit=10)
    assert ban.since == NOW


async def test_a_flood_of_bans_is_written_down_bit_by_bit(store: BanStore, clock: Clock) -> None:
    edge = Edge(clock)
    for number in range(500):
        edge.bans.scanner(f"10.0.{number >> 8}.{number & 255}", NOW, proven=False)
    keeper = BanKeeper(edge, store, Bell(), None, clock)
    for expected in (200, 400, 500, 500):
        await keeper.exchange()
        assert (await store.in_force(limit=1))[1] == expected
    assert len(edge.enforced_bans()) == 500


class Told:
    """A firewall that remembers what it was told."""

    def __init__(self, when: asyncio.Event) -> None:
        self.banned: set[str] = set()
        self._when = when

    async def apply(self, wanted: Sequence[Ban], now: float) -> None:
        self.banned = {ban.address for ban in wanted}
        if self.banned == {"192.0.2.1", "192.0.2.9"}:
            self._when.set()


async def test_the_keeper_works_by_itself(database: Database, clock: Clock) -> None:
    edge, bell, done = Edge(clock), Bell(), asyncio.Event()
    store = BanStore(database, bell, clock)
    told = Told(done)
    task = asyncio.create_task(BanKeeper(edge, store, bell, told, clock).run())
    try:
        edge.bans.scanner("192.0.2.1", clock(), proven=True)
        await store.impose("192.0.2.9", 60)
        async with asyncio.timeout(10):
            await done.wait()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert edge.keeps_out("192.0.2.9")
    assert (await store.in_force(limit=10))[1] == 2
