"""Calls that processes place: who answers runs the callflow, and every other end has its word and reason."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from tests.phone import phone
from tests.pool.bare import PATIENCE_SECONDS, bare, sdp
from tests.pool.conftest import GREET, GREET_AND_RECORD, MakeWorld, World, order_for, transfer_to
from voice.commands import Command, Kind, Result
from voice.pool.orders import CallOrder, FirstLeg
from voice.records import (
    CallChanged,
    CallEnded,
    CallStatus,
    Event,
    LegMedia,
    RecordingDone,
    StepFinished,
    StepStarted,
)

PAUSE = '<callflow><steps><step id="p" action="pause"><length>30</length></step></steps></callflow>'


async def place(here: World, address: str, document: str | None = GREET, ring: float = 10.0) -> CallOrder:
    """Has a process call ``host:port``."""
    first = FirstLeg(target=f"sip:bob@{address}", caller_id="+31201234567", ring_seconds=ring)
    order = replace(order_for(document), outbound=first)
    await here.pool.place(order)
    return order


async def test_who_answers_hears_the_callflow_and_is_hung_up_at_its_end(world: MakeWorld) -> None:
    async with world() as here, phone("answer") as bob:
        order = await place(here, await bob.address())
        assert await bob.ended() == 200
        ended = await here.notes.first(CallEnded)
        (media,) = await here.notes.some(1, LegMedia)
        (plan,) = here.desk.plans
    assert here.outgoing.dialled_calls == [order.call_id]
    assert here.outgoing.ended == here.desk.ended == [order.call_id]
    assert [one.status for one in here.notes.all(CallChanged)] == [CallStatus.ONGOING]
    assert [(one.outcome) for one in here.notes.all(StepFinished)] == ["done"]
    assert (ended.status, ended.reason) == (CallStatus.ENDED, "The callflow came to its end.")
    assert media.leg_id == plan.leg_id == order.leg_id
    assert (plan.caller_id, plan.ring_seconds) == ("+31201234567", 10.0)


async def test_who_hangs_up_ends_the_call(world: MakeWorld) -> None:
    async with world() as here, phone("answer") as bob:
        await place(here, await bob.address(), PAUSE)
        await here.notes.first(StepStarted)
        await bob.do("hangup")
        ended = await here.notes.first(CallEnded)
    assert (ended.status, ended.reason) == (CallStatus.ENDED, "the callee hung up")


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("486 Busy Here", CallStatus.BUSY),
        ("600 Busy Everywhere", CallStatus.BUSY),
        ("480 Temporarily Unavailable", CallStatus.NO_ANSWER),
        ("603 Decline", CallStatus.FAILED),
        ("404 Not Found", CallStatus.FAILED),
        ("500 Server Internal Error", CallStatus.FAILED),
    ],
)
async def test_a_refusal_has_its_word_and_its_status_is_told(
    world: MakeWorld, answer: str, status: CallStatus
) -> None:
    async with world() as here, bare("sip:bob@127.0.0.1:9") as bob:
        order = await place(here, bob.address)
        bob.answer(await bob.message("INVITE"), answer)
        ended = await here.notes.first(CallEnded)
    assert here.outgoing.ended == [order.call_id]
    assert (ended.status, ended.reason) == (status, f"Not answered: {answer}.")
    assert here.notes.all(CallChanged) == []


async def test_the_owner_ends_a_call_that_rings_with_cancel(world: MakeWorld) -> None:
    async with world() as here, bare("sip:bob@127.0.0.1:9") as bob:
        order = await place(here, bob.address)
        bob.answer(await bob.message("INVITE"), "180 Ringing")
        outcome = await here.pool.command(Command(kind=Kind.HANGUP, call_id=order.call_id))
        bob.ok(await bob.message("CANCEL"))
        bob.answer(await bob.message("INVITE"), "487 Request Terminated")
        ended = await here.notes.first(CallEnded)
    assert outcome is not None
    assert outcome.result is Result.DONE
    assert (ended.status, ended.reason) == (CallStatus.ENDED, "The call was ended by the API.")


@pytest.mark.parametrize("rings", [True, False])
async def test_an_answer_that_crosses_the_cancel_is_hung_up_on(world: MakeWorld, rings: bool) -> None:
    """RFC 5407 section 3.1.2.  Nothing heard yet, the CANCEL waits for a response, and the answer is one."""
    async with world() as here, bare("sip:bob@127.0.0.1:9") as bob:
        order = await place(here, bob.address)
        invite = await bob.message("INVITE")
        if rings:
            bob.answer(invite, "180 Ringing")
        await here.pool.command(Command(kind=Kind.HANGUP, call_id=order.call_id))
        if rings:
            bob.ok(await bob.message("CANCEL"))
        bob.answer(invite, "200 OK", sdp())
        await bob.message("ACK")
        bob.ok(await bob.message("BYE"))
        ended = await here.notes.first(CallEnded)
    assert (ended.status, ended.reason) == (CallStatus.ENDED, "The call was ended by the API.")


async def test_who_answers_on_hold_is_in_a_call_that_can_be_hung_up(world: MakeWorld) -> None:
    async with world() as here, bare("sip:bob@127.0.0.1:9") as bob:
        order = await place(here, bob.address, PAUSE)
        bob.answer(await bob.message("INVITE"), "200 OK", sdp(mode="inactive"))
        await here.notes.first(StepStarted)
        await here.pool.command(Command(kind=Kind.HANGUP, call_id=order.call_id))
        bob.ok(await bob.message("BYE"))
        ended = await here.notes.first(CallEnded)
    assert (ended.status, ended.reason) == (CallStatus.ENDED, "The call was ended by the API.")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "Not answered: 406 SDP offer/answer incomplete."),
        (sdp(port=0), "Not placed: the callee's leg ended with 415 SDP negotiation failed."),
        (sdp("18 G729/8000"), "Not placed: the callee's leg ended with 415 SDP negotiation failed."),
    ],
    ids=["no SDP", "port 0", "a codec that was not offered"],
)
async def test_an_answer_that_nobody_can_talk_by_ends_the_call(
    world: MakeWorld, answer: str, reason: str
) -> None:
    async with world() as here, bare("sip:bob@127.0.0.1:9") as bob:
        await place(here, bob.address)
        bob.answer(await bob.message("INVITE"), "200 OK", answer)
        bob.ok(await bob.message("BYE"))
        ended = await here.notes.first(CallEnded)
    assert (ended.status, ended.reason) == (CallStatus.FAILED, reason)


async def test_a_node_that_stops_cancels_what_rings(world: MakeWorld) -> None:
    async with bare("sip:bob@127.0.0.1:9") as bob:
        async with world() as here:
            await place(here, bob.address)
            invite = await bob.message("INVITE")
            bob.answer(invite, "180 Ringing")
        await bob.message("CANCEL")
        ended = await here.notes.first(CallEnded)
    assert (ended.status, ended.reason) == (CallStatus.FAILED, "the test is over")


async def test_a_process_that_leaves_cancels_what_has_not_rung_yet(world: MakeWorld) -> None:
    """RFC 3261 section 9.1: CANCEL follows the first response, so the process waits for it."""
    async with bare("sip:bob@127.0.0.1:9") as bob:
        async with world() as here:
            await place(here, bob.address)
            invite = await bob.message("INVITE")
            leaving = asyncio.create_task(here.pool.stop("the test is over"))
            await asyncio.sleep(0.3)
            bob.answer(invite, "100 Trying")
            bob.ok(await bob.message("CANCEL"))
            bob.answer(invite, "487 Request Terminated")
            await leaving
        ended = await here.notes.first(CallEnded)
    assert (ended.status, ended.reason) == (CallStatus.FAILED, "the test is over")


async def test_a_process_that_dies_while_it_calls_has_failed(world: MakeWorld) -> None:
    async with world() as here, bare("sip:bob@127.0.0.1:9") as bob:
        order = await place(here, bob.address)
        await bob.message("INVITE")
        worker = here.pool.worker_of(order.call_id)
        assert worker is not None
        os.kill(worker.pid, signal.SIGKILL)
        ended = await here.notes.first(CallEnded)
        assert here.outgoing.ended == [order.call_id]
    assert ended.status is CallStatus.FAILED
    assert "the call process died" in ended.reason


async def test_a_process_lets_go_of_a_call_that_was_claimed_anew(world: MakeWorld) -> None:
    async with world() as here, bare("sip:bob@127.0.0.1:9") as bob:
        here.outgoing.allowed = False
        order = await place(here, bob.address)
        async with asyncio.timeout(20):
            while here.pool.has(order.call_id):
                await asyncio.sleep(0.01)
    assert here.desk.plans == []
    assert here.notes.all(CallEnded) == []
    assert here.outgoing.ended == here.desk.ended == []


async def test_a_callflow_that_cannot_be_had_is_hung_up_on(world: MakeWorld) -> None:
    async with world() as here, phone("answer") as bob:
        here.flow.document = "none"
        await place(here, await bob.address(), None)
        assert await bob.ended() == 200
        ended = await here.notes.first(CallEnded)
    assert (ended.status, ended.reason) == (
        CallStatus.ENDED,
        "the order names neither a callflow nor a URL",
    )


async def test_everything_else_of_a_line_works(world: MakeWorld, tmp_path: Path) -> None:
    async with world() as here, phone("answer", "--play", str(here.sound.path)) as bob:
        await place(here, await bob.address(), GREET_AND_RECORD)
        await here.notes.some(2, StepStarted)
        await bob.do("digit", "#")
        done = await here.notes.first(RecordingDone)
        await here.notes.first(CallEnded)
    assert done.status == "done"


async def test_a_call_is_replaced_by_another_callflow(world: MakeWorld) -> None:
    async with world() as here, phone("answer") as bob, phone("answer") as carol:
        order = await place(here, await bob.address(), PAUSE)
        await here.notes.first(StepStarted)
        other = transfer_to(await carol.address())
        outcome = await here.pool.command(Command(kind=Kind.REPLACE, call_id=order.call_id, body=other))
        assert outcome is not None
        assert outcome.result is Result.DONE
        await carol.event("state", state="CONFIRMED")
        await carol.do("hangup")
        ended = await here.notes.first(CallEnded)
        faulty = await here.pool.command(Command(kind=Kind.REPLACE, call_id=order.call_id, body="<x/>"))
    assert faulty is None
    assert [one.step_id for one in here.notes.all(StepFinished)] == ["p", "t"]
    assert ended.status is CallStatus.ENDED


async def test_legs_are_added_held_and_hung_up(world: MakeWorld) -> None:
    async with world(calls_per_process=4) as here, phone("answer") as bob, phone("answer") as carol:
        order = await place(here, await bob.address(), PAUSE)
        await here.notes.first(StepStarted)

        async def do(kind: Kind, leg_id: str | None = None, body: str = "") -> Result:
            command = Command(kind=kind, call_id=order.call_id, leg_id=leg_id, body=body)
            outcome = await here.pool.command(command)
            assert outcome is not None
            assert outcome.detail.endswith(".")
            return outcome.result

        assert await do(Kind.ADD_LEG, body=f"sip:carol@{await carol.address()}") is Result.DONE
        await carol.event("state", state="CONFIRMED")
        added = here.desk.plans[-1].leg_id
        # Carol knows that she is in the call a moment before its process does.
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await do(Kind.HOLD, added) is not Result.DONE:
                await asyncio.sleep(0.01)
        await carol.event("media", status=3)
        assert await do(Kind.UNHOLD, added) is Result.DONE
        assert await do(Kind.HOLD, order.leg_id) is Result.DONE
        assert await do(Kind.UNHOLD, order.leg_id) is Result.DONE
        assert await do(Kind.HOLD, str(uuid.uuid4())) is Result.REFUSED
        assert await do(Kind.HANGUP_LEG, added) is Result.DONE
        assert await carol.ended() == 200
        assert await do(Kind.HANGUP_LEG, order.leg_id) is Result.DONE
        assert await bob.ended() == 200
        ended = await here.notes.first(CallEnded)
    assert ended.reason == "The leg of the call was hung up by the API."
    assert here.notes.all(Event) == []
