"""The queue of outgoing calls and whoever works it off: order, limits, waiting, and never twice."""

from __future__ import annotations

import asyncio
import time

from tests.outbound.conftest import NODE, SAY, Desk, a_call, account
from voice.outbound import Outgoing
from voice.pool.orders import FirstLeg
from voice.records import CallEnded, CallStatus
from voice.store.database import Database
from voice.store.outbound import OutboundStore


async def test_an_accepted_call_is_on_record_as_queued_and_then_given_to_a_call_process(desk: Desk) -> None:
    call = a_call(ring_seconds=12.0, max_seconds=50, callflow_id="f1")
    await desk.wants(call)
    assert await desk.call(call.call_id) == ("queued", None)
    async with desk.dispatching():
        [order] = await desk.seats.until(1)
    assert (order.call_id, order.account_id, order.document) == (call.call_id, "acme", SAY)
    assert (order.source, order.destination, order.max_seconds) == (call.source, call.destination, 50)
    assert order.outbound == FirstLeg(target="+31207654321", caller_id="+31201234567", ring_seconds=12.0)
    assert await desk.state(call.call_id) == "claimed"


async def test_a_call_that_comes_while_nothing_is_queued_is_placed_at_once(desk: Desk) -> None:
    async with desk.dispatching():
        await desk.wants(a_call())
        await desk.seats.until(1)
        # As another process queues it: nobody rings here.
        await OutboundStore(desk.database, time.time).accept(a_call())
        await desk.seats.until(2)


async def test_a_scheduled_call_waits_for_its_time(desk: Desk) -> None:
    later = a_call(not_before=time.time() + 3_600)
    soon = a_call(not_before=time.time() + 0.2)
    await desk.wants(later, soon)
    async with desk.dispatching():
        [order] = await desk.seats.until(1)
    assert order.call_id == soon.call_id
    assert time.time() >= soon.not_before
    assert await desk.state(later.call_id) == "queued"


async def test_an_account_with_a_long_queue_does_not_delay_another(desk: Desk) -> None:
    desk.seats.room = 12
    many = [a_call(created_at=time.time() - 100 + number) for number in range(50)]
    one = a_call("bolt")
    await desk.wants(*many)
    await desk.wants(one)
    async with desk.dispatching():
        orders = await desk.seats.until(12)
    assert one.call_id in [order.call_id for order in orders[:8]]
    oldest = [call.call_id for call in many[:11]]
    assert {order.call_id for order in orders if order.account_id == "acme"} <= set(oldest)


async def test_no_more_calls_at_a_time_than_the_account_may_have_together_with_incoming_ones(
    database: Database,
) -> None:
    desk = Desk(database, (account(most=2),))
    assert desk.places.reserve("incoming", "acme") is None
    calls = [a_call(created_at=number) for number in range(3)]
    await desk.wants(*calls)
    async with desk.dispatching():
        await desk.seats.until(1)
        await desk.reaches(calls[0].call_id, "claimed")
        assert desk.places.taken("acme") == 2
        desk.places.call_ended("incoming")
        await desk.seats.until(2)
        assert desk.places.taken("acme") == 2
        desk.places.call_ended(calls[0].call_id)
        orders = await desk.seats.until(3)
    assert [order.call_id for order in orders] == [call.call_id for call in calls]


async def test_calls_are_placed_no_faster_than_the_account_may(database: Database) -> None:
    desk = Desk(database, (account(rate=10),))
    await desk.wants(*[a_call() for _ in range(15)])
    began = time.monotonic()
    async with desk.dispatching():
        await desk.seats.until(15)
    # Ten may come at once; the further five one by one.
    assert time.monotonic() - began >= 0.5


async def test_a_full_pool_loses_no_call(desk: Desk) -> None:
    desk.seats.room = 0
    call = a_call()
    await desk.wants(call)
    async with desk.dispatching():
        await desk.seats.refusal()
        await desk.reaches(call.call_id, "queued")
        assert desk.places.taken("acme") == 0
        desk.seats.room = 1
        [order] = await desk.seats.until(1)
    assert order.call_id == call.call_id


async def test_a_node_that_drains_begins_nothing(desk: Desk) -> None:
    desk.dispatcher.drain()
    call = a_call()
    await desk.wants(call)
    async with desk.dispatching():
        # What is rung for is looked at; this much it would have been placed in.
        desk.bells.calls.ring()
        await asyncio.sleep(0.1)
    assert await desk.state(call.call_id) == "queued"
    assert desk.seats.orders == []


