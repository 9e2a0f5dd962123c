"""The log of deliveries: read, and played again."""

from __future__ import annotations

import uuid

import pytest

from tests.api.world import T0, World
from voice.store.deliveries import Attempt
from voice.store.deliveries import Deliveries as Outbox

CALL = {
    "source": "31201234567",
    "destination": "31612345678",
    "callFlow": {"steps": [{"action": "hangup"}]},
}


async def delivered(api: World) -> str:
    """One that failed at once, of a call that was placed."""
    assert (
        await api.ask("POST", "/webhooks", {"url": "https://example.com/hook", "token": "t0ken"})
    ).status == 201
    assert (await api.ask("POST", "/calls", CALL)).status == 201
    outbox = Outbox(api.database, api.services.clock)
    (one,) = await outbox.claim(10, per_destination=10)
    await outbox.finish([(one, Attempt(at=T0, seconds=0.25, status=500, error="answered 500"))])
    return one.id


async def test_the_log(api: World) -> None:
    delivery = await delivered(api)
    (listed,) = (await api.ask("GET", "/deliveries")).data
    assert (listed["id"], listed["event"], listed["status"]) == (delivery, "callCreated", "pending")
    assert (listed["attemptCount"], listed["lastStatus"], listed["lastError"]) == (1, 500, "answered 500")
    viewed = await api.ask("GET", listed["_links"]["self"])
    assert viewed.data[0]["attempts"] == [
        {"at": "2017-03-06T13:34:14Z", "seconds": 0.25, "status": 500, "error": "answered 500"}
    ]
    assert '"callCreated"' in viewed.data[0]["body"]
    assert b"t0ken" not in viewed.content


@pytest.mark.parametrize(
    ("query", "count"),
    [("status=pending", 1), ("status=failed", 0), ("webhookId=none", 0), ("callId=none", 0), ("page=2", 0)],
)
async def test_filters(api: World, query: str, count: int) -> None:
    await delivered(api)
    assert len((await api.ask("GET", f"/deliveries?{query}")).data) == count
    assert (await api.ask("GET", "/deliveries?status=lost")).errors[0]["parameter"] == "status"


async def test_replay(api: World) -> None:
    delivery = await delivered(api)
    outbox = Outbox(api.database, api.services.clock)
    replayed = await api.ask("POST", f"/deliveries/{delivery}/replay", {})
    assert (replayed.status, replayed.data[0]["status"]) == (202, "pending")
    assert [one.id for one in await outbox.claim(10, per_destination=10)] == [delivery]
    assert (await api.ask("POST", f"/deliveries/{uuid.uuid4()}/replay")).status == 404


async def test_another_account_sees_nothing_of_it(api: World) -> None:
    delivery = await delivered(api)
    assert (await api.ask("GET", "/deliveries", key="other")).data == []
    assert (await api.ask("GET", f"/deliveries/{delivery}", key="other")).status == 404
    assert (await api.ask("POST", f"/deliveries/{delivery}/replay", key="other")).status == 404
