"""Limits over several machines: what each has is told by the database, and what calls cost."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert

from sip_config.call_limits import CallLimits
from sip_config.directory import Directory
from tests.edge.world import ACCOUNT, an_account, directory
from tests.notes import PATIENCE_SECONDS
from voice.commands import Command, Kind, Outcome
from voice.edge.core.ledger import Row, Used, day_of
from voice.edge.core.limits import Limits
from voice.edge.core.live_calls import LiveCall
from voice.edge.core.tariff import Funds, Tariff
from voice.edge.ledger_file import LedgerFile
from voice.limit_keeper import LimitKeeper, watched_accounts
from voice.records import Direction
from voice.store.database import Database, sqlite_url
from voice.store.limit_usage import BELIEVED_SECONDS
from voice.store.money import Balance, Money, Payment, Rate
from voice.store.schema import accounts, calls, legs

NEW_ONES = CallLimits(new_destinations_per_hour=1)
NUMBER = "+31201234567"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with await Database.open(sqlite_url(tmp_path / "x.db")) as opened:
        yield opened


class Machine:
    """An edge's limits, with the file of its machine."""

    def __init__(self, path: Path, database: Database, config: Directory) -> None:
        self.now = time.time()
        self.file = LedgerFile(path, self.now)
        self.limits = Limits(self.file.ledger)
        self.config = config
        self.keeper = LimitKeeper(
            self.file, database, lambda: self.config, self, self, clock=lambda: self.now
        )
        self.beyond: list[tuple[str, str]] = []
        self.ended: list[Command | str] = []
        self.moved = asyncio.Event()

    # -- the edge and the pool, as the keeper sees them ------------------------------------------

    def set_tariff(self, tariff: Tariff) -> None:
        self.limits.tariff = tariff

    def beyond_their_day(self) -> list[tuple[str, str]]:
        return self.beyond

    def hang_up(self, call_id: str, reason: str) -> bool:
        if call_id == "trunk":
            self.ended.append(call_id)
        return call_id == "trunk"

    async def command(self, command: Command) -> Outcome | None:
        self.ended.append(command)
        self.moved.set()
        return None

    def begins(self, dialled: str | None = None) -> str:
        """The cause for which a call is refused; empty: it has a place."""
        account = self.config.account(ACCOUNT)
        assert account is not None
        call = LiveCall(str(uuid.uuid4()), account, since=self.now)
        over = self.limits.admit(call, self.now, dialled)
        return "" if over is None else over.cause

    def ends(self) -> None:
        self.limits.release(next(iter(self.limits.calls)), self.now)


@pytest.fixture
def machines(tmp_path: Path, database: Database) -> Iterator[list[Machine]]:
    config = directory(account=an_account(concurrent_calls=4, limits=CallLimits(daily_minutes=100)))
    made = [Machine(tmp_path / name, database, config) for name in ("one", "two", "three")]
    yield made
    for machine in made:
        machine.file.close()


class Lock:
    """Says whether somebody has it."""

    held = False

    def __enter__(self) -> bool:
        self.held = True
        return True

    def __exit__(self, *_: object) -> None:
        self.held = False


async def look(*machines: Machine, seconds: float = 0.0) -> None:
    """So much later, all look twice: the first then knows what the last has said."""
    for machine in machines:
        machine.now += seconds
    for machine in (*machines, *machines):
        await machine.keeper.refresh()


async def test_places_on_one_machine_are_taken_on_the_others(machines: list[Machine]) -> None:
    one, two, three = machines
    await look(*machines)
    assert [one.begins(), one.begins(), two.begins()] == ["", "", ""]
    await look(*machines)
    assert three.begins() == ""
    await look(*machines)
    assert [machine.begins() for machine in machines] == ["account-concurrent-calls"] * 3
    one.ends()
    await look(*machines)
    assert two.begins() == ""
    for machine in machines:
        while machine.limits.calls:
            machine.ends()
    await look(*machines)
    assert [one.begins() for _ in range(5)] == ["", "", "", "", "account-concurrent-calls"]


async def test_between_two_looks_every_machine_may_fill_what_is_free(machines: list[Machine]) -> None:
    """The documented overshoot: the free places, for each machine but one."""
    await look(*machines)
    outcomes = [machine.begins() for machine in machines for _ in range(6)]
    assert outcomes.count("") == 3 * 4
    await look(*machines)
    for _ in range(2):
        for machine in machines:
            machine.ends()
    await look(*machines)
    assert [machine.begins() for machine in machines] == ["account-concurrent-calls"] * 3