async def test_a_call_of_an_account_that_is_no_more_ends_with_the_reason(database: Database) -> None:
    desk = Desk(database, (account("bolt"),))
    call = a_call(created_at=time.time() - 60)
    await desk.wants(call)
    async with desk.dispatching():
        await desk.reaches(call.call_id, "over")
    assert await desk.call(call.call_id) == ("failed", "The account of the call is not in force any more.")


async def test_a_simulated_call_needs_no_call_process(desk: Desk) -> None:
    desk.seats.room = 0
    call = a_call(simulated=True)
    await desk.wants(call)
    async with desk.dispatching():
        await desk.reaches(call.call_id, "over")
    [rehearsed] = desk.rehearsed
    assert (rehearsed.call_id, rehearsed.document) == (call.call_id, SAY)
    assert await desk.call(call.call_id) == ("starting", None)


async def test_a_bug_in_a_simulated_call_ends_it_alone(desk: Desk) -> None:
    bad, good = a_call(simulated=True, destination="+31200000666"), a_call(simulated=True)
    await desk.wants(bad, good)
    async with desk.dispatching():
        await desk.reaches(bad.call_id, "over")
        await desk.reaches(good.call_id, "over")
    [ended] = desk.notes.all(CallEnded)
    assert (ended.call_id, ended.status) == (bad.call_id, CallStatus.FAILED)


async def test_a_call_can_be_cancelled_until_it_is_claimed(desk: Desk) -> None:
    call, other = a_call(), a_call()
    await desk.wants(call, other)
    assert await desk.store.cancel(call.call_id, CallStatus.ENDED, "Hung up by the API.")
    assert not await desk.store.cancel(call.call_id, CallStatus.ENDED, "Hung up by the API.")
    async with desk.dispatching():
        [order] = await desk.seats.until(1)
    assert order.call_id == other.call_id
    assert not await desk.store.cancel(other.call_id, CallStatus.ENDED, "Hung up by the API.")
    assert await desk.call(call.call_id) == ("ended", "Hung up by the API.")


async def test_two_dispatchers_on_one_queue_place_each_call_once(database: Database) -> None:
    desks = [Desk(database, (account(),)) for _ in range(2)]
    calls = [a_call() for _ in range(30)]
    await desks[0].wants(*calls)
    async with desks[0].dispatching(), desks[1].dispatching():
        async with asyncio.timeout(20):
            while sum(len(desk.seats.orders) for desk in desks) < 30:
                await asyncio.sleep(0.01)
    placed = [order.call_id for desk in desks for order in desk.seats.orders]
    assert sorted(placed) == sorted(call.call_id for call in calls)


# -- the claim that may dial -------------------------------------------------------------------------


def outgoing(desk: Desk) -> Outgoing:
    async def flushed(_within: float) -> None: ...

    return Outgoing(desk.store, desk.notes, desk.bells, NODE, flushed)


async def test_only_the_newest_claim_on_a_call_may_dial_and_it_may_ask_again(desk: Desk) -> None:
    call = a_call()
    await desk.wants(call)
    [first] = await desk.store.due(1)
    assert await desk.store.claim(first, NODE)
    await desk.store.unclaim(first.call_id, first.leg_id)
    [second] = await desk.store.due(1)
    assert await desk.store.claim(second, NODE)
    queue = outgoing(desk)
    assert not await queue.dialled(call.call_id, first.leg_id)
    assert await desk.call(call.call_id) == ("queued", None)
    assert await queue.dialled(call.call_id, second.leg_id)
    assert await queue.dialled(call.call_id, second.leg_id)
    assert await desk.state(call.call_id) == "dialled"
    assert await desk.call(call.call_id) == ("starting", None)
    # What was dialled is never queued again.
    await desk.store.unclaim(call.call_id, second.leg_id)
    assert await desk.state(call.call_id) == "dialled"


async def test_the_end_of_a_call_rings_for_whoever_waits_for_it(desk: Desk) -> None:
    call = a_call()
    await desk.wants(call)
    [due] = await desk.store.due(1)
    await desk.store.claim(due, NODE)
    queue = outgoing(desk)
    queue.over(call.call_id)
    await queue.close()
    assert await desk.state(call.call_id) == "over"
    async with asyncio.timeout(10):
        await desk.bells.messages.wait(60)
    assert not await queue.dialled(call.call_id, due.leg_id)
