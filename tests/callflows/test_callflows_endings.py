"""Every way a call can end, and that each leaves nothing behind at whatever moment it comes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import pytest

from callflows.build import Callflow
from callflows.endings import UNANSWERED, Cause
from callflows.simulator import (
    Answers,
    Callee,
    Event,
    Refuses,
    Script,
    SimulatedCall,
    Transcript,
    VirtualTimeLoop,
    simulate,
)
from callflows.steps.base import Call, Need, Outcome, Step
from tests.callflows.flows import NUMBER, OTHER, flow, say, step


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken(Step):
    """A step with a bug."""

    answered: bool = False

    action: ClassVar = "broken"
    options: ClassVar = {}

    @property
    def needs(self) -> Need:
        return Need.ANSWERED if self.answered else Need.NOTHING

    async def run(self, call: Call) -> Outcome:
        await asyncio.sleep(1)
        nothing: Mapping[str, Outcome] = {}
        return nothing["missing"]


PAUSE = flow(step("pause", length="20"))
TALK = flow(say("x" * 300))

ENDINGS: list[tuple[Callflow, Script, Cause, Event, str]] = [
    (PAUSE, Script(hangs_up_at=5), Cause.CALLER_GONE, Event.CALLER_HUNG_UP, ""),
    (TALK, Script(hangs_up_at=5), Cause.CALLER_GONE, Event.CALLER_HUNG_UP, ""),
    (
        flow(step("transfer", to=NUMBER)),
        Script(callees={NUMBER: Answers()}),
        Cause.CALLEE_HUNG_UP,
        Event.HUNG_UP,
        "",
    ),
    (flow(step("hangup")), Script(), Cause.HANGUP_STEP, Event.REJECTED, "603 Decline"),
    (flow(say("Bye."), step("hangup")), Script(), Cause.HANGUP_STEP, Event.HUNG_UP, ""),
    (PAUSE, Script(), Cause.END_OF_STEPS, Event.REJECTED, "480 Temporarily Unavailable"),
    (TALK, Script(), Cause.END_OF_STEPS, Event.HUNG_UP, ""),
    (
        flow(say("Hello.", ifMachine="hangup")),
        Script(outgoing=True, machine=True),
        Cause.MACHINE,
        Event.HUNG_UP,
        "",
    ),
    (
        flow(step("pause", "round", length="0.1", onKeypressGoto="round"), step("hangup")),
        Script(keys=tuple((index / 50, "1") for index in range(2500))),
        Cause.TOO_MANY_STEPS,
        Event.REJECTED,
        "480 Temporarily Unavailable",
    ),
    (
        flow(step("fetchCallFlow", url="https://example.com/")),
        Script(),
        Cause.NO_FLOW,
        Event.REJECTED,
        "480 Temporarily Unavailable",
    ),
    (PAUSE, Script(max_seconds=5), Cause.MAX_SECONDS, Event.REJECTED, "480 Temporarily Unavailable"),
    (TALK, Script(max_seconds=5), Cause.MAX_SECONDS, Event.HUNG_UP, ""),
    (PAUSE, Script(stopped_at=5), Cause.STOPPED, Event.REJECTED, "503 Service Unavailable"),
    (TALK, Script(stopped_at=5), Cause.STOPPED, Event.HUNG_UP, ""),
    (
        Callflow(steps=(Broken(id="bug"),)),
        Script(),
        Cause.INTERNAL_ERROR,
        Event.REJECTED,
        "500 Server Internal Error",
    ),
    (Callflow(steps=(Broken(id="bug", answered=True),)), Script(), Cause.INTERNAL_ERROR, Event.HUNG_UP, ""),
]


@pytest.mark.parametrize(("calls", "script", "cause", "last", "detail"), ENDINGS)
def test_ending(calls: Callflow, script: Script, cause: Cause, last: Event, detail: str) -> None:
    transcript = simulate(calls, script)
    assert transcript.ending.cause is cause
    assert transcript.ending.reason.endswith(".")
    parting = (Event.HUNG_UP, Event.REJECTED, Event.CALLER_HUNG_UP)
    partings = [happening for happening in transcript.happenings if happening.event in parting]
    assert [(parted.event, parted.detail) for parted in partings] == [(last, detail)]


def test_every_cause_is_tried_and_has_a_status() -> None:
    assert {cause for _, _, cause, _, _ in ENDINGS} == set(Cause)
    assert set(UNANSWERED) == set(Cause) - {Cause.CALLER_GONE}


@pytest.mark.parametrize(
    ("status", "relayed"),
    [
        (486, "486 Busy Here"),
        (603, "603 Decline"),
        (404, "404 Not Found"),
        (408, "480 Temporarily Unavailable"),
        (407, "480 Temporarily Unavailable"),
        (302, "480 Temporarily Unavailable"),
    ],
)
def test_an_unanswered_caller_learns_how_the_last_dial_went(status: int, relayed: str) -> None:
    script = Script(callees={OTHER: Refuses(status=500), NUMBER: Refuses(status=status)})
    transcript = simulate(
        flow(step("transfer", "a", to=OTHER), step("transfer", "b", to=NUMBER), step("pause", length="1")),
        script,
    )
    assert transcript.details(Event.REJECTED) == (relayed,)


def test_the_step_under_way_is_written_down_with_the_reason() -> None:
    transcript = simulate(TALK, Script(stopped_at=5))
    assert transcript.details(Event.STEP_FINISHED) == ("1 say (say) cancelled: An operator ended the call.",)
    assert transcript.times(Event.STEP_FINISHED) == (5.0,)


def test_a_bug_is_logged_once_and_named_in_the_diary(caplog: pytest.LogCaptureFixture) -> None:
    transcript = simulate(Callflow(steps=(Broken(id="bug"), Broken(id="next"))))
    assert transcript.details(Event.STEP_FINISHED) == ("1 bug (broken) failed: internal error",)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info
    assert record.exc_info[0] is KeyError


# Interference at every moment: each time at which something happens when nobody interferes, and each turn of
# the event loop from there on until the callflow has settled.

TURNS = 25

EVENTFUL = flow(
    say("Welcome.", early="true"),
    step("play", source=("a.wav", "b.wav")),
    step("dial", "group", to=(NUMBER, OTHER), timeout="10"),
    step("pause", length="1"),
    step("record", timeout="2", maxLength="9", finishOnKey="#", beep="true"),
    step("dial", "hunt", to=(NUMBER, OTHER, "sip:third@example.com"), mode="serial", timeout="5"),
    step("hangup"),
)
CALLEES: dict[str, Callee] = {NUMBER: Refuses(status=486), "sip:third@example.com": Answers(after=2, talks=4)}
SCRIPT = Script(callees=CALLEES, making_seconds=0.7, keys=((20.0, "1"),), speaks=((19.0, 21.0),))

Interference = Callable[[SimulatedCall], None]


def interfered(calls: Callflow, at: float, turns: int, interfere: Interference) -> Transcript:
    async def call() -> Transcript:
        simulated = SimulatedCall(calls, SCRIPT)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(simulated.run())
            await asyncio.sleep(at)
            for _ in range(turns):
                await asyncio.sleep(0)
            interfere(simulated)
        return running.result()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(call())


def moments() -> list[float]:
    undisturbed = simulate(EVENTFUL, SCRIPT)
    assert undisturbed.ending.cause is Cause.CALLEE_HUNG_UP
    assert set(undisturbed.outcomes) == {"say", "play", "group", "pause", "record", "hunt"}
    return sorted({happening.at for happening in undisturbed.happenings})


def hang_up(simulated: SimulatedCall) -> None:
    simulated.line.caller_hangs_up()


def stop(simulated: SimulatedCall) -> None:
    simulated.interpreter.stop("Stopped.")


@pytest.mark.parametrize(("interfere", "cause"), [(hang_up, Cause.CALLER_GONE), (stop, Cause.STOPPED)])
@pytest.mark.parametrize("at", moments())
def test_at_every_moment_nothing_is_left_running(at: float, interfere: Interference, cause: Cause) -> None:
    last = at == moments()[-1]
    for turns in range(TURNS):
        transcript = interfered(EVENTFUL, at, turns, interfere)
        assert transcript.ending.cause is cause or last
        assert transcript.seconds == at, "an ending takes no time"


@pytest.mark.parametrize("at", moments())
def test_a_call_process_that_cancels_the_run_leaves_nothing_running(at: float) -> None:
    async def call(turns: int) -> None:
        running = asyncio.create_task(SimulatedCall(EVENTFUL, SCRIPT).run())
        await asyncio.sleep(at)
        for _ in range(turns):
            await asyncio.sleep(0)
        running.cancel()
        # SimulatedCall.run raises RuntimeError instead when anything is left.
        (result,) = await asyncio.gather(running, return_exceptions=True)
        assert isinstance(result, asyncio.CancelledError | Transcript)

    for turns in range(TURNS):
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(call(turns))
