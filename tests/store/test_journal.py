"""The journal, against real SQLite files."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, select
from sqlalchemy.exc import OperationalError

from voice.records import (
    CallChanged,
    CallEnded,
    CallStarted,
    CallStatus,
    Direction,
    Event,
    LegChanged,
    LegMedia,
    LegStarted,
    LegStatus,
    Record,
    RecordingDone,
    RecordingStarted,
    Refusal,
    StepFinished,
    StepStarted,
)
from voice.store import schema
from voice.store.database import Database, sqlite_url
from voice.store.folding import LONGEST_TEXT
from voice.store.journal import StoreJournal
from voice.store.retention import Retention, prune

HOLDS_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with await Database.open(sqlite_url(tmp_path / "trunkflow.db")) as opened:
        yield opened


@pytest.fixture
async def journal(database: Database) -> AsyncIterator[StoreJournal]:
    made = StoreJournal(database, clock=lambda: 1_000.0, gather_seconds=0)
    yield made
    await made.close()


@contextmanager
def locked(tmp_path: Path) -> Iterator[None]:
    """Another process holds the write lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS_LOCK, str(tmp_path / "trunkflow.db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield
        process.communicate()
    assert process.returncode == 0


async def rows(database: Database, table: Table) -> list[dict[str, Any]]:
    async with database.reading() as connection:
        found = await connection.execute(select(table).order_by(*table.primary_key))
        return [dict(row) for row in found.mappings()]


async def written(journal: StoreJournal) -> None:
    async with asyncio.timeout(30):
        while journal.waiting:
            await asyncio.sleep(0.005)


def started(call_id: str = "c", at: float = 1.0) -> CallStarted:
    return CallStarted(
        call_id=call_id,
        at=at,
        account_id="a",
        direction=Direction.INCOMING,
        source="+31201111111",
        destination="+31202222222",
        domain="acme",
        acl="office",
    )


def refusal(at: float = 1.0, rule: str = "r") -> Refusal:
    return Refusal(
        at=at,
        gate="acl",
        cause="acl-networks",
        rule=rule,
        remedy="m",
        sip_status=403,
        source_address="192.0.2.1",
        account_id="a",
    )


WHOLE_CALL: list[Record] = [
    started(),
    LegStarted(leg_id="l1", call_id="c", at=1.0, direction=Direction.INCOMING, source="s", destination="d"),
    LegChanged(
        leg_id="l1", call_id="c", at=1.1, status=LegStatus.RINGING, sip_status=180, sip_reason="Ringing"
    ),
    LegChanged(
        leg_id="l1", call_id="c", at=1.2, status=LegStatus.RINGING, sip_status=183, sip_reason="Progress"
    ),
    LegChanged(leg_id="l1", call_id="c", at=2.0, status=LegStatus.ONGOING, sip_status=200, sip_reason="OK"),
    CallChanged(call_id="c", at=2.0, status=CallStatus.ONGOING),
    StepStarted(call_id="c", at=2.0, seq=1, step_id="greet", action="say"),
    StepFinished(
        call_id="c", at=3.5, seq=1, step_id="greet", action="say", outcome="done", detail="", seconds=1.5
    ),
    RecordingStarted(recording_id="r", call_id="c", leg_id="l1", at=3.5, path="/x.wav", kind="ivr"),
    RecordingDone(recording_id="r", call_id="c", at=5.5, seconds=2.0, size=32_044, status="done"),
    LegChanged(leg_id="l1", call_id="c", at=6.0, status=LegStatus.HANGUP),
    LegMedia(
        leg_id="l1",
        call_id="c",
        codec="PCMA",
        received_packets=100,
        received_lost=1,
        received_jitter_ms=2.5,
        sent_packets=99,
        sent_lost=0,
        sent_jitter_ms=1.5,
    ),
    CallEnded(call_id="c", at=6.0, status=CallStatus.ENDED, reason="The caller hung up."),
    # What comes late changes nothing of the end.
    CallChanged(call_id="c", at=6.1, status=CallStatus.ONGOING),
    LegChanged(leg_id="l1", call_id="c", at=6.2, status=LegStatus.FAILED, sip_status=500),
    CallEnded(call_id="c", at=6.3, status=CallStatus.FAILED, reason="The process died."),
]


async def check_whole_call(database: Database) -> None:
    (call,) = await rows(database, schema.calls)
    assert call["status"] == "ended"
    assert (call["started_at"], call["answered_at"], call["ended_at"]) == (1.0, 2.0, 6.0)
    assert call["end_reason"] == "The caller hung up."
    assert (call["domain"], call["acl"], call["number_id"]) == ("acme", "office", None)
    (leg,) = await rows(database, schema.legs)
    assert leg["status"] == "hangup"
    assert (leg["sip_status"], leg["sip_reason"]) == (200, "OK")
    assert (leg["started_at"], leg["ringing_at"], leg["answered_at"], leg["ended_at"]) == (1.0, 1.1, 2.0, 6.0)
    assert (leg["codec"], leg["received_packets"], leg["sent_jitter_ms"]) == ("PCMA", 100, 1.5)
    (step,) = await rows(database, schema.steps)
    assert (step["started_at"], step["finished_at"], step["outcome"], step["seconds"]) == (
        2.0,
        3.5,
        "done",
        1.5,
    )
    (recording,) = await rows(database, schema.recordings)
    assert (recording["path"], recording["status"], recording["size"]) == ("/x.wav", "done", 32_044)


async def test_a_call_written_at_once(database: Database, journal: StoreJournal) -> None:
    for record in WHOLE_CALL:
        journal.write(record)
    journal.start()
    await written(journal)
    await check_whole_call(database)


async def test_a_call_written_piece_by_piece_gives_the_same_rows(
    database: Database, journal: StoreJournal
) -> None:
    """The rules in memory and the rules in SQL are the same."""
    journal.start()
    for record in WHOLE_CALL:
        journal.write(record)
        await written(journal)
    await check_whole_call(database)


@pytest.mark.parametrize("cut", range(1, len(WHOLE_CALL)))
async def test_a_call_goes_on_after_a_restart(database: Database, cut: int) -> None:
    for part in (WHOLE_CALL[:cut], WHOLE_CALL[cut:]):
        journal = StoreJournal(database, clock=lambda: 1_000.0, gather_seconds=0)
        journal.start()
        for record in part:
            journal.write(record)
        await journal.close()
    await check_whole_call(database)


async def test_pieces_of_a_call_whose_beginning_is_unknown_are_kept(
    database: Database, journal: StoreJournal
) -> None:
    journal.write(LegChanged(leg_id="l", call_id="c", at=2.0, status=LegStatus.HANGUP, sip_status=200))
    journal.write(
        StepFinished(
            call_id="c", at=9.0, seq=3, step_id="s", action="say", outcome="done", detail="", seconds=2.0
        )
    )
    journal.write(CallEnded(call_id="c", at=2.0, status=CallStatus.ENDED, reason="r"))
    journal.start()
    await written(journal)
    assert [leg["ended_at"] for leg in await rows(database, schema.legs)] == [2.0]
    assert [call["end_reason"] for call in await rows(database, schema.calls)] == ["r"]
    assert [step["started_at"] for step in await rows(database, schema.steps)] == [7.0]


async def test_a_database_locked_by_another_process_loses_nothing(
    tmp_path: Path, database: Database, journal: StoreJournal
) -> None:
    journal.start()
    with locked(tmp_path):
        for number in range(1_500):
            journal.write(started(f"call-{number:04}", at=float(number)))
            journal.write(refusal(at=float(number)))
        # The writer tries and has to wait; meanwhile the loop is free, and writing goes on.
        for _ in range(50):
            await asyncio.sleep(0.002)
            journal.write(Event(at=1.0, kind="k", detail="while locked"))
        assert journal.waiting == 3_050
    await written(journal)
    assert journal.lost == 0
    assert len(await rows(database, schema.calls)) == 1_500
    assert [row["at"] for row in await rows(database, schema.refusals)] == [float(n) for n in range(1_500)]
    assert len(await rows(database, schema.events)) == 50


async def test_writing_touches_nothing_but_memory(
    monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    """`write` works where any use of the database, or of the loop, would fail."""

    def forbidden(*_: object) -> None:
        raise AssertionError("write() must not do this")

    journal = StoreJournal(database, clock=lambda: 0.0, gather_seconds=0)
    with monkeypatch.context() as patch:
        patch.setattr(Database, "writing", forbidden)
        patch.setattr(Database, "reading", forbidden)
        patch.setattr(asyncio.get_running_loop(), "create_task", forbidden)
        patch.setattr(asyncio.get_running_loop(), "run_in_executor", forbidden)
        for record in WHOLE_CALL:
            returned: object = journal.write(record)  # type: ignore[func-returns-value]
            assert returned is None
    assert journal.waiting == len(WHOLE_CALL)
    journal.start()
    await journal.close()
    await check_whole_call(database)


async def test_a_flood_of_refusals_pushes_out_no_call(database: Database) -> None:
    journal = StoreJournal(
        database, clock=lambda: 7.0, gather_seconds=0, call_records=5, events=5, refusals=10
    )
    for _ in range(1_000):
        journal.write(refusal())
    for number in range(5):
        journal.write(started(str(number)))
    assert journal.lost == 990
    journal.start()
    await written(journal)
    assert len(await rows(database, schema.calls)) == 5
    assert len(await rows(database, schema.refusals)) == 10
    await journal.close()
    (told,) = await rows(database, schema.events)
    assert (told["kind"], told["at"]) == ("records_lost", 7.0)
    assert told["detail"].startswith("990 refusals were lost")


async def test_losses_are_logged(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    journal = StoreJournal(database, clock=lambda: 7.0, gather_seconds=0, call_records=1)
    journal.write(started("1"))
    journal.write(started("2"))
    await journal.close()
    assert journal.lost == 2, "one found the queue full, one was never written"
    assert "2 call records were lost" in caplog.text
    journal.write(started("3"))
    assert journal.lost == 3


async def test_closing_gives_up_after_its_time(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    @asynccontextmanager
    async def full(_: Database) -> AsyncIterator[None]:
        nonlocal tries
        tries += 1
        if tries:
            raise OperationalError("", {}, Exception("database or disk is full"))
        yield

    monkeypatch.setattr(Database, "writing", full)
    journal = StoreJournal(database, clock=lambda: 7.0, gather_seconds=0)
    journal.start()
    journal.write(started())
    async with asyncio.timeout(30):
        while not tries:
            await asyncio.sleep(0.001)
    await journal.close(within=0.05)
    assert journal.lost == 1


async def test_a_disk_that_fails_for_a_while(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    genuine = Database.writing
    failures = iter([OperationalError("", {}, Exception("disk I/O error")), OSError(28, "No space left")])

    @asynccontextmanager
    async def failing(self: Database) -> AsyncIterator[Any]:
        fault = next(failures, None)
        if fault is not None:
            raise fault
        async with genuine(self) as connection:
            yield connection

    monkeypatch.setattr(Database, "writing", failing)
    journal = StoreJournal(database, clock=lambda: 7.0, gather_seconds=0)
    journal.start()
    journal.write(started())
    await journal.close()
    assert journal.lost == 0
    assert len(await rows(database, schema.calls)) == 1
    assert "disk I/O error" in caplog.text
    assert "No space left" in caplog.text


async def test_a_fault_that_nobody_foresaw_is_not_blamed_on_the_records(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A PostgreSQL server that starts up refuses connections with an error that SQLAlchemy does not know."""

    class StartingUp(Exception):
        pass

    genuine = Database.writing
    failures = iter([StartingUp()] * 7)

    @asynccontextmanager
    async def failing(self: Database) -> AsyncIterator[Any]:
        fault = next(failures, None)
        if fault is not None:
            raise fault
        async with genuine(self) as connection:
            yield connection

    monkeypatch.setattr(Database, "writing", failing)
    journal = StoreJournal(database, clock=lambda: 7.0, gather_seconds=0)
    journal.start()
    for number in range(3):
        journal.write(started(str(number)))
    await journal.close()
    assert journal.lost == 0
    assert len(await rows(database, schema.calls)) == 3


async def test_one_record_that_cannot_be_stored_takes_no_other_with_it(
    database: Database, journal: StoreJournal, caplog: pytest.LogCaptureFixture
) -> None:
    journal.write(refusal(rule="before"))
    journal.write(
        refusal(at=float("nan"), rule="secret-bad")
    )  # SQLite takes it for NULL, which is not allowed
    journal.write(started())
    journal.write(refusal(rule="after"))
    journal.start()
    await written(journal)
    assert sorted(row["rule"] for row in await rows(database, schema.refusals)) == ["after", "before"]
    assert len(await rows(database, schema.calls)) == 1
    assert journal.lost == 1
    assert "cannot be stored and is dropped" in caplog.text
    assert "secret-bad" not in caplog.text


async def test_texts_from_outside_are_bounded_and_made_storable(
    database: Database, journal: StoreJournal
) -> None:
    journal.write(refusal(rule="x" * 100_000))
    journal.write(refusal(rule="nul\0 and \ud800"))
    journal.write(Event(at=1.0, kind="k", detail="d", data={f"{at}": "y" * 10_000 for at in range(1_000)}))
    journal.start()
    await written(journal)
    long, odd = await rows(database, schema.refusals)
    assert len(long["rule"]) == LONGEST_TEXT
    assert odd["rule"] == "nul� and ?"
    (event,) = await rows(database, schema.events)
    assert len(event["data"]) <= LONGEST_TEXT
    assert json.loads(event["data"])["0"].startswith("yyy")


async def test_pruning_by_number_and_age(database: Database, journal: StoreJournal) -> None:
    day = 86_400.0
    for number in range(100):
        journal.write(refusal(at=number * day, rule=str(number)))
    journal.start()
    await written(journal)
    by_age = Retention(refusals=1_000, refusal_days=30)
    assert await prune(database, by_age, now=100 * day) == 70
    assert [row["rule"] for row in await rows(database, schema.refusals)] == [str(n) for n in range(70, 100)]
    by_number = Retention(refusals=10, refusal_days=1_000)
    assert await prune(database, by_number, now=100 * day) == 20
    assert [row["rule"] for row in await rows(database, schema.refusals)] == [str(n) for n in range(90, 100)]
    assert await prune(database, by_number, now=100 * day) == 0


async def test_the_journal_prunes_by_itself(database: Database) -> None:
    journal = StoreJournal(
        database, clock=lambda: 1.0, gather_seconds=0, retention=Retention(refusals=3, refusal_days=1)
    )
    for _ in range(10):
        journal.write(refusal())
    journal.start()
    async with asyncio.timeout(30):
        while journal.waiting or len(await rows(database, schema.refusals)) > 3:
            await asyncio.sleep(0.005)
    await journal.close()
