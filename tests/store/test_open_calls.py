"""Calls without an end on record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import insert

from voice.records import (
    CallChanged,
    CallEnded,
    CallStarted,
    CallStatus,
    Direction,
    LegChanged,
    LegStarted,
    LegStatus,
    RecordingDone,
    RecordingStarted,
)
from voice.store import schema
from voice.store.database import Database, sqlite_url
from voice.store.journal import StoreJournal
from voice.store.open_calls import OpenCall, open_calls_of, overdue_calls
from voice.store.service_schema import outbound_calls

LONGEST = 100


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with await Database.open(sqlite_url(tmp_path / "x.db")) as opened:
        account = {
            "id": "a1",
            "name": "acme",
            "calls_per_second": 1.0,
            "concurrent_calls": 1,
            "max_call_seconds": LONGEST,
        }
        async with opened.writing() as connection:
            await connection.execute(insert(schema.accounts).values(account))
        yield opened


@pytest.fixture
async def journal(database: Database) -> AsyncIterator[StoreJournal]:
    journal = StoreJournal(database, clock=lambda: 0.0, gather_seconds=0)
    journal.start()
    yield journal
    await journal.close()


def begun(call_id: str, at: float, node: str | None, account: str = "a1") -> CallStarted:
    return CallStarted(
        call_id=call_id,
        at=at,
        account_id=account,
        direction=Direction.INCOMING,
        source="s",
        destination="d",
        node=node,
    )


async def test_a_node_finds_its_own_and_all_that_is_open_of_them(
    database: Database, journal: StoreJournal
) -> None:
    for call in (
        begun("mine", 1, "me"),
        begun("over", 2, "me"),
        begun("later", 9, "me"),
        begun("theirs", 3, "they"),
    ):
        journal.write(call)
    journal.write(begun("trunk", 4, None))
    journal.write(CallEnded(call_id="over", at=5, status=CallStatus.ENDED, reason="r"))
    journal.write(CallChanged(call_id="mine", at=2, status=CallStatus.ONGOING))
    for leg_id in ("open", "closed"):
        journal.write(
            LegStarted(
                leg_id=leg_id, call_id="mine", at=1, direction=Direction.INCOMING, source="s", destination="d"
            )
        )
        journal.write(
            RecordingStarted(
                recording_id=f"{leg_id}-r", call_id="mine", leg_id=leg_id, at=2, path=f"/{leg_id}", kind="ivr"
            )
        )
    journal.write(LegChanged(leg_id="closed", call_id="mine", at=3, status=LegStatus.HANGUP))
    journal.write(
        RecordingDone(recording_id="closed-r", call_id="mine", at=3, seconds=1.0, size=1, status="done")
    )
    await journal.close()
    found = await open_calls_of(database, "me", before=8)
    assert found == (OpenCall(id="mine", answered=True, legs=("open",), recordings=(("open-r", "/open"),)),)


async def test_a_call_is_overdue_when_its_time_and_the_grace_are_up(
    database: Database, journal: StoreJournal
) -> None:
    journal.write(begun("old", 0, None))
    journal.write(begun("young", 50, None))
    journal.write(begun("of nobody", 0, "me", account="gone"))
    await journal.close()
    assert await overdue_calls(database, now=LONGEST + 9, grace=10) == ()
    assert [call.id for call in await overdue_calls(database, now=LONGEST + 11, grace=10)] == ["old"]
    assert {call.id for call in await overdue_calls(database, now=90_000, grace=10)} == {
        "old",
        "young",
        "of nobody",
    }


@pytest.mark.parametrize(
    ("state", "dialled_at", "found"),
    [("queued", None, False), ("claimed", None, False), ("dialled", 950.0, False), ("dialled", 700.0, True)],
)
async def test_a_placed_call_begins_when_it_is_dialled(
    database: Database, journal: StoreJournal, state: str, dialled_at: float | None, found: bool
) -> None:
    journal.write(begun("scheduled", 1, "me"))
    await journal.close()
    row = {
        **dict.fromkeys(("account_id", "origin", "source", "destination"), "x"),
        **dict.fromkeys(("created_at", "not_before"), 1.0),
        "call_id": "scheduled",
        "ring_seconds": 30.0,
        "max_seconds": LONGEST,
        "simulated": 0,
        "state": state,
        "dialled_at": dialled_at,
    }
    async with database.writing() as connection:
        await connection.execute(insert(outbound_calls).values(row))
    overdue = await overdue_calls(database, now=1000.0, grace=100.0)
    lost = await open_calls_of(database, "me", before=800.0)
    assert [call.id for call in overdue] == [call.id for call in lost] == ["scheduled"] * found
