"""Callers that no telephone of ours imitates: broken names, foreign requests, offers that come late."""

from __future__ import annotations

import socket

from tests.phone import phone
from tests.pool.bare import bare, sdp
from tests.pool.conftest import GREET, GREET_AND_RECORD, MakeWorld, transfer_to
from voice.records import CallEnded, CallStatus, RecordingStarted, StepFinished


async def test_a_name_that_is_no_utf8_costs_nothing(world: MakeWorld) -> None:
    async with world() as here:
        order, uri = await here.seat(GREET_AND_RECORD)
        async with bare(uri) as caller:
            caller.sent_from = '"J\udcfcrgen" <sip:juergen@pbx.example.com>'
            caller.invite(sdp())
            await caller.response(200)
            caller.ack()
            await here.notes.first(RecordingStarted)
            worker = here.pool.worker_of(order.call_id)
            assert worker is not None
            (dialog,) = worker.calls[order.call_id].dialogs.values()
            caller.request("BYE")
            await caller.response(200, to="BYE")
        ended = await here.notes.first(CallEnded)
    assert "juergen@pbx.example.com" in dialog.remote
    assert ended.status is CallStatus.ENDED


async def test_a_refusal_whose_phrase_is_no_utf8_is_an_ordinary_refusal(world: MakeWorld) -> None:
    async with world() as here, bare("sip:nobody@127.0.0.1:9") as callee:
        _, uri = await here.seat(transfer_to(callee.address))
        async with phone("call", uri) as caller:
            invite = await callee.message("INVITE ")
            callee.answer(invite, "486 Occup\udce9")
            assert await caller.ended() == 486
        step = await here.notes.first(StepFinished)
        ended = await here.notes.first(CallEnded)
    assert step.outcome == "busy"
    assert ended.status is CallStatus.BUSY


async def test_the_media_stack_does_not_call_whom_a_refer_names(world: MakeWorld) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as victim:
        victim.bind(("127.0.0.1", 0))
        victim.setblocking(False)
        async with world() as here:
            _, uri = await here.seat(GREET_AND_RECORD)
            async with bare(uri) as caller:
                caller.invite(sdp())
                await caller.response(200)
                caller.ack()
                port = victim.getsockname()[1]
                caller.request("REFER", "", f"Refer-To: <sip:victim@127.0.0.1:{port}>")
                await caller.response(603, to="REFER")
                caller.request("BYE")
                await caller.response(200, to="BYE")
            await here.notes.first(CallEnded)
        try:
            heard = victim.recv(4096)
        except BlockingIOError:
            heard = b""
    assert heard == b""


async def test_an_unannounced_caller_who_gives_up_at_once_leaves_the_process_well(world: MakeWorld) -> None:
    async with world(max_processes=1) as here:
        order, uri = await here.seat()
        async with bare("sip:stranger@" + uri.partition("@")[2]) as caller:
            # Both in one go, so that the call is gone before the process has made up its mind.
            caller.invite(sdp())
            caller.cancel()
            await caller.response(404, 487)
        async with phone("call", uri) as caller_after:
            assert await caller_after.ended() == 200
        ended = await here.notes.first(CallEnded)
    assert ended.call_id == order.call_id


async def test_an_invite_that_is_sent_again_is_one_call(world: MakeWorld) -> None:
    async with world(calls_per_process=2, max_processes=1) as here:
        _, uri = await here.seat()
        body = sdp()
        async with bare(uri) as caller:
            caller.invite(body)
            for _ in range(3):
                caller.again(body)
            await caller.response(200)
            caller.again(body)
            caller.ack()
            caller.ok(await caller.message("BYE "))
        await here.notes.first(CallEnded)
        assert len(here.notes.all(StepFinished)) == 1


async def test_early_media_that_cannot_be_costs_its_step_only(world: MakeWorld) -> None:
    """An INVITE without an offer: its sender says where sound goes only in the ACK."""
    early = GREET.replace("</text>", "</text><early>true</early>").replace(
        "</step>", f"</step>{_step(GREET)}", 1
    )
    async with world() as here:
        _, uri = await here.seat(early.replace('id="greet"', 'id="early"', 1))
        async with bare(uri) as caller:
            caller.invite("")
            await caller.response(200)
            caller.ack(sdp())
            caller.ok(await caller.message("BYE "))
        ended = await here.notes.first(CallEnded)
        steps = here.notes.all(StepFinished)
    assert [step.outcome for step in steps] == ["failed", "done"]
    assert "early media" in steps[0].detail
    assert ended.status is CallStatus.ENDED


def _step(document: str) -> str:
    start, end = document.index("<step "), document.index("</step>") + len("</step>")
    return document[start:end]


async def test_a_caller_who_hangs_up_while_the_callflow_is_fetched(world: MakeWorld) -> None:
    async with world() as here:
        here.flow.ready.clear()
        _, uri = await here.seat(None, url="https://flows.example.com/slow")
        async with bare(uri) as caller:
            caller.invite(sdp())
            await caller.response(180)
            caller.cancel()
            await caller.response(487)
            caller.ack_refusal()
        ended = await here.notes.first(CallEnded)
        here.flow.ready.set()
    assert ended.status is CallStatus.NO_ANSWER
