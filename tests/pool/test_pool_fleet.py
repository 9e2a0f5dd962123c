"""Processes come, leave, hang and fail to start; the pool keeps count of all of them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.phone import phone
from tests.pool.bare import bare, sdp
from tests.pool.conftest import GREET, GREET_AND_RECORD, MakeWorld, World, process_config
from voice.pool import fleet as fleet_module
from voice.pool import pool as pool_module
from voice.pool.fleet import Fleet, PoolSettings
from voice.pool.nursery import ZygoteFailed
from voice.pool.orders import PoolFull
from voice.pool.wire import Hello, frame, tell
from voice.pool.zygote import Zygote
from voice.records import CallEnded, Event, RecordingDone, RecordingStarted


def ports_in_use(here: World) -> int:
    return len(here.pool._fleet._ports._taken)


async def _new_zygote(fleet: Fleet, old: int) -> None:
    while fleet._nursery is None or fleet._nursery.pid == old:
        await asyncio.sleep(0.01)


async def test_a_process_that_hangs_is_replaced_under_the_call_that_it_was_given(
    world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "EXPECT_SECONDS", 0.3)
    async with world(warm_reserve=2) as here:
        hung = next(iter(here.pool._fleet.workers))
        os.kill(hung, signal.SIGSTOP)
        order, uri = await here.seat()
        while hung in here.pool._fleet.workers:
            await asyncio.sleep(0.01)
        worker = here.pool.worker_of(order.call_id)
        assert worker is not None
        assert worker.pid != hung
        async with phone("call", uri) as caller:
            assert await caller.ended() == 200
        await here.notes.first(CallEnded)


async def test_a_zygote_that_dies_with_forks_to_do_is_replaced_and_loses_no_ports(world: MakeWorld) -> None:
    async with world(warm_reserve=1, max_processes=8) as here:
        fleet = here.pool._fleet
        assert fleet._nursery is not None
        zygote = fleet._nursery.pid
        assert zygote is not None
        os.kill(zygote, signal.SIGSTOP)
        for _ in range(30):
            fleet.arrived()
        assert fleet._asked
        # It dies with what it was asked unread.
        os.kill(zygote, signal.SIGKILL)
        await _new_zygote(fleet, zygote)
        await here.pool.warm()
        assert ports_in_use(here) == len(fleet.workers) + fleet._coming()


async def test_a_zygote_that_does_not_start_is_tried_again(
    world: MakeWorld, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fleet_module, "MAX_START_DELAY_SECONDS", 0.1)
    async with world() as here:
        fleet = here.pool._fleet
        assert fleet._nursery is not None
        assert fleet._nursery.pid is not None
        with monkeypatch.context() as broken:
            broken.setattr(sys, "executable", "/bin/false")
            os.kill(fleet._nursery.pid, signal.SIGKILL)
            while "no new zygote" not in caplog.text:
                await asyncio.sleep(0.01)
        for pid in list(fleet.workers):
            os.kill(pid, signal.SIGKILL)
        while fleet.workers:
            await asyncio.sleep(0.01)
        await here.pool.warm()
        await here.seat()


def test_a_fork_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory() -> int:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(os, "fork", no_memory)
    parent, control = socket.socketpair()
    with parent, control:
        zygote = Zygote(control, process_config(tmp_path), 4)
        zygote._fork(40_000)
        os.close(zygote._wake_read)
        os.close(zygote._wake_write)
        assert parent.recv(200) == b'{"unforked": 40000, "why": "Cannot allocate memory"}\n'


async def test_a_fork_that_failed_is_asked_for_again(world: MakeWorld) -> None:
    async with world(warm_reserve=2) as here:
        fleet = here.pool._fleet
        port = fleet._ports.take()
        fleet._asked.add(port)
        fleet.unforked(port, "Cannot allocate memory")
        assert not fleet._asked
        assert ports_in_use(here) == 2
        for pid in list(fleet.workers):
            os.kill(pid, signal.SIGKILL)
        while fleet.workers:
            await asyncio.sleep(0.01)
        await here.pool.warm()


async def test_a_node_whose_processes_never_get_ready_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_module, "BOOT_SECONDS", 0.2)
    monkeypatch.setattr(fleet_module, "MAX_START_DELAY_SECONDS", 0.1)
    settings = PoolSettings(
        run_dir=tmp_path,
        warm_reserve=2,
        max_processes=4,
        calls_per_process=1,
        calls_before_recycling=10,
        rtp_first=9_000,
        rtp_last=9_100,
    )
    nobody_listens = replace(process_config(tmp_path), parent_socket=str(tmp_path / "nobody.sock"))
    fleet = Fleet(settings, nobody_listens, lambda worker, how: None)
    try:
        await fleet.start()
        with pytest.raises(ZygoteFailed, match="do not start"):
            await fleet.warm()
    finally:
        await fleet.stop()


async def test_a_pool_that_is_busy_with_calls_of_before_is_as_warm_as_it_gets(world: MakeWorld) -> None:
    async with world(max_processes=2, warm_reserve=2) as here:
        await here.seat()
        await here.pool.warm()


async def test_fewer_ports_than_processes_are_a_smaller_pool(
    world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(max_processes=8, warm_reserve=4, rtp_first=9_000, rtp_last=9_031) as here:
        assert len(here.pool._fleet.workers) == 2
        await here.seat()
        await here.seat()
        with pytest.raises(PoolFull):
            await here.seat()
    assert caplog.text.count("9000 to 9031 are enough for 2 call processes") == 1
    assert "all RTP ports are in use" not in caplog.text


async def test_a_call_waits_for_the_successor_of_a_process_that_is_leaving(world: MakeWorld) -> None:
    async with world(max_processes=1, calls_before_recycling=1) as here:
        order, uri = await here.seat()
        worker = here.pool.worker_of(order.call_id)
        assert worker is not None
        async with phone("call", uri) as caller:
            while not worker.retiring:
                await asyncio.sleep(0.001)
            after, _ = await here.seat()
            assert here.pool.worker_of(after.call_id) is not worker
            assert await caller.ended() == 200


async def test_processes_that_a_busy_hour_needed_are_let_go(world: MakeWorld) -> None:
    async with world(max_processes=8, warm_reserve=1) as here:
        fleet = here.pool._fleet
        for _ in range(20):
            fleet.arrived()
        while len(fleet.workers) < 4:
            fleet.top_up()
            await asyncio.sleep(0.01)
        fleet._reserve._arrivals.clear()
        fleet.let_go()
        while len(fleet.workers) > 2:
            await asyncio.sleep(0.01)
        await here.seat(GREET)


async def test_a_process_that_floods_its_parent_is_killed(world: MakeWorld, tmp_path: Path) -> None:
    async with world() as here:
        impostor = await asyncio.create_subprocess_exec("sleep", "60")
        _, writer = await asyncio.open_unix_connection(tmp_path / "run" / "pool.sock")
        hello = Hello(
            pid=impostor.pid,
            zygote=impostor.pid,
            host="127.0.0.1",
            port=9,
            rtp_port=9_000,
            calls=[],
            dialogs=[],
            recordings=[],
            taken=0,
        )
        writer.write(frame(hello))
        writer.write(frame(tell(Event(at=0.0, kind="flood", detail=""), 1)) * 2 * pool_module.MOST_MESSAGES)
        assert await impostor.wait() == -signal.SIGKILL
        writer.close()
        assert len(here.notes.all(Event)) == pool_module.MOST_MESSAGES
        await here.seat()


async def test_the_far_end_of_a_process_that_hangs_gets_bye_also_when_the_pool_stops(
    world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_module, "STOP_SECONDS", 0.2)
    async with bare("sip:nobody@127.0.0.1:9") as edge:
        host, _, port = edge.address.rpartition(":")
        async with world(edge=(host, int(port))) as here:
            order, uri = await here.seat(GREET_AND_RECORD)
            async with bare(uri) as caller:
                caller.invite(sdp())
                await caller.response(200)
                caller.ack()
                await here.notes.first(RecordingStarted)
                worker = here.pool.worker_of(order.call_id)
                assert worker is not None
                os.kill(worker.pid, signal.SIGSTOP)
                stopping = asyncio.create_task(here.pool.stop("the node is shutting down"))
                edge.ok(await edge.message("BYE "))
                await stopping
            ended = await here.notes.first(CallEnded)
            assert here.notes.all(RecordingDone)
    assert "SIGKILL" in ended.reason
