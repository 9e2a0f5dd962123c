"""What is read from the tables of what happened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import insert

from voice.records import CallEnded, CallStarted, CallStatus, Direction, Event, LegStarted, Record, Refusal
from voice.store import schema
from voice.store.database import Database, sqlite_url
from voice.store.journal import StoreJournal
from voice.store.queries import call_history, find_calls, list_calls, list_refusals


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with await Database.open(sqlite_url(tmp_path / "x.db")) as opened:
        async with opened.writing() as connection:
            account = {
                "id": "a1",
                "name": "acme",
                "calls_per_second": 1.0,
                "concurrent_calls": 1,
                "max_call_seconds": 1,
            }
            await connection.execute(insert(schema.accounts).values(account))
        journal = StoreJournal(opened, clock=lambda: 0.0, gather_seconds=0)
        journal.start()
        for record in _records():
            journal.write(record)
        await journal.close()
        yield opened


def _records() -> list[Record]:
    records: list[Record] = [
        CallStarted(
            call_id=f"call-{number}",
            at=float(number),
            account_id="a1" if number % 2 else "gone",
            direction=Direction.INCOMING,
            source="s",
            destination="d",
        )
        for number in range(10)
    ]
    records += [
        CallEnded(call_id="call-3", at=50.0, status=CallStatus.BUSY, reason="Busy."),
        LegStarted(
            leg_id="l2", call_id="call-3", at=4.0, direction=Direction.OUTGOING, source="s", destination="d"
        ),
        LegStarted(
            leg_id="l1", call_id="call-3", at=3.0, direction=Direction.INCOMING, source="s", destination="d"
        ),
        Event(at=5.0, kind="fetch_failed", detail="d", call_id="call-3", data={"url": "u"}),
    ]
    for number in range(4):
        refusal = Refusal(
            at=float(number),
            gate="acl" if number else "domain",
            cause="acl-networks",
            rule=str(number),
            remedy="m",
            sip_status=403,
            source_address=f"192.0.2.{number % 2}:5060",
            account_id="a1" if number else None,
            domain="acme" if number else None,
        )
        records.append(refusal)
    return records


async def test_calls_newest_first(database: Database) -> None:
    found = await list_calls(database, limit=3)
    assert [call.id for call in found] == ["call-9", "call-8", "call-7"]
    assert [call.account for call in found] == ["acme", None, "acme"]
    assert [call.account_id for call in found] == ["a1", "gone", "a1"]


async def test_calls_chosen(database: Database) -> None:
    assert len(await list_calls(database, limit=100, account="acme")) == 5
    assert await list_calls(database, limit=100, account="nobody") == ()
    assert [call.id for call in await list_calls(database, limit=9, status="busy")] == ["call-3"]
    assert [call.id for call in await list_calls(database, limit=9, since=8.0)] == ["call-9", "call-8"]


async def test_a_call_is_found_by_how_its_id_begins(database: Database) -> None:
    assert [call.id for call in await find_calls(database, "call-3", limit=5)] == ["call-3"]
    assert len(await find_calls(database, "call-", limit=5)) == 5
    assert await find_calls(database, "%", limit=5) == ()
    assert await find_calls(database, "call_", limit=5) == ()


async def test_everything_about_a_call(database: Database) -> None:
    history = await call_history(database, "call-3")
    assert history is not None
    assert (history.call.status, history.call.end_reason) == ("busy", "Busy.")
    assert [leg.id for leg in history.legs] == ["l1", "l2"]
    assert [(event.kind, event.data) for event in history.events] == [("fetch_failed", {"url": "u"})]
    assert await call_history(database, "call-33") is None


async def test_refusals_newest_first_and_chosen(database: Database) -> None:
    assert [refusal.rule for refusal in await list_refusals(database, limit=2)] == ["3", "2"]
    assert [refusal.rule for refusal in await list_refusals(database, limit=9, gate="domain")] == ["0"]
    assert len(await list_refusals(database, limit=9, account="acme")) == 3
    assert len(await list_refusals(database, limit=9, domain="acme", source="192.0.2.1")) == 2
    assert len(await list_refusals(database, limit=9, since=2.0)) == 2
    assert len(await list_refusals(database, limit=9, cause="acl-networks")) == 4
    assert await list_refusals(database, limit=9, cause="no-acl") == ()
