"""Commands for running calls: done once, by whoever has the call, answered with a sentence, never late."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy import insert

from tests.outbound.conftest import Desk, a_call
from voice.command_worker import CommandWorker
from voice.commands import Command, Kind, Outcome, Result, done
from voice.store.commands import Commands
from voice.store.service_schema import commands


class Processes:
    """Has the calls that it is told of, and does what it is asked."""

    def __init__(self) -> None:
        self.calls: set[str] = set()
        self.asked: list[Command] = []
        self.over = False

    def has(self, call_id: str) -> bool:
        return call_id in self.calls

    async def command(self, command: Command) -> Outcome | None:
        self.asked.append(command)
        return None if self.over else done("The leg is held.")


class Trunk:
    """An edge that has one call, which can be ended once."""

    def __init__(self) -> None:
        self.calls = {"trunk": ""}

    def is_trunk_call(self, call_id: str) -> bool:
        return call_id in self.calls

    def hang_up(self, call_id: str, reason: str) -> bool:
        return self.calls.pop(call_id, None) is not None


@pytest.fixture
def processes() -> Processes:
    return Processes()


@pytest.fixture
async def asked(desk: Desk, processes: Processes) -> AsyncIterator[Commands]:
    """What the API asks, with a worker on the other side."""
    api = Commands(desk.database, desk.bells, time.time)
    worker = CommandWorker(
        Commands(desk.database, desk.bells, time.time),
        desk.store,
        processes,
        Trunk(),
        desk.bells,
    )
    running = asyncio.create_task(worker.run())
    yield api
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_command_is_done_by_the_process_of_its_call(asked: Commands, processes: Processes) -> None:
    processes.calls.add("c1")
    command = Command(kind=Kind.HOLD, call_id="c1", leg_id="l1")
    outcome = await asked.ask(command)
    assert outcome == Outcome(result=Result.DONE, detail="The leg is held.")
    assert processes.asked == [command]


async def test_many_commands_at_once_are_each_done_once(asked: Commands, processes: Processes) -> None:
    processes.calls.add("c1")
    wanted = [Command(kind=Kind.HOLD, call_id="c1", leg_id=str(number)) for number in range(20)]
    outcomes = await asyncio.gather(*map(asked.ask, wanted))
    assert {outcome.result for outcome in outcomes} == {Result.DONE}
    assert sorted(one.leg_id or "" for one in processes.asked) == sorted(map(str, range(20)))


async def test_a_call_that_ends_meanwhile_is_gone(asked: Commands, processes: Processes) -> None:
    processes.calls.add("c1")
    processes.over = True
    outcome = await asked.ask(Command(kind=Kind.HANGUP, call_id="c1"))
    assert outcome == Outcome(result=Result.GONE, detail="The call is over.")


async def test_a_plain_trunk_call_can_be_ended_and_nothing_else(asked: Commands) -> None:
    outcome = await asked.ask(Command(kind=Kind.HOLD, call_id="trunk", leg_id="l1"))
    assert outcome.result is Result.REFUSED
    assert outcome.detail.endswith("it can be ended here, and nothing else.")
    assert (await asked.ask(Command(kind=Kind.HANGUP, call_id="trunk"))).result is Result.DONE
    assert (await asked.ask(Command(kind=Kind.HANGUP, call_id="trunk"))).result is Result.GONE


async def test_a_call_that_nobody_knows_is_gone(asked: Commands) -> None:
    outcome = await asked.ask(Command(kind=Kind.HANGUP, call_id="nowhere"))
    assert outcome == Outcome(result=Result.GONE, detail="There is no such call.")


async def test_hanging_up_a_call_that_waits_takes_it_out_of_the_queue(asked: Commands, desk: Desk) -> None:
    call = a_call()
    await desk.wants(call)
    outcome = await asked.ask(Command(kind=Kind.HANGUP, call_id=call.call_id))
    assert outcome.result is Result.DONE
    assert await desk.call(call.call_id) == ("ended", "The call was ended by the API before it was placed.")
    again = await asked.ask(Command(kind=Kind.HANGUP, call_id=call.call_id))
    assert again == Outcome(result=Result.GONE, detail="The call is over.")


async def test_a_simulated_call_takes_no_commands_once_it_runs(asked: Commands, desk: Desk) -> None:
    call = replace(a_call(), simulated=True)
    await desk.wants(call)
    (queued,) = await desk.store.due(1)
    assert await desk.store.claim(queued, "node-1")
    outcome = await asked.ask(Command(kind=Kind.HANGUP, call_id=call.call_id))
    assert outcome.result is Result.REFUSED
    assert "simulated" in outcome.detail


async def test_a_command_that_nobody_can_do_is_answered_in_time_and_never_done_late(
    asked: Commands, desk: Desk, processes: Processes
) -> None:
    call = a_call()
    await desk.wants(call)
    outcome = await asked.ask(Command(kind=Kind.HOLD, call_id=call.call_id), within=0.3)
    assert outcome.result is Result.GONE
    processes.calls.add(call.call_id)
    # Another one comes through, so the first would have been seen.
    await asked.ask(Command(kind=Kind.UNHOLD, call_id=call.call_id))
    assert [one.kind for one in processes.asked] == [Kind.UNHOLD]


async def test_a_command_of_an_earlier_node_is_not_done(
    asked: Commands, desk: Desk, processes: Processes
) -> None:
    processes.calls.add("c1")
    async with desk.database.writing() as connection:
        await connection.execute(
            insert(commands).values(
                id="old", call_id="c1", kind="hangup", body="", created_at=time.time() - 60
            )
        )
    await asked.ask(Command(kind=Kind.HOLD, call_id="c1"))
    assert [one.kind for one in processes.asked] == [Kind.HOLD]
