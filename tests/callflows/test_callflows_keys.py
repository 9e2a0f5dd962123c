"""Keys, variables, jumps, machines, and callflows that go on elsewhere."""

from __future__ import annotations

import asyncio

import pytest

from callflows.canonical import to_canonical
from callflows.endings import Cause
from callflows.json_flow import from_json
from callflows.simulator import (
    Answers,
    Event,
    Script,
    SimulatedCall,
    Transcript,
    VirtualTimeLoop,
    simulate,
)
from tests.callflows.flows import NUMBER, flow, say, step

PAIR = {"onKeypressGoto": "one", "onKeypressVar": "choice"}


def condition(value: str) -> str:
    return f'<condition variable="choice" operator="==" value="{value}"/>'


MENU = flow(
    say("x" * 150, "ask", **PAIR),
    step("pause", "wait", length="10", **PAIR),
    step("hangup", "bye"),
    step("pause", "one", length="1").replace("</step>", condition("1") + "</step>"),
    step("pause", "two", length="1").replace("</step>", condition("2") + "</step>"),
    step("pause", "else", length="1"),
)


@pytest.mark.parametrize(
    ("keys", "outcomes"),
    [
        (((3.0, "1"),), {"ask": "done", "one": "done", "two": "skipped", "else": "done"}),
        (((15.0, "2"),), {"ask": "done", "wait": "done", "one": "skipped", "two": "done", "else": "done"}),
        (((3.0, "7"),), {"ask": "done", "one": "skipped", "two": "skipped", "else": "done"}),
        ((), {"ask": "done", "wait": "done", "bye": "done"}),
    ],
)
def test_a_menu(keys: tuple[tuple[float, str], ...], outcomes: dict[str, str]) -> None:
    assert simulate(MENU, Script(keys=keys)).outcomes == outcomes


def test_a_key_cuts_the_prompt_short_at_once() -> None:
    transcript = simulate(MENU, Script(keys=((3.0, "1"),)))
    assert transcript.times(Event.CUT_SHORT) == (3.0,)


def test_no_key_is_lost_between_two_steps_that_hear_keys() -> None:
    # The prompt ends at 10 s.
    for at in (9.9999, 10.0, 10.0001):
        assert simulate(MENU, Script(keys=((at, "1"),))).outcomes["one"] == "done", at


def entry(keys: str, **options: str) -> Transcript:
    """A caller who types, from second 1 on, a key each half second."""
    wanted = {"onKeypressGoto": "check", "onKeypressVar": "choice", **options}
    return simulate(
        flow(
            step("pause", "type", length="4", **wanted),
            step("pause", "missed", length="1"),
            step("pause", "check", length="1").replace("</step>", condition("123") + "</step>"),
        ),
        Script(keys=tuple((1 + index / 2, key) for index, key in enumerate(keys))),
    )


def test_several_keys_make_an_entry() -> None:
    transcript = entry("1234", maxNumKeys="3")
    assert transcript.outcomes == {"type": "done", "check": "done"}
    assert transcript.seconds == pytest.approx(3.0)


def test_the_end_key_ends_an_entry_and_is_no_part_of_it() -> None:
    assert entry("123#", maxNumKeys="9", endKey="#").outcomes["check"] == "done"


def test_who_stops_typing_has_typed_all() -> None:
    transcript = entry("123", maxNumKeys="9")
    assert transcript.outcomes == {"type": "done", "check": "done"}
    # The last key came at 2 s, and 5 s were waited, although the step itself was over at 4 s.
    assert transcript.seconds == pytest.approx(8.0)


def test_keys_pressed_while_nobody_hears_count_for_nothing() -> None:
    transcript = simulate(
        flow(step("pause", "deaf", length="2"), step("pause", "hears", length="2", onKeypressGoto="end"),
             step("pause", "next", length="1"), step("hangup", "end")),
        Script(keys=((1.0, "1"),)),
    )  # fmt: skip
    assert "next" in transcript.outcomes


def test_a_variable_alone_does_not_cut_the_step_short() -> None:
    transcript = simulate(
        flow(
            step("pause", "hears", length="5", onKeypressVar="choice"),
            step("pause", "check", length="1").replace("</step>", condition("1") + "</step>"),
        ),
        Script(keys=((1.0, "1"),)),
    )
    assert transcript.outcomes == {"hears": "done", "check": "done"}
    assert transcript.seconds == pytest.approx(6.0)


def test_what_was_typed_is_in_no_record() -> None:
    assert "123" not in "".join(
        happening.detail
        for happening in entry("123", maxNumKeys="3").happenings
        if happening.event is not Event.KEY
    )


def test_a_text_is_repeated() -> None:
    assert len(simulate(flow(say("Hello", repeat="3"))).times(Event.PLAYED)) == 3


@pytest.mark.parametrize(
    ("policy", "machine", "cause", "spoken_at"),
    [
        ("continue", True, Cause.END_OF_STEPS, 0.0),
        ("delay", True, Cause.END_OF_STEPS, 9.5),
        ("delay", False, Cause.END_OF_STEPS, 1.5),
        ("hangup", False, Cause.END_OF_STEPS, 1.5),
        ("hangup", True, Cause.MACHINE, None),
    ],
)
def test_machines_that_answer(policy: str, machine: bool, cause: Cause, spoken_at: float | None) -> None:
    transcript = simulate(
        flow(say("Hello", "first", ifMachine=policy), say("again", "second", ifMachine=policy)),
        Script(outgoing=True, machine=machine, announces=8.0),
    )
    assert transcript.ending.cause is cause
    first = transcript.times(Event.PLAYING)[:1]
    assert first == (() if spoken_at is None else (pytest.approx(spoken_at),))


