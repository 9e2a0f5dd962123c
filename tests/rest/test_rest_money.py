"""Money: what legs cost, charged once whoever looks, and what a balance cannot carry."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.api.world import ACME, T0, World
from voice.store.database import Database, sqlite_url
from voice.store.money import Money, Rate, cost
from voice.store.schema import legs
from voice.store.service_schema import balances, charges, outbound_calls

STEPS = {"steps": [{"action": "hangup"}]}
CALL = {"source": "31201234567", "destination": "31612345678", "callFlow": STEPS}


async def talked(api: World, seconds: float | None, to: str = "+31612345678", **call: Any) -> str:
    """An outgoing leg on record; None: nobody answered."""
    call_id = await api.call(str(uuid.uuid4()), **call)
    answered = {"answered_at": None} if seconds is None else {"ended_at": T0 + 5 + seconds}
    return await api.leg(str(uuid.uuid4()), call_id, destination=to, **answered)


async def set_balance(api: World, **body: Any) -> None:
    answer = await api.ask("PUT", f"/balance?account={ACME}", body, key="operator")
    assert answer.status == 200, answer.content


async def set_rate(api: World, prefix: str, per_minute: str) -> None:
    answer = await api.ask("POST", "/rates", {"prefix": prefix, "perMinute": per_minute}, key="operator")
    assert answer.status == 201, answer.content


@pytest.mark.parametrize(
    ("per_minute", "seconds", "expected"),
    [
        (60, 1, 1),
        (61, 1, 2),
        (1, 1, 1),
        (12_000, 60, 12_000),
        (12_000, 61, 12_200),
        (12_000, 0, 0),
        (0, 90, 0),
    ],
)
def test_seconds_are_charged_and_fractions_rounded_up(per_minute: int, seconds: int, expected: int) -> None:
    assert cost(per_minute, seconds) == expected


async def test_the_longest_prefix_counts_and_a_leg_is_charged_once(api: World) -> None:
    await set_rate(api, "", "1")
    await set_rate(api, "31", "0.06")
    await set_rate(api, "316", "0.12")
    money = Money(api.database)
    own = await money.put_rate(Rate(id="", account_id=ACME, prefix="316", per_minute=180_000, currency="EUR"))
    await set_balance(api, amount="1", payment="prepaid")
    mobile = await talked(api, 10)
    fixed = await talked(api, 10, "+31201112222")
    abroad = await talked(api, 1.2, "+4930123456")
    missed = await talked(api, None)
    assert await money.charge_ended_legs(time.time()) == 4
    assert await money.charge_ended_legs(time.time()) == 0
    costs = {row["id"]: row["cost"] for row in await api.rows(legs)}
    assert costs == {mobile: 30_000, fixed: 10_000, abroad: 33_334, missed: 0}
    view = (await api.ask("GET", "/balance")).json
    assert (view["payment"], view["type"], view["amount"]) == ("prepaid", "euros", 0.926666)
    assert (await api.ask("DELETE", f"/rates/{own.id}", key="operator")).status == 204


async def test_what_was_talked_before_there_was_a_balance_is_free(api: World) -> None:
    await set_rate(api, "31", "0.06")
    before = await talked(api, 60)
    await set_balance(api, amount="1")
    after = await talked(api, 60)
    await Money(api.database).charge_ended_legs(time.time())
    assert {row["leg_id"] for row in await api.rows(charges)} == {after}
    assert before != after
    assert (await api.ask("GET", "/balance")).json["amount"] == 0.94


async def test_simulated_calls_cost_nothing(api: World) -> None:
    await set_rate(api, "31", "0.06")
    await set_balance(api, amount="1")
    await talked(api, 60, simulated=1)
    assert await Money(api.database).charge_ended_legs(time.time()) == 0


def charge_all(folder: str) -> None:
    async def run() -> None:
        async with await Database.open(sqlite_url(Path(folder) / "trunkflow.db")) as database:
            money = Money(database)
            while await money.charge_ended_legs(time.time()):
                pass

    asyncio.run(run())


async def test_two_processes_charge_each_leg_once(api: World) -> None:
    await set_rate(api, "31", "0.06")
    await set_balance(api, amount="1")
    for _ in range(40):
        await talked(api, 10)
    context = multiprocessing.get_context("spawn")
    folder = str(api.settings.data_directory)
    both = [context.Process(target=charge_all, args=(folder,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        await asyncio.to_thread(process.join, 60)
    assert [process.exitcode for process in both] == [0, 0]
    for process in both:
        process.close()
    assert len(await api.rows(charges)) == 40
    (balance,) = await api.rows(balances)
    assert balance["amount"] == 1_000_000 - 40 * 10_000


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/calls", CALL),
        ("/voicemessages", {"recipients": "31612345678", "body": "x"}),
        ("/verify", {"recipient": "31612345678", "type": "tts"}),
    ],
)
async def test_what_a_prepaid_balance_cannot_carry_is_refused(api: World, path: str, body: Any) -> None:
    await set_balance(api, amount="0.05", payment="prepaid")
    unrated = await api.ask("POST", path, body)
    assert unrated.errors[0]["code"] == 25
    await set_rate(api, "31", "0.06")
    refused = await api.ask("POST", path, body)
    assert refused.errors[0]["code"] == 25
    assert await api.rows(outbound_calls) == []
    # Test keys cost nothing.
    assert (await api.ask("POST", path, body, key="test")).status == 201
    more = await api.ask("POST", f"/balance/topups?account={ACME}", {"amount": 0.01}, key="operator")
    assert (more.status, more.json["amount"]) == (201, 0.06)
    assert (await api.ask("POST", path, body)).status == 201


async def test_calls_of_a_spent_balance_are_named_when_the_account_says_so(api: World) -> None:
    await set_rate(api, "31", "0.06")
    await set_balance(api, amount="0.01", payment="prepaid", endWhenSpent=True)
    call_id = await api.call(str(uuid.uuid4()), status="ongoing", ended_at=None)
    await api.leg(str(uuid.uuid4()), call_id, status="ongoing", ended_at=None, answered_at=T0)
    money = Money(api.database)
    assert await money.spending(T0 + 9) == ()
    assert await money.spending(T0 + 10) == ((ACME, (call_id,)),)
    await set_balance(api, endWhenSpent=False)
    assert await money.spending(T0 + 10) == ()


async def test_balances_and_rates_are_the_operators(api: World) -> None:
    for method, path, body in (
        ("PUT", "/balance", {"amount": 5}),
        ("POST", "/balance/topups", {"amount": 5}),
        ("GET", "/rates", None),
        ("POST", "/rates", {"prefix": "31", "perMinute": 1}),
    ):
        assert (await api.ask(method, path, body)).status in (401, 403, 404), path
    assert await api.rows(balances) == []


@pytest.mark.parametrize("amount", ["0.0000001", "NaN", "1e999", "five", None, True])
async def test_amounts_that_are_none(api: World, amount: Any) -> None:
    body = {"prefix": "31", "perMinute": amount}
    refused = await api.ask("POST", "/rates", body, key="operator")
    assert (refused.status, refused.errors[0]["parameter"]) == (422, "perMinute")


@pytest.mark.parametrize(
    ("changed", "parameter"),
    [({"prefix": "31x"}, "prefix"), ({"prefix": "1" * 16}, "prefix"), ({"currency": "coins"}, "currency")],
)
async def test_rates_that_are_none(api: World, changed: dict[str, str], parameter: str) -> None:
    body = {"prefix": "31", "perMinute": 1, **changed}
    refused = await api.ask("POST", "/rates", body, key="operator")
    assert (refused.status, refused.errors[0]["parameter"]) == (422, parameter)
