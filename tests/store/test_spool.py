"""What a killed process had not stored yet is stored after the next start."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from voice.records import CallEnded, CallStarted, CallStatus, Direction, Record
from voice.store.database import Database, sqlite_url
from voice.store.journal import StoreJournal
from voice.store.queries import list_calls
from voice.store.spool import Spool


def call(number: int, source: str = "+31201234567") -> CallStarted:
    return CallStarted(
        call_id=f"call {number}",
        at=1000.0 + number,
        account_id="acme",
        direction=Direction.INCOMING,
        source=source,
        destination="+31612345678",
    )


@pytest.fixture
def spools(tmp_path: Path) -> Iterator[Callable[[], Spool]]:
    """Opens the spool of the folder again, as the next process would; closed when the test is over."""
    opened: list[Spool] = []

    def again() -> Spool:
        opened.append(Spool(tmp_path))
        return opened[-1]

    yield again
    for spool in opened:
        spool.close()


def test_records_come_back_as_they_were(tmp_path: Path, spools: Callable[[], Spool]) -> None:
    spool = spools()
    assert spool.open() == []
    records: list[Record] = [
        call(1),
        CallEnded(call_id="call 1", at=1.0, status=CallStatus.ENDED, reason="Done."),
    ]
    for record in records:
        spool.add(record)
    assert spools().open() == records


def test_what_is_stored_is_forgotten(tmp_path: Path, spools: Callable[[], Spool]) -> None:
    spool = spools()
    spool.open()
    for number in range(3):
        spool.add(call(number))
    spool.stored(2)
    assert len(spools().open()) == 3
    spool.stored(1)
    assert spools().open() == []


def test_segments_go_one_by_one(tmp_path: Path, spools: Callable[[], Spool]) -> None:
    spool = spools()
    spool.open()
    many = 40_000
    for number in range(many):
        spool.add(call(number))
    files = len(list(tmp_path.iterdir()))
    assert files > 2
    spool.stored(many // 2)
    assert len(list(tmp_path.iterdir())) < files
    left = spools().open()
    assert left[-1] == call(many - 1)
    assert many // 2 <= len(left) < many


def test_a_record_that_was_cut_short_is_passed_over(
    tmp_path: Path, spools: Callable[[], Spool], caplog: pytest.LogCaptureFixture
) -> None:
    spool = spools()
    spool.open()
    spool.add(call(1))
    spool.add(call(2))
    spool.close()
    (path,) = [path for path in tmp_path.iterdir() if path.stat().st_size]
    path.write_bytes(path.read_bytes()[:-20])
    with caplog.at_level(logging.ERROR):
        assert spools().open() == [call(1)]
    assert "1 records are damaged" in caplog.text


def test_text_that_is_no_utf8_travels_as_question_marks(tmp_path: Path, spools: Callable[[], Spool]) -> None:
    spool = spools()
    spool.open()
    spool.add(call(1, source="Zo\udceb"))
    assert spools().open() == [call(1, source="Zo?")]


def test_a_disk_that_takes_nothing_stops_nobody(
    tmp_path: Path, spools: Callable[[], Spool], caplog: pytest.LogCaptureFixture
) -> None:
    spool = spools()
    spool.open()
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, spool._descriptor or -1)
    os.close(full)
    with caplog.at_level(logging.ERROR):
        spool.add(call(1))
        spool.add(call(2))
    assert caplog.text.count("a crash would lose them") == 1
    spool.close()


PROGRAM = """
import asyncio, sys, time
from pathlib import Path
from tests.store.test_spool import call
from voice.store.database import Database, sqlite_url
from voice.store.journal import StoreJournal

async def main(folder):
    async with await Database.open(sqlite_url(folder / "x.db")) as database:
        journal = StoreJournal(database, clock=time.time, spool=folder / "spool")
        journal.start()
        for number in range(100_000):
            journal.write(call(number))
            print(number, flush=True)
            if number % 10 == 0:
                await asyncio.sleep(0.001)

asyncio.run(main(Path(sys.argv[1])))
"""


async def test_a_killed_process_loses_no_record(tmp_path: Path) -> None:
    for _ in range(3):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, str(tmp_path), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        last = -1
        async with asyncio.timeout(30):
            while last < 400:
                last = int(await process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            rest = await process.stdout.read()
            await process.wait()
        said = [int(line) for line in rest.split(b"\n")[:-1] if line]
        last = max([last, *said])
        async with await Database.open(sqlite_url(tmp_path / "x.db")) as database:
            journal = StoreJournal(database, clock=lambda: 0.0, spool=tmp_path / "spool", gather_seconds=0.0)
            journal.start()
            await journal.close()
            stored = {row.id for row in await list_calls(database, limit=10_000)}
        assert {f"call {number}" for number in range(last + 1)} <= stored
    assert [path.stat().st_size for path in (tmp_path / "spool").iterdir()] in ([], [0])
