"""Nodes that are killed, started again, and stopped under live calls."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Voices
from tests.e2e.ears import SEAMLESS, heard_for, hears, longest_gap
from tests.e2e.flows import flow, pause, play, record, transfer
from tests.e2e.node import (
    BASE_DOMAIN,
    NUMBER,
    PASSWORD,
    USER,
    account,
    gateway,
    media,
    pbx_arguments,
    trunkflow_json,
)
from tests.e2e.served import served
from tests.phone import phone
from tests.sipp import caller_arguments, sipp

pytestmark = pytest.mark.long

LOCAL_HOLD = 2


async def test_a_bridged_call_outlives_its_node_and_ends_through_the_next(
    voices: Voices, tmp_path: Path
) -> None:
    caller_heard, callee_heard = tmp_path / "caller.wav", tmp_path / "callee.wav"
    async with phone("answer", "--play", voices(600), "--record", str(callee_heard)) as callee:
        target = f"sip:bob@{await callee.address()}"
        async with served(tmp_path, account(flow=flow(transfer(target)))) as node:
            sound = ("--play", voices(1000), "--record", str(caller_heard))
            async with phone(*pbx_arguments(node.door), *sound) as caller:
                await hears(caller_heard, 600)
                await hears(callee_heard, 1000)
                await node.kill()
                await hears(caller_heard, 600, 1.0, after=caller_heard.stat().st_size // 2)
                await node.start()
                await hears(caller_heard, 600, after=caller_heard.stat().st_size // 2)
                await hears(callee_heard, 1000, after=callee_heard.stat().st_size // 2)
                await caller.do("hangup")
                assert await caller.ended() == 200
            assert await callee.ended() == 200, "the BYE went through an edge that never saw the call begin"
        history = await only_call(node.config)
    for path, hertz in ((caller_heard, 600), (callee_heard, 1000)):
        assert longest_gap(path, hertz) < SEAMLESS, "the sound has a gap"
    assert (history["status"], history["end_reason"]) == ("ended", "the caller hung up")
    assert [leg["status"] for leg in history["legs"]] == ["hangup", "hangup"]
    assert all(leg["received_packets"] > 100 for leg in history["legs"])


async def test_hold_works_over_tcp_through_an_edge_that_never_saw_the_call_begin(
    voices: Voices, tmp_path: Path
) -> None:
    heard = tmp_path / "heard.wav"
    async with phone("answer", "--play", voices(600)) as callee:
        target = f"sip:bob@{await callee.address()}"
        async with (
            served(tmp_path, account(flow=flow(transfer(target)))) as node,
            phone(*pbx_arguments(node.tcp_door, transport="tcp"), "--record", str(heard)) as caller,
        ):
            await hears(heard, 600)
            await node.kill()
            await node.start()
            await caller.do("hold")
            await caller.event("media", status=LOCAL_HOLD)
            await caller.do("resume")
            await caller.event("media", nth=2, status=1)
            await hears(heard, 600, after=heard.stat().st_size // 2)
            await callee.do("hangup")
            assert await caller.ended() == 200


async def test_a_trunk_call_outlives_its_node_and_its_end_is_on_record(
    voices: Voices, tmp_path: Path
) -> None:
    heard = tmp_path / "heard.wav"
    async with phone("answer", "--play", voices(600)) as callee:
        declared = account() + gateway("carrier", await callee.address())
        async with (
            served(tmp_path, declared) as node,
            phone(*pbx_arguments(node.door, "+31207654321"), "--record", str(heard)) as caller,
        ):
            await hears(heard, 600)
            await node.kill()
            await node.start()
            talking = await only_call(node.config)
            await callee.do("hangup")
            assert await caller.ended() == 200
        history = await only_call(node.config)
    assert talking["status"] == "ongoing"
    assert history["answered_at"] == talking["answered_at"] is not None
    assert (history["status"], history["end_reason"]) == ("ended", "The called party hung up.")
    assert [leg["status"] for leg in history["legs"]] == ["hangup", "hangup"]


async def test_a_call_process_that_dies_under_the_next_node_is_still_cleaned_up_after(
    voices: Voices, tmp_path: Path
) -> None:
    caller_heard = tmp_path / "caller.wav"
    async with phone("answer", "--play", voices(600)) as callee:
        target = f"sip:bob@{await callee.address()}"
        async with (
            served(tmp_path, account(flow=flow(transfer(target)))) as node,
            phone(*pbx_arguments(node.door), "--record", str(caller_heard)) as caller,
        ):
            await hears(caller_heard, 600)
            earlier = node.call_processes()
            await node.kill()
            await node.start()
            # Of the processes of the killed node, the one with the call stays; the idle ones leave.
            left = await node.last_of(earlier)
            os.kill(left, signal.SIGKILL)
            for one in (caller, callee):
                assert (await one.event("state", state="DISCONNECTED"))["status"] == 200
            await node.said("the call process died")
        (call,) = await trunkflow_json("calls", config=node.config)
    assert call["status"] == "failed"
    assert "the call process died" in call["end_reason"]


async def test_a_callflow_goes_on_when_its_node_is_back(voices: Voices, tmp_path: Path) -> None:
    heard = tmp_path / "heard.wav"
    async with phone("answer", "--play", voices(600)) as callee:
        greeting = voices(440, 1.0)
        steps = flow(play(Path(greeting).name), pause(0.5), transfer(f"sip:bob@{await callee.address()}"))
        async with served(tmp_path, account(flow=steps, also=media(greeting))) as node:
            async with phone(*pbx_arguments(node.door), "--record", str(heard)) as caller:
                await hears(heard, 440, 0.2)
                await node.kill()
                # Longer than greeting and pause: the transfer has asked, and nobody is there to answer.
                await heard_for(heard, 2.5)
                await node.start()
                await hears(heard, 600)
                await caller.do("hangup")
                assert await caller.ended() == 200
            await callee.ended()


@pytest.mark.peer
async def test_a_node_that_is_told_to_stop_takes_no_new_call_and_waits_for_the_others(
    voices: Voices, tmp_path: Path
) -> None:
    heard = tmp_path / "heard.wav"
    async with phone("answer", "--play", voices(600)) as callee:
        target = f"sip:bob@{await callee.address()}"
        async with served(tmp_path, account(flow=flow(transfer(target)))) as node:
            async with phone(*pbx_arguments(node.door), "--record", str(heard)) as caller:
                await hears(heard, 600)
                node.signal(signal.SIGTERM)
                await node.said("draining")
                who = caller_arguments(NUMBER, f"acme.{BASE_DOMAIN}", USER, PASSWORD)
                async with sipp(
                    "refused", node.door, *who, folder=tmp_path / "sipp", values={"STATUS": "503"}
                ) as late:
                    run = await late.done()
                await hears(heard, 600, after=heard.stat().st_size // 2)
                await callee.do("hangup")
                assert await caller.ended() == 200
            assert await node.gone() == 0
        (call,) = await trunkflow_json("calls", config=node.config)
    run.check()
    assert "\nRetry-After: " in run.received("SIP/2.0 503")[0]
    assert call["end_reason"] == f"{target} hung up."


async def test_a_node_that_is_told_twice_ends_its_calls(voices: Voices, tmp_path: Path) -> None:
    async with served(tmp_path, account(flow=flow(record()))) as node:
        async with phone(*pbx_arguments(node.door), "--play", voices(1000)) as caller:
            await caller.event("media")
            node.signal(signal.SIGTERM)
            await node.said("draining")
            node.signal(signal.SIGTERM)
            assert await caller.ended() == 200
        assert await node.gone() == 0
    (call,) = await trunkflow_json("calls", config=node.config)
    assert (call["status"], call["end_reason"]) == ("ended", "the node was shut down")


async def only_call(config: Path) -> Any:
    """What the store says of the one call that there was."""
    (call,) = await trunkflow_json("calls", config=config)
    return await trunkflow_json("calls", "show", call["id"], config=config)