async def test_a_machine_that_is_gone_is_believed_for_a_while_and_its_minutes_for_the_day(
    machines: list[Machine],
) -> None:
    one, two, _ = machines
    await look(*machines)
    for _ in range(4):
        assert one.begins(NUMBER) == ""
    await look(*machines)
    machines.pop(0).file.close()
    assert two.begins() == "account-concurrent-calls"
    await look(two, seconds=BELIEVED_SECONDS + 1)
    assert two.begins() == ""
    with two.file.ledger.lock:
        row = next(row for _, row in two.file.ledger.rows())
    assert row.used(two.now, int(two.now // 86_400)).seconds == 240
    await look(two, seconds=86_400)
    with two.file.ledger.lock:
        assert row.used(two.now, int(two.now // 86_400)).seconds == 0


async def test_a_machine_that_is_alone_says_nothing_of_its_calls(machines: list[Machine]) -> None:
    one, *_ = machines
    await look(one)
    one.begins()
    await look(one)
    assert await one.keeper._usage.exchange({}, 1, one.now) == {}


async def test_what_other_machines_are_told_is_read_with_the_lock(
    machines: list[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else half a change is told, of which all calls of the others would end."""
    one, two, _ = machines
    await look(*machines)
    assert one.begins(NUMBER) == ""
    lock, running, told = Lock(), Row.running, 0

    def watched(row: Row, now: float) -> Used:
        nonlocal told
        assert lock.held
        told += 1
        return running(row, now)

    one.file.ledger.lock = lock
    monkeypatch.setattr(Row, "running", watched)
    await one.keeper.refresh()
    assert told == 1
    monkeypatch.undo()
    await look(two)
    with two.file.ledger.lock:
        assert [row.used(two.now, day_of(two.now)) for _, row in two.file.ledger.rows()] == [(60.0, 0.0)]


# -- what calls cost -------------------------------------------------------------------------------


async def with_account(database: Database) -> Money:
    async with database.writing() as connection:
        await connection.execute(
            insert(accounts).values(
                id=ACCOUNT, name="acme", calls_per_second=1, concurrent_calls=1, max_call_seconds=1
            )
        )
    return Money(database)


async def test_rates_and_prepaid_balances_reach_the_edge_when_they_change(
    machines: list[Machine], database: Database
) -> None:
    one, *_ = machines
    money = await with_account(database)
    await look(one)
    assert one.limits.tariff.per_minute(ACCOUNT, NUMBER) is None
    assert one.limits.tariff.funds(ACCOUNT) is None
    for_all = await money.put_rate(Rate(id="", account_id=None, prefix="31", per_minute=50, currency="EUR"))
    await money.put_rate(Rate(id="", account_id=ACCOUNT, prefix="", per_minute=90, currency="EUR"))
    await money.set_balance(ACCOUNT, Balance(amount=70, payment=Payment.PREPAID))
    await look(one)
    assert one.limits.tariff.per_minute(ACCOUNT, NUMBER) == 50
    assert one.limits.tariff.per_minute(ACCOUNT, "+44207") == 90
    assert one.limits.tariff.per_minute("another", "+44207") is None
    assert one.limits.tariff.funds(ACCOUNT) == Funds(70, "EUR")
    assert (one.begins(NUMBER), one.begins(NUMBER)) == ("", "balance")
    await money.add(ACCOUNT, 30)
    await money.delete_rate(for_all.id)
    await look(one)
    assert one.limits.tariff.per_minute(ACCOUNT, NUMBER) == 90
    assert one.limits.tariff.funds(ACCOUNT) == Funds(100, "EUR")
    await money.set_balance(ACCOUNT, Balance(amount=0, payment=Payment.POSTPAID))
    await look(one)
    assert one.begins(NUMBER) == ""


async def test_calls_beyond_their_day_are_ended_by_the_edge_or_their_process(machines: list[Machine]) -> None:
    one, *_ = machines
    one.beyond = [("trunk", "Enough."), ("flow", "Enough.")]
    one.keeper.end_calls()
    one.keeper.end_calls()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await one.moved.wait()
    assert one.ended == ["trunk", "trunk", Command(kind=Kind.HANGUP, call_id="flow", body="Enough.")]


# -- who was called before -------------------------------------------------------------------------


async def called(database: Database, number: str, at: float, simulated: int | None = None) -> None:
    """A call on record."""
    call, leg = str(uuid.uuid4()), str(uuid.uuid4())
    async with database.writing() as connection:
        await connection.execute(
            insert(calls).values(id=call, account_id=ACCOUNT, started_at=at, simulated=simulated)
        )
        await connection.execute(
            insert(legs).values(id=leg, call_id=call, direction=Direction.OUTGOING, destination=number)
        )


async def test_whom_an_account_called_before_it_had_the_limit_is_not_new(
    tmp_path: Path, database: Database
) -> None:
    machine = Machine(tmp_path / "one", database, directory(account=an_account()))
    await called(database, "+31201111111", machine.now - 1_000)
    await called(database, "+31201111112", machine.now - 100 * 86_400)
    await called(database, "+31201111115", machine.now - 1_000, simulated=1)
    await look(machine)
    machine.config = directory(account=an_account(limits=NEW_ONES))
    await look(machine)
    assert machine.begins("+31201111111") == ""
    assert machine.begins("+31201111113") == ""
    # Too long ago, and not in earnest.
    assert machine.begins("+31201111112") == "account-new-destinations"
    assert machine.begins("+31201111115") == "account-new-destinations"
    await called(database, "+31201111114", machine.now)
    await look(machine, seconds=1)
    assert machine.begins("+31201111114") == ""
    machine.file.close()


def test_accounts_whose_calls_are_remembered() -> None:
    assert watched_accounts(directory(account=an_account())) == set()
    assert watched_accounts(directory(account=an_account(limits=NEW_ONES))) == {ACCOUNT}
    assert watched_accounts(directory(domain_limits=NEW_ONES)) == {ACCOUNT}
    assert watched_accounts(directory(users={"u": "p"}, user_limits=NEW_ONES)) == {ACCOUNT}
