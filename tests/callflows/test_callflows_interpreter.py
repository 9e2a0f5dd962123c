"""How the interpreter prepares sounds, meets the needs of steps, and treats what cannot be had."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import ClassVar

import pytest

from callflows.build import Callflow
from callflows.endings import Cause
from callflows.interpreter import Interpreter
from callflows.model import Utterance, Words
from callflows.ports import CallGone, Prompt, Unavailable
from callflows.prompts import Prompts
from callflows.simulation.sounds import SimulatedSounds
from callflows.simulator import Event, Refuses, Script, SimulatedCall, Transcript, VirtualTimeLoop, simulate
from callflows.sounds import Beep, Media, Speech
from callflows.steps.base import Call, Need, Outcome, Step, Word
from tests.callflows.flows import NUMBER, flow, say, step

SECOND = "x" * 15
"""Speech of one second."""


class TestTheFirstSound:
    """It is made before the answer, so that speech follows at once; but the answer does not wait long."""

    def times(self, making: float) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
        transcript = simulate(flow(say(SECOND)), Script(making_seconds=making))
        return tuple(transcript.times(event) for event in (Event.RINGING, Event.ANSWERED, Event.PLAYING))  # type: ignore[return-value]

    def test_ready_at_once(self) -> None:
        assert self.times(0.0) == ((), (0.0,), (0.0,))

    def test_ready_soon(self) -> None:
        assert self.times(0.05) == ((), (0.05,), (0.05,))

    def test_the_caller_hears_ringing_when_it_takes_a_moment(self) -> None:
        assert self.times(0.5) == ((0.1,), (0.5,), (0.5,))

    def test_the_answer_comes_before_a_sound_that_takes_long(self) -> None:
        assert self.times(5.0) == ((0.1,), (1.0,), (5.0,))

    def test_early_media_likewise(self) -> None:
        transcript = simulate(flow(say(SECOND, early="true")), Script(making_seconds=0.5))
        assert transcript.times(Event.EARLY_MEDIA) == transcript.times(Event.PLAYING) == (0.5,)

    def test_a_recording_answers_at_once(self) -> None:
        transcript = simulate(flow(step("record", maxLength="1"), say(SECOND)), Script(making_seconds=5.0))
        assert transcript.times(Event.ANSWERED) == (0.0,)


class TestPreparing:
    def test_there_is_no_gap_between_prompts(self) -> None:
        transcript = simulate(
            flow(say(SECOND * 3, "a"), say(SECOND * 2, "b"), step("play", source=("c.wav", "d.wav"))),
            Script(making_seconds=0.9),
        )
        assert transcript.times(Event.PLAYING) == (0.9, 3.9, 5.9, 8.9)

    def test_the_next_prompt_is_made_during_other_steps(self) -> None:
        transcript = simulate(
            flow(step("transfer", to=NUMBER, timeout="10"), step("pause", length="1"), say(SECOND)),
            Script(making_seconds=9.0),
        )
        assert transcript.times(Event.PLAYING) == (11.0,)

    def test_only_one_is_made_ahead(self) -> None:
        transcript = simulate(
            flow(say(SECOND * 10, "a"), say(SECOND, "b"), say(SECOND, "c")), Script(making_seconds=5.0)
        )
        # b was made while a played; c was begun only when b was taken.
        assert transcript.times(Event.PLAYING) == (5.0, 15.0, 20.0)

    def test_what_fails_does_not_hold_up_what_follows(self) -> None:
        transcript = simulate(
            flow(step("play", source=("a.wav", "b.wav")), say(SECOND, "x"), say("two", "y")),
            Script(unavailable=frozenset({"a.wav", SECOND})),
        )
        assert transcript.outcomes == {"play": "failed", "x": "failed", "y": "done"}
        assert transcript.details(Event.PLAYING) == ("two",)

    def test_a_sound_that_never_comes_is_given_up(self) -> None:
        transcript = simulate(flow(say(SECOND), step("record", maxLength="1")), Script(making_seconds=60.0))
        assert transcript.outcomes == {"say": "failed", "record": "done"}
        assert "not ready within 15 seconds" in transcript.details(Event.STEP_FINISHED)[0]
        assert transcript.seconds == 16.0

    async def test_a_sound_that_was_not_expected_is_made_on_demand(self) -> None:
        class Sounds:
            def __init__(self) -> None:
                self.made: list[str] = []

            async def speech(self, utterance: Utterance) -> Prompt:
                raise Unavailable("no voice")

            async def media(self, source: str) -> Prompt:
                self.made.append(source)
                await asyncio.sleep(0)
                return Prompt(path=source, seconds=1)

            async def beep(self) -> Prompt:
                return Prompt(path="beep", seconds=1)

        sounds = Sounds()
        hello = Speech(utterance=Utterance(language="en", voice="male", parts=(Words(text="hello"),)))
        async with Prompts(sounds, [Media(source="a"), hello, Beep()]) as prompts:
            assert (await prompts.take(Media(source="z"))).path == "z"
            assert (await prompts.take(Media(source="a"))).path == "a"
            with pytest.raises(Unavailable, match="no voice"):
                await prompts.take(hello)
            assert await prompts.ready(1.0)
            assert (await prompts.take(Beep())).path == "beep"
            assert await prompts.ready(1.0), "nothing is expected any more"
        assert sounds.made == ["z", "a"], "what was begun ahead was dropped, and begun again"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlyUnanswered(Step):
    """Needs a call that nobody answered."""

    action: ClassVar = "only_unanswered"
    options: ClassVar = {}

    @property
    def needs(self) -> Need:
        return Need.UNANSWERED

    async def run(self, call: Call) -> Outcome:
        await asyncio.sleep(0)
        return Outcome(word=Word.DONE)


def test_a_step_that_needs_an_unanswered_call() -> None:
    spoken = flow(say("x")).steps
    transcript = simulate(Callflow(steps=(OnlyUnanswered(id="a"), *spoken, OnlyUnanswered(id="b"))))
    assert transcript.outcomes == {"a": "done", "say": "done", "b": "skipped"}


def test_a_stop_before_the_start_runs_no_step() -> None:
    async def call() -> Transcript:
        simulated = SimulatedCall(flow(say("never")))
        simulated.interpreter.stop("The node shuts down.")
        simulated.interpreter.stop("A second reason counts no more.")
        return await simulated.run()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        transcript = runner.run(call())
    assert transcript.outcomes == {}
    assert transcript.ending.cause is Cause.STOPPED
    assert transcript.ending.reason == "The node shuts down."
    assert transcript.details(Event.REJECTED) == ("503 Service Unavailable",)


def test_a_caller_who_has_gone_before_the_start() -> None:
    async def call() -> Transcript:
        simulated = SimulatedCall(flow(say("never")))
        simulated.line.caller_hangs_up()
        return await simulated.run()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        transcript = runner.run(call())
    assert transcript.ending.cause is Cause.CALLER_GONE
    assert not transcript.times(Event.PLAYING)


@pytest.mark.parametrize("problem", [CallGone("The caller was faster."), OSError("the socket broke")])
def test_a_goodbye_that_fails_changes_no_ending(problem: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    async def call() -> tuple[Cause, str]:
        simulated = SimulatedCall(flow(say("x")))

        async def hangup() -> None:
            await asyncio.sleep(0)
            raise problem

        monkeypatch.setattr(simulated.line, "hangup", hangup)
        ending = (await simulated.run()).ending
        return ending.cause, ending.reason

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(call()) == (Cause.END_OF_STEPS, "The callflow came to its end.")


def test_a_bug_in_what_makes_sounds_ends_the_call(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(self: object, source: str) -> Prompt:
        await asyncio.sleep(0)
        raise ZeroDivisionError(source)

    monkeypatch.setattr(SimulatedSounds, "media", broken)
    transcript = simulate(flow(step("play", source="a.wav"), say("never")))
    assert transcript.ending.cause is Cause.INTERNAL_ERROR
    assert transcript.outcomes == {"play": "failed"}
    assert [record.message for record in caplog.records] == ["a bug ended the call"]


def test_steps_are_counted_from_one() -> None:
    transcript = simulate(
        flow(step("transfer", "one", to=NUMBER), step("pause", "two", length="1"), say("x", "three")),
        Script(callees={NUMBER: Refuses(status=404)}),
    )
    assert transcript.details(Event.STEP_STARTED) == ("1 one (transfer)", "2 two (pause)", "3 three (say)")
    assert transcript.details(Event.STEP_FINISHED) == (
        "1 one (transfer) failed: 404 Not Found",
        "2 two (pause) done",
        "3 three (say) done",
    )


def test_the_interpreter_runs_on_the_public_protocols_alone() -> None:
    # What a live call provides is checked by the type checker where the interpreter is made; here, that the
    # simulator asks for nothing more.
    assert set(Interpreter.__init__.__annotations__) == {
        "flow",
        "line",
        "sounds",
        "recordings",
        "flows",
        "variables",
        "outgoing",
        "diary",
        "max_seconds",
        "return",
    }