def test_callers_are_people() -> None:
    transcript = simulate(flow(say("Hello", ifMachine="hangup")), Script(machine=True))
    assert transcript.ending.cause is Cause.END_OF_STEPS


def test_a_machine_that_answers_a_transfer_is_hung_up_on() -> None:
    transcript = simulate(
        flow(step("transfer", to=NUMBER, ifMachine="hangup"), say("Sorry.")),
        Script(callees={NUMBER: Answers(machine=True)}),
    )
    assert transcript.outcomes == {"transfer": "no_answer", "say": "done"}
    assert transcript.times(Event.CALLEE_RELEASED)


def test_a_transfer_does_not_wait_for_the_end_of_an_announcement() -> None:
    transcript = simulate(
        flow(step("transfer", to=NUMBER, ifMachine="delay")),
        Script(callees={NUMBER: Answers(machine=True, talks=5)}),
    )
    assert transcript.outcomes == {"transfer": "answered"}


@pytest.mark.parametrize(("record", "count"), [("in", 1), ("out", 1), ("both", 2)])
def test_the_sides_of_a_transfer_are_recorded(record: str, count: int) -> None:
    transcript = simulate(
        flow(step("transfer", to=NUMBER, record=record)), Script(callees={NUMBER: Answers(talks=10)})
    )
    assert len(transcript.details(Event.RECORDED)) == count
    assert all("10.000 s" in said for said in transcript.details(Event.RECORDED))


@pytest.mark.parametrize("script", [Script(), Script(hangs_up_at=2.0), Script(stopped_at=2.0)])
def test_the_whole_call_is_recorded_however_it_ends(script: Script) -> None:
    calls = from_json(
        {"record": True, "steps": [{"action": "say", "options": {"payload": "x" * 60, "language": "en-GB"}}]}
    )
    (said,) = simulate(calls, script).details(Event.RECORDED)
    assert said.startswith("call recording 1, ")
    assert "failed" not in said


def test_the_longest_duration_of_the_callflow_counts() -> None:
    calls = from_json({"maxDuration": 3, "steps": [{"action": "pause", "options": {"length": 60}}]})
    transcript = simulate(calls)
    assert transcript.ending.cause is Cause.MAX_SECONDS
    assert transcript.seconds == pytest.approx(3.0)


OTHER_FLOW = to_canonical(
    flow(step("pause", "there", length="1").replace("</step>", condition("1") + "</step>"))
)


def test_another_callflow_takes_over_with_the_variables() -> None:
    transcript = simulate(
        flow(
            step("pause", "ask", length="2", onKeypressVar="choice"),
            step("fetchCallFlow", "fetch", url="https://example.com/x"),
            step("pause", "never", length="1"),
        ),
        Script(keys=((1.0, "1"),), documents={"https://example.com/x": OTHER_FLOW}),
    )
    assert transcript.outcomes == {"ask": "done", "fetch": "done", "there": "done"}


def test_a_recording_that_is_finished_goes_on_elsewhere() -> None:
    transcript = simulate(
        flow(step("record", maxLength="2", onFinish="https://example.com/x", transcribe="true")),
        Script(documents={"https://example.com/x": OTHER_FLOW}, variables={"choice": "1"}),
    )
    assert transcript.outcomes == {"record": "done", "there": "done"}
    assert transcript.details(Event.TRANSCRIBED) == ("recording 1, any language",)


def test_a_callflow_that_cannot_be_had_ends_the_call() -> None:
    transcript = simulate(flow(step("record", maxLength="2", onFinish="https://example.com/x"), say("never")))
    assert transcript.ending.cause is Cause.NO_FLOW
    assert "https://example.com/x" in transcript.ending.reason


def test_a_callflow_is_replaced_while_it_runs() -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:

        async def story() -> Transcript:
            call = SimulatedCall(flow(say("x" * 300, "old"), step("pause", "rest", length="9")))
            loop = asyncio.get_running_loop()
            loop.call_later(2, call.interpreter.replace, flow(step("pause", "new", length="1")))
            return await call.run()

        transcript = runner.run(story())
    assert transcript.outcomes == {"old": "cancelled", "new": "done"}
    assert transcript.seconds == pytest.approx(3.0)
    assert any("another callflow took over" in one for one in transcript.details(Event.STEP_FINISHED))


def test_keys_are_sent() -> None:
    transcript = simulate(flow(step("sendKeys", keys="12#")))
    assert transcript.details(Event.KEYS_SENT) == ("12#",)
    assert transcript.outcomes == {"sendKeys": "done"}


@pytest.mark.parametrize(("first", "further", "ends"), [(None, 20, 20.0), (10, 20, 10.0), (20, 10, 10.0)])
def test_a_callflow_that_follows_may_shorten_the_call_but_not_lengthen_it(
    first: int | None, further: int, ends: float
) -> None:
    there = from_json({"maxDuration": further, "steps": [{"action": "pause", "options": {"length": 100}}]})
    fetching = from_json(
        {
            "maxDuration": first,
            "steps": [{"action": "fetchCallFlow", "options": {"url": "https://example.com/x"}}],
        }
    )
    script = Script(documents={"https://example.com/x": to_canonical(there)})
    transcript = simulate(fetching, script)
    assert transcript.ending.cause is Cause.MAX_SECONDS
    assert transcript.seconds == pytest.approx(ends)
