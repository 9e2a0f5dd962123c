"""Calls through queue, pool, edge and gateway to a telephone: every end on record, with the same leg."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.outbound.conftest import a_call
from tests.outbound.node import Node, node
from tests.phone import phone
from tests.pool.conftest import GREET
from voice.commands import Command, Kind, Result
from voice.records import CallChanged, CallEnded, CallStatus, LegChanged, LegStarted, LegStatus

PAUSE = '<callflow><steps><step id="p" action="pause"><length>30</length></step></steps></callflow>'


async def ended(here: Node, call_id: str) -> CallEnded:
    return await here.notes.first(CallEnded, lambda end: end.call_id == call_id)


async def free(here: Node) -> None:
    """Waits until the account has all its places back."""
    async with asyncio.timeout(10):
        while here.edge.snapshot().calls:
            await asyncio.sleep(0.01)


async def test_a_queued_call_is_dialled_by_the_gateway_and_who_answers_hears_the_callflow(
    tmp_path: Path,
) -> None:
    async with phone("answer") as bob, node(tmp_path, await bob.address()) as here:
        call = a_call(document=GREET)
        await here.store.accept(call)
        invite = (await bob.event("incoming"))["invite"]
        assert await bob.ended() == 200
        end = await ended(here, call.call_id)
        await free(here)
        [leg] = here.notes.all(LegStarted)
    assert "INVITE sip:+31207654321@" in invite
    assert "+31201234567" in invite
    assert end.status is CallStatus.ENDED
    assert [change.status for change in here.notes.all(CallChanged)] == [CallStatus.ONGOING]
    assert (leg.call_id, leg.gateway, leg.destination) == (call.call_id, "carrier", call.destination)


async def test_busy_no_answer_and_no_way_each_have_their_word(tmp_path: Path) -> None:
    async with phone("answer", "--status", "486") as bob, node(tmp_path, await bob.address()) as here:
        busy, nowhere = a_call(document=GREET), a_call(document=GREET, destination="+44123456789")
        await here.store.accept(busy, nowhere)
        assert await bob.ended() == 486
        first, second = await ended(here, busy.call_id), await ended(here, nowhere.call_id)
        await free(here)
    assert (first.status, "486 Busy" in first.reason) == (CallStatus.BUSY, True)
    assert (second.status, "404 No gateway" in second.reason) == (CallStatus.FAILED, True)
    legs = {change.call_id: change.status for change in here.notes.all(LegChanged)}
    assert legs == {busy.call_id: LegStatus.BUSY, nowhere.call_id: LegStatus.FAILED}


async def test_the_ring_time_counts_and_hanging_up_ends_the_ringing(tmp_path: Path) -> None:
    async with phone("answer", "--status", "180") as bob, node(tmp_path, await bob.address()) as here:
        call = a_call(document=GREET, ring_seconds=1.0)
        await here.store.accept(call)
        assert await bob.ended() == 487
        end = await ended(here, call.call_id)
        await free(here)
    assert (end.status, "408" in end.reason) == (CallStatus.NO_ANSWER, True)


async def test_a_call_can_be_hung_up_while_it_rings_and_while_it_talks(tmp_path: Path) -> None:
    for status, last in (("180", 487), ("200", 200)):
        folder = tmp_path / status
        folder.mkdir()
        async with phone("answer", "--status", status) as bob, node(folder, await bob.address()) as here:
            call = a_call(document=PAUSE)
            await here.store.accept(call)
            await bob.event("state", status=int(status))
            outcome = await here.commands.ask(Command(kind=Kind.HANGUP, call_id=call.call_id))
            assert outcome.result is Result.DONE
            assert await bob.ended() == last
            end = await ended(here, call.call_id)
            await free(here)
        assert (end.status, "API" in end.reason) == (CallStatus.ENDED, True)
