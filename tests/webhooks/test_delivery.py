"""Deliveries from a real outbox to real servers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from messagebird.request_validator import RequestValidator
from sqlalchemy import insert, update

from tests.webhooks.conftest import Site
from voice.bells import Bell
from voice.records import CallChanged, CallEnded, CallStarted, CallStatus, Direction, LegStarted, LegStatus
from voice.store import schema
from voice.store import service_schema as service
from voice.store.database import Database, sqlite_url
from voice.store.deliveries import RETRY_AFTER, Attempt, Deliveries, enqueue_report
from voice.store.errors import StoreError
from voice.store.events import delivery_row, insert_deliveries
from voice.store.journal import StoreJournal
from voice.store.listing import Window
from voice.store.signing_keys import SigningKeys
from voice.webhooks.client import ClientSettings, SafeClient
from voice.webhooks.delivery import ATTEMPT_HEADER, DELIVERY_HEADER, PER_DESTINATION, Deliverer
from voice.webhooks.signing import JWT_HEADER, sorted_query

ACCOUNT = "acme-id"


class Clock:
    """The present, and what a test adds to it."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Outbox:
    """A database with an account and its outbox."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = Clock()
        self.deliveries = Deliveries(database, self.clock)
        self.keys = SigningKeys(database, self.clock)
        self.bell = Bell()

    async def put(
        self, url: str, *, call_id: str | None = None, body: str = "{}", token: str | None = None
    ) -> str:
        row = delivery_row(
            dedupe=f"test:{time.perf_counter()}",
            account_id=ACCOUNT,
            event="callUpdated",
            method="POST",
            url=url,
            body=body,
            at=self.clock(),
            call_id=call_id,
            token=token,
        )
        async with self.database.writing() as connection:
            await insert_deliveries(connection, [row])
        self.bell.ring()
        return str(row["id"])

    async def row(self, delivery_id: str) -> tuple[Any, tuple[Any, ...]]:
        found = await self.deliveries.get(ACCOUNT, delivery_id)
        assert found is not None
        return found

    async def until(self, delivery_id: str, **wanted: object) -> tuple[Any, tuple[Any, ...]]:
        async with asyncio.timeout(20):
            while True:
                row, attempts = await self.row(delivery_id)
                if all(row[name] == value for name, value in wanted.items()):
                    return row, attempts
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def delivering(self) -> AsyncIterator[None]:
        async with SafeClient(ClientSettings(allow_private_networks=True)) as client:
            deliverer = Deliverer(self.deliveries, self.keys, client, self.bell, clock=self.clock)
            task = asyncio.create_task(deliverer.run())
            try:
                yield
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[Outbox]:
    async with await Database.open(sqlite_url(tmp_path / "outbox.db")) as database:
        async with database.writing() as connection:
            await connection.execute(
                insert(schema.accounts).values(
                    id=ACCOUNT, name="acme", calls_per_second=1, concurrent_calls=1, max_call_seconds=60
                )
            )
        yield Outbox(database)


async def test_a_delivery_arrives_signed_and_is_logged(site: Site, outbox: Outbox) -> None:
    bodies = []

    async def answer(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        bodies.append(body)
        url = f"http://{request.host}{request.raw_path}"
        secret = await outbox.keys.current(ACCOUNT)
        RequestValidator(secret).validate_signature(request.headers[JWT_HEADER], url, body)
        return web.Response()

    site.handler = answer
    async with outbox.delivering():
        one = await outbox.put(site.url("/hook?x=1"), body='{"a":1}', token="secret")
        row, (attempt,) = await outbox.until(one, state="delivered")
    assert bodies == [b'{"a":1}']
    (request,) = site.requests
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers[DELIVERY_HEADER] == one
    assert request.headers[ATTEMPT_HEADER] == "1"
    assert "X-MessageBird-Signature" in request.headers
    assert (row["attempts"], row["last_status"], row["last_error"]) == (1, 200, None)
    assert (attempt["number"], attempt["status"], attempt["error"]) == (1, 200, None)


async def test_retries_come_after_the_stated_times_and_end(site: Site, outbox: Outbox) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=500)

    site.handler = answer
    async with outbox.delivering():
        one = await outbox.put(site.url())
        for number, wait in enumerate(RETRY_AFTER, start=1):
            row, _ = await outbox.until(one, state="pending", attempts=number)
            assert row["next_at"] - row["created_at"] == pytest.approx(
                wait + sum(RETRY_AFTER[: number - 1]), abs=2.0
            )
            outbox.clock.ahead += wait
            outbox.bell.ring()
        row, attempts = await outbox.until(one, state="failed")
    assert len(attempts) == len(RETRY_AFTER) + 1 == 7
    assert {attempt["error"] for attempt in attempts} == {"answered 500 where 200 to 299 is expected"}
    assert [request.headers[ATTEMPT_HEADER] for request in site.requests] == [str(n) for n in range(1, 8)]
    assert len({request.headers[JWT_HEADER] for request in site.requests}) == 7


async def test_a_failed_delivery_can_be_replayed(site: Site, outbox: Outbox) -> None:
    one = await outbox.put(site.url())
    async with outbox.database.writing() as connection:
        await connection.execute(update(service.deliveries).values(state="failed", attempts=7, retries=7))
    assert not await outbox.deliveries.replay("another account", one)
    assert await outbox.deliveries.replay(ACCOUNT, one)
    async with outbox.delivering():
        row, _ = await outbox.until(one, state="delivered")
    assert row["attempts"] == 8


async def test_a_dead_destination_does_not_hold_up_another(site: Site, outbox: Outbox) -> None:
    never = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/slow":
            await never.wait()
        return web.Response()

    site.handler = answer
    async with outbox.delivering():
        for _ in range(PER_DESTINATION * 3):
            await outbox.put(site.url("/slow"))
        fast = [await outbox.put(site.url("/fast", host="127.0.0.2")) for _ in range(20)]
        for one in fast:
            await outbox.until(one, state="delivered")
        assert sum(request.path == "/slow" for request in site.requests) <= PER_DESTINATION


async def test_the_events_of_a_call_arrive_in_order(site: Site, outbox: Outbox) -> None:
    arrived = []

    async def answer(request: web.Request) -> web.StreamResponse:
        number = (await request.json())["n"]
        if number == 0:
            await asyncio.sleep(0.05)
        arrived.append(number)
        return web.Response()

    site.handler = answer
    ids = [await outbox.put(site.url(), call_id="one", body=json.dumps({"n": n})) for n in range(6)]
    async with outbox.delivering():
        for one in ids:
            await outbox.until(one, state="delivered")
    assert arrived == list(range(6))


async def test_what_was_under_way_at_a_crash_is_delivered_after_the_lease(site: Site, outbox: Outbox) -> None:
    one = await outbox.put(site.url())
    assert [claimed.id for claimed in await outbox.deliveries.claim(10, per_destination=1)] == [one]
    assert await outbox.deliveries.claim(10, per_destination=1) == ()
    outbox.clock.ahead += 31
    async with outbox.delivering():
        await outbox.until(one, state="delivered")


async def test_two_nodes_never_claim_the_same(site: Site, outbox: Outbox) -> None:
    ids = {await outbox.put(site.url(f"/{n}")) for n in range(30)}
    claims = await asyncio.gather(*(outbox.deliveries.claim(10, per_destination=30) for _ in range(6)))
    claimed = [one.id for claim in claims for one in claim]
    assert len(claimed) == len(set(claimed))
    assert set(claimed) <= ids


async def test_an_attempt_that_two_made_is_on_record_once(site: Site, outbox: Outbox) -> None:
    await outbox.put(site.url())
    (claimed,) = await outbox.deliveries.claim(1, per_destination=1)
    made = Attempt(at=outbox.clock(), seconds=0.1, status=200, error=None)
    await outbox.deliveries.finish([(claimed, made)])
    await outbox.deliveries.finish([(claimed, made)])
    row, attempts = await outbox.row(claimed.id)
    assert (row["state"], len(attempts)) == ("delivered", 1)


async def test_a_report_is_a_get_and_is_asked_for_once(site: Site, outbox: Outbox) -> None:
    url = sorted_query(site.url("/report?mine=1"), {"id": "m1", "status": "answered"})
    for _ in range(2):
        async with outbox.database.writing() as connection:
            await enqueue_report(
                connection,
                account_id=ACCOUNT,
                event="voiceMessageReport",
                url=url,
                dedupe="report:m1:answered",
                at=outbox.clock(),
            )
    found = await outbox.deliveries.list(ACCOUNT, Window(limit=10))
    assert found.total == 1
    async with outbox.delivering():
        await outbox.until(found.rows[0]["id"], state="delivered")
    (request,) = site.requests
    assert (request.method, request.raw_path) == ("GET", "/report?id=m1&mine=1&status=answered")


# -- records become events ---------------------------------------------------------------------


def started(call_id: str = "c1", at: float = 1000.5, **more: Any) -> CallStarted:
    return CallStarted(
        call_id=call_id,
        at=at,
        account_id=ACCOUNT,
        direction=Direction.OUTGOING,
        source="+31201234567",
        destination="+31612345678",
        **more,
    )


STORY = (
    LegStarted(
        leg_id="l1",
        call_id="c1",
        at=1001.0,
        direction=Direction.OUTGOING,
        source="+31201234567",
        destination="+31612345678",
    ),
    CallChanged(call_id="c1", at=1002.0, status=CallStatus.ONGOING),
    CallEnded(call_id="c1", at=1003.25, status=CallStatus.ENDED, reason="Done."),
)


async def told(outbox: Outbox, *records: Any, bell: Bell | None = None) -> list[dict[str, Any]]:
    """What the journal put into the outbox for these records."""
    journal = StoreJournal(outbox.database, clock=time.time, gather_seconds=0.0, told=bell)
    journal.start()
    for record in records:
        journal.write(record)
    await journal.close()
    rows = (await outbox.deliveries.list(ACCOUNT, Window(limit=100))).rows
    return sorted(
        (json.loads(row["body"]) | {"to": row["url"]} for row in rows), key=lambda one: one["timestamp"]
    )


async def test_every_state_of_a_call_is_one_event_in_the_observed_envelope(outbox: Outbox) -> None:
    hook: dict[str, Any] = {"webhook_url": "https://a.example/hook", "webhook_token": "secret"}
    bell = Bell()
    events = await told(outbox, started(status=CallStatus.QUEUED, **hook), *STORY, bell=bell)
    assert [(one["timestamp"], one["items"][0]["event"]) for one in events] == [
        ("1970-01-01T00:16:40.500Z", "callCreated"),
        ("1970-01-01T00:16:41.000Z", "legCreated"),
        ("1970-01-01T00:16:42.000Z", "callUpdated"),
        ("1970-01-01T00:16:43.250Z", "callUpdated"),
    ]
    first, _, ongoing, last = [one["items"][0]["payload"] for one in events]
    assert (first["status"], first["endedAt"]) == ("queued", None)
    assert first["webhook"] == {"url": "https://a.example/hook"}
    assert (ongoing["status"], ongoing["endedAt"]) == ("ongoing", None)
    assert (last["status"], last["endedAt"]) == ("ended", "1970-01-01T00:16:43Z")
    assert "secret" not in json.dumps(events)
    async with asyncio.timeout(10):
        await bell.wait(60)


async def test_the_account_and_the_call_are_told_and_twice_is_once(outbox: Outbox) -> None:
    async with outbox.database.writing() as connection:
        for number, owner in enumerate((ACCOUNT, ACCOUNT)):
            await connection.execute(
                insert(service.webhooks).values(
                    id=f"w{number}",
                    account_id=owner,
                    url=f"https://{number}.example/",
                    created_at=1,
                    updated_at=1,
                )
            )
    call = started(webhook_url="https://own.example/")
    first = await told(outbox, call, *STORY)
    assert len(first) == 4 * 3
    again = await told(outbox, call, *STORY)
    assert len(again) == len(first)


async def test_whoever_has_no_webhook_is_told_nothing(outbox: Outbox) -> None:
    assert await told(outbox, started(), *STORY) == []


async def test_a_leg_that_changed_later_does_not_change_what_came_before(outbox: Outbox) -> None:
    from voice.records import LegChanged

    events = await told(
        outbox,
        started(webhook_url="https://own.example/"),
        STORY[0],
        LegChanged(leg_id="l1", call_id="c1", at=1001.5, status=LegStatus.RINGING, sip_status=180),
        LegChanged(leg_id="l1", call_id="c1", at=1002.0, status=LegStatus.ONGOING, sip_status=200),
        LegChanged(leg_id="l1", call_id="c1", at=1004.5, status=LegStatus.HANGUP),
    )
    legs = [one["items"][0]["payload"] for one in events if one["items"][0]["type"] == "leg"]
    assert [
        (leg["status"], leg["answeredAt"] is None, leg["endedAt"] is None, leg["duration"]) for leg in legs
    ] == [
        ("starting", True, True, 0),
        ("ringing", True, True, 0),
        ("ongoing", False, True, 0),
        ("hangup", False, False, 3),
    ]


async def test_signing_keys_change_with_an_overlap(outbox: Outbox) -> None:
    first = await outbox.keys.current(ACCOUNT)
    assert await outbox.keys.current(ACCOUNT) == first
    new = await outbox.keys.create(ACCOUNT, signs_in=3600)
    assert await outbox.keys.current(ACCOUNT) == first
    outbox.clock.ahead += 3601
    assert await outbox.keys.current(ACCOUNT) == new.secret
    assert await outbox.keys.revoke(new.id, ACCOUNT)
    assert not await outbox.keys.revoke(new.id, ACCOUNT)
    assert await outbox.keys.current(ACCOUNT) == first
    with pytest.raises(StoreError):
        await outbox.keys.current("nobody")
