"""Limits on a whole node: calls that the edge ends, and calls that nobody can pay."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.e2e.conftest import MakePlatform
from tests.e2e.flows import flow, say, transfer
from tests.e2e.node import NUMBER, Platform, account, gateway
from tests.notes import PATIENCE_SECONDS
from tests.phone import phone
from voice.edge.core.ledger import Used, day_of, key_of
from voice.edge.ledger_file import LedgerFile
from voice.node_settings import limits_file
from voice.records import CallStatus, Refusal
from voice.store.database import Database
from voice.store.money import Balance, Money, Payment, Rate

SALES = "+31207654321"
PREMIUM = "+31909123456"
UNIT = 1_000_000


def account_of(here: Platform) -> str:
    (account_id,) = here.node.directory().accounts
    return account_id


async def knows(here: Platform, amount: int) -> None:
    """Waits until the edge knows the balance."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while here.node.edge._tariff.funds(account_of(here)) != (amount, "EUR"):
            await asyncio.sleep(0.05)


@asynccontextmanager
async def money_of(here: Platform) -> AsyncIterator[Money]:
    async with await Database.of(here.settings) as database:
        yield Money(database)


async def test_a_trunk_call_that_has_lasted_as_long_as_it_may_gets_bye_on_both_sides(
    node: MakePlatform,
) -> None:
    async with (
        phone("answer", "--status", "200") as callee,
        node(account(limits="max_call_seconds = 2") + gateway("carrier", await callee.address())) as here,
    ):
        began = time.monotonic()
        async with here.pbx(number=SALES) as caller:
            assert await caller.ended() == 200
        assert await callee.ended() == 200
        assert time.monotonic() - began > 1.9
        ended = await here.ended()
    assert ended.status is CallStatus.ENDED
    assert ended.reason == "The call reached the longest duration of account acme: 2 s."


async def test_a_premium_number_is_refused_and_on_record(node: MakePlatform) -> None:
    limits = '[accounts.acme.limits]\ndenied_kinds = ["premium"]'
    async with (
        phone("answer", "--status", "486") as callee,
        node(account(also=limits) + gateway("carrier", await callee.address())) as here,
    ):
        async with here.pbx(number=PREMIUM) as caller:
            assert await caller.ended() == 403
        refusal = await here.notes.first(Refusal)
    assert refusal.cause == "account-destination-kind"


async def test_a_prepaid_account_without_balance_calls_nobody_by_trunk(node: MakePlatform) -> None:
    async with (
        phone("answer", "--status", "486") as callee,
        node(account() + gateway("carrier", await callee.address())) as here,
        money_of(here) as money,
    ):
        await money.put_rate(Rate(id="", account_id=None, prefix="", per_minute=UNIT, currency="EUR"))
        await money.set_balance(account_of(here), Balance(amount=1, payment=Payment.PREPAID))
        await knows(here, 1)
        async with here.pbx(number=SALES) as caller:
            assert await caller.ended() == 402
        refusal = await here.notes.first(Refusal)
    assert refusal.cause == "balance"


async def test_a_trunk_call_ends_when_the_balance_is_spent(node: MakePlatform) -> None:
    async with (
        phone("answer", "--status", "200") as callee,
        node(account() + gateway("carrier", await callee.address())) as here,
        money_of(here) as money,
    ):
        await money.put_rate(Rate(id="", account_id=None, prefix="", per_minute=UNIT, currency="EUR"))
        account_id = account_of(here)
        spent_soon = Balance(amount=UNIT, payment=Payment.PREPAID, end_when_spent=True)
        await money.set_balance(account_id, spent_soon)
        await knows(here, UNIT)
        async with here.pbx(number=SALES) as caller:
            await caller.event("state", status=200)
            # Somebody else spends the rest.
            await money.add(account_id, -UNIT)
            assert await caller.ended() == 200
        assert await callee.ended() == 200
        ended = await here.ended()
    assert ended.reason == "The account has spent its balance."


@pytest.mark.parametrize("by_callflow", [False, True])
async def test_a_call_ends_when_the_minutes_of_its_day_are_used_up(
    node: MakePlatform, by_callflow: bool
) -> None:
    steps = flow(transfer(SALES), say()) if by_callflow else None
    limits = "[accounts.acme.limits]\ndaily_minutes = 30"
    async with (
        phone("answer", "--status", "200") as callee,
        node(account(flow=steps, also=limits) + gateway("carrier", await callee.address())) as here,
    ):
        async with here.pbx(number=NUMBER if by_callflow else SALES) as caller:
            await callee.event("state", status=200)
            await caller.event("state", status=200)
            use_up(here, minutes=30)
            assert await caller.ended() == 200
        assert await callee.ended() == 200
        ended = await here.ended()
    assert ended.status is CallStatus.ENDED
    assert ended.reason == "A limit ended the call: account acme: 30 minutes a day."


def use_up(here: Platform, minutes: int) -> None:
    """Another edge of the machine has talked for so long today, on calls that have ended."""
    now = time.time()
    edge = LedgerFile(limits_file(here.settings), now)
    try:
        with edge.ledger.lock:
            row = edge.ledger.row(key_of("account", account_of(here)))
            row.spend(Used(60.0 * minutes, 0.0), day_of(now))
    finally:
        edge.close()
