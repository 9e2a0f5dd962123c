"""What each step does, on virtual time."""

from __future__ import annotations

import pytest

from callflows.endings import Cause
from callflows.model import Silence, Words
from callflows.simulator import Answers, Event, Refuses, Rings, Script, Transcript, simulate
from callflows.steps import Say
from callflows.steps.say import Voice
from tests.callflows.flows import NUMBER, OTHER, THIRD, flow, say, step

FIFTEEN_SIGNS = "x" * 15
"""Speech of one second."""


def order(transcript: Transcript) -> list[Event]:
    """What happened, the steps' own beginnings and ends left out."""
    own = (Event.STEP_STARTED, Event.STEP_FINISHED)
    return [happening.event for happening in transcript.happenings if happening.event not in own]


class TestSay:
    def test_answers_and_speaks(self) -> None:
        transcript = simulate(flow(say(FIFTEEN_SIGNS)))
        assert order(transcript) == [Event.ANSWERED, Event.PLAYING, Event.PLAYED, Event.HUNG_UP]
        assert transcript.seconds == 1.0
        assert transcript.outcomes == {"say": "done"}

    def test_early_speaks_before_the_answer(self) -> None:
        transcript = simulate(flow(say("Closed.", early="true"), step("hangup", reason="busy")))
        assert order(transcript) == [Event.EARLY_MEDIA, Event.PLAYING, Event.PLAYED, Event.REJECTED]
        assert transcript.details(Event.REJECTED) == ("486 Busy Here",)

    def test_early_after_an_answer_is_ordinary(self) -> None:
        transcript = simulate(flow(say("One", id="one"), say("Two", id="two", early="true")))
        assert transcript.details(Event.PLAYING) == ("One", "Two")
        assert not transcript.times(Event.EARLY_MEDIA)

    def test_early_media_then_an_answer(self) -> None:
        transcript = simulate(flow(say("One", id="one", early="true"), say("Two", id="two")))
        assert order(transcript)[:4] == [Event.EARLY_MEDIA, Event.PLAYING, Event.PLAYED, Event.ANSWERED]

    def test_the_utterance_carries_speed_and_marks(self) -> None:
        words = (Words(text="a"), Silence(seconds=1.0), Words(text="b", rate=0.5), Words(text="c", rate=1.5))
        said = Say(id="x", language="en-GB", text=words, voice=Voice.MALE, speed=1.5)
        assert said.utterance.voice == "male"
        assert said.utterance.parts == (
            Words(text="a", rate=1.5),
            Silence(seconds=1.0),
            Words(text="b", rate=0.75),
            Words(text="c", rate=2.0),
        )


class TestPlay:
    def test_plays_its_sources_in_order(self) -> None:
        transcript = simulate(flow(step("play", source=("a.wav", "https://example.com/b.mp3"))))
        assert transcript.details(Event.PLAYING) == ("a.wav", "https://example.com/b.mp3")
        assert transcript.times(Event.PLAYING) == (0.0, 3.0)

    def test_a_source_that_cannot_be_had_fails_the_step_and_no_other(self) -> None:
        transcript = simulate(
            flow(step("play", source=("a.wav", "b.wav", "c.wav")), say("Sorry.")),
            Script(unavailable=frozenset({"b.wav"})),
        )
        assert transcript.details(Event.PLAYING) == ("a.wav", "Sorry.")
        assert transcript.outcomes == {"play": "failed", "say": "done"}
        assert "b.wav could not be had" in transcript.details(Event.STEP_FINISHED)[0]


class TestPause:
    def test_does_not_answer(self) -> None:
        transcript = simulate(flow(step("pause", length="2.5")))
        assert order(transcript) == [Event.RINGING, Event.REJECTED]
        assert transcript.seconds == 2.5

    def test_in_an_answered_call_is_silence(self) -> None:
        transcript = simulate(flow(say(FIFTEEN_SIGNS), step("pause", length="2")))
        assert not transcript.times(Event.RINGING)
        assert transcript.seconds == 3.0


class TestRecord:
    def test_silence_ends_it(self) -> None:
        script = Script(speaks=((0.5, 3.0), (4.0, 6.0)))
        transcript = simulate(flow(step("record", timeout="2")), script)
        assert transcript.seconds == 8.0
        assert transcript.details(Event.RECORDED) == ("recording 1, 8.000 s",)
        assert transcript.details(Event.STEP_FINISHED)[0].endswith("done: 8.0 s; 2 s of silence")

    def test_without_timeout_silence_does_not_end_it(self) -> None:
        transcript = simulate(flow(step("record", maxLength="60")))
        assert transcript.seconds == 60.0
        assert "the longest time was reached" in transcript.details(Event.STEP_FINISHED)[0]

    @pytest.mark.parametrize(
        ("finish", "seconds"), [("#", 3.0), ("any", 1.0), ("none", 30.0), ("45*", 2.0), ("9", 30.0)]
    )
    def test_a_key_ends_it(self, finish: str, seconds: float) -> None:
        script = Script(keys=((1.0, "1"), (2.0, "5"), (3.0, "#")))
        transcript = simulate(flow(step("record", maxLength="30", finishOnKey=finish)), script)
        assert transcript.seconds == seconds

    def test_which_key_it_was_stays_unsaid(self) -> None:
        transcript = simulate(flow(step("record", finishOnKey="7")), Script(keys=((1.0, "7"),)))
        assert transcript.details(Event.STEP_FINISHED)[0].endswith("1.0 s; a key was pressed")

    def test_the_beep_is_not_recorded(self) -> None:
        transcript = simulate(flow(step("record", maxLength="5", beep="true")))
        assert order(transcript)[:4] == [Event.ANSWERED, Event.PLAYING, Event.PLAYED, Event.RECORDING]
        assert transcript.details(Event.RECORDED) == ("recording 1, 5.000 s",)

    def test_a_caller_who_hangs_up_has_left_the_message(self) -> None:
        transcript = simulate(flow(step("record")), Script(hangs_up_at=12.3))
        assert transcript.outcomes == {"record": "done"}
        assert transcript.details(Event.STEP_FINISHED)[0].endswith("done: 12.3 s; The caller hung up.")
        assert transcript.details(Event.RECORDED) == ("recording 1, 12.300 s",)

    def test_a_caller_who_hangs_up_at_the_beep_has_left_none(self) -> None:
        transcript = simulate(flow(step("record", beep="true")), Script(hangs_up_at=0.2))
        assert transcript.outcomes == {"record": "cancelled"}
        assert transcript.details(Event.RECORDED) == ("recording 1, failed",)
        assert not transcript.times(Event.RECORDING)

    def test_each_has_a_place_of_its_own(self) -> None:
        transcript = simulate(flow(step("record", "a", maxLength="1"), step("record", "b", maxLength="2")))
        assert transcript.details(Event.RECORDED) == ("recording 1, 1.000 s", "recording 2, 2.000 s")


class TestTransfer:
    def test_answers_the_caller_when_the_callee_answers(self) -> None:
        script = Script(callees={NUMBER: Answers(after=4.0, talks=20.0)})
        transcript = simulate(flow(step("transfer", to=NUMBER), say("never")), script)
        assert order(transcript) == [
            Event.RINGING,
            Event.DIALLED,
            Event.CALLEE_ANSWERED,
            Event.ANSWERED,
            Event.CALLEE_HUNG_UP,
            Event.HUNG_UP,
        ]
        assert transcript.times(Event.ANSWERED) == (4.0,)
        assert transcript.seconds == 24.0
        assert transcript.outcomes == {"transfer": "answered"}
        assert transcript.ending.cause is Cause.CALLEE_HUNG_UP
        assert transcript.ending.reason == f"{NUMBER} hung up."

    def test_a_caller_who_hangs_up_releases_the_callee(self) -> None:
        script = Script(callees={NUMBER: Answers(after=4.0, talks=None)}, hangs_up_at=9.0)
        transcript = simulate(flow(step("transfer", to=NUMBER)), script)
        assert order(transcript)[-2:] == [Event.CALLER_HUNG_UP, Event.CALLEE_RELEASED]
        assert transcript.outcomes == {"transfer": "answered"}
        assert transcript.ending.cause is Cause.CALLER_GONE

    def test_a_caller_who_hangs_up_while_it_rings_cancels(self) -> None:
        transcript = simulate(flow(step("transfer", to=NUMBER)), Script(hangs_up_at=9.0))
        assert order(transcript)[-2:] == [Event.CALLER_HUNG_UP, Event.CALLEE_CANCELLED]
        assert transcript.outcomes == {"transfer": "cancelled"}

    @pytest.mark.parametrize(
        ("status", "outcome"),
        [
            (486, "busy"),
            (600, "busy"),
            (603, "busy"),
            (480, "no_answer"),
            (408, "no_answer"),
            (404, "failed"),
            (503, "failed"),
        ],
    )
    def test_a_refusal_goes_on_with_the_next_step(self, status: int, outcome: str) -> None:
        script = Script(callees={NUMBER: Refuses(status=status, after=1.0)})
        transcript = simulate(flow(step("transfer", to=NUMBER), say("Sorry.")), script)
        assert transcript.outcomes == {"transfer": outcome, "say": "done"}
        assert f"{outcome}: {status} " in transcript.details(Event.STEP_FINISHED)[0]

    @pytest.mark.parametrize(("options", "seconds"), [({}, 30.0), ({"timeout": "12.5"}, 12.5)])
    def test_nobody_answers(self, options: dict[str, str], seconds: float) -> None:
        transcript = simulate(flow(step("transfer", to=NUMBER, **options), say("Sorry.")))
        assert transcript.times(Event.CALLEE_CANCELLED) == (seconds,)
        assert transcript.outcomes == {"transfer": "no_answer", "say": "done"}

    def test_a_transfer_that_is_all_there_is_passes_the_refusal_on(self) -> None:
        script = Script(callees={NUMBER: Refuses(status=486)})
        transcript = simulate(flow(step("transfer", to=NUMBER)), script)
        assert transcript.details(Event.REJECTED) == ("486 Busy Here",)
        assert transcript.ending.cause is Cause.END_OF_STEPS


class TestDial:
    TARGETS = (NUMBER, OTHER, THIRD)

    def test_at_once_the_first_to_answer_wins(self) -> None:
        script = Script(callees={NUMBER: Answers(after=9.0), OTHER: Answers(after=5.0), THIRD: Rings()})
        transcript = simulate(flow(step("dial", to=self.TARGETS)), script)
        assert transcript.times(Event.DIALLED) == (0.0, 0.0, 0.0)
        assert transcript.details(Event.CALLEE_CANCELLED) == (NUMBER, THIRD)
        assert transcript.times(Event.CALLEE_CANCELLED) == (5.0, 5.0)
        assert transcript.details(Event.CALLEE_ANSWERED) == (OTHER,)
        assert transcript.outcomes == {"dial": "answered"}
        assert transcript.ending.reason == f"{OTHER} hung up."

    def test_at_once_a_refusal_leaves_the_others_ringing(self) -> None:
        script = Script(callees={NUMBER: Refuses(status=486), OTHER: Answers(after=5.0)})
        transcript = simulate(flow(step("dial", to=self.TARGETS)), script)
        assert transcript.details(Event.CALLEE_ANSWERED) == (OTHER,)

    def test_at_once_a_refusal_for_everywhere_ends_it(self) -> None:
        script = Script(callees={NUMBER: Refuses(status=600, after=1.0), OTHER: Answers(after=5.0)})
        transcript = simulate(flow(step("dial", to=self.TARGETS)), script)
        assert transcript.outcomes == {"dial": "busy"}
        assert transcript.seconds == 1.0

    def test_the_best_refusal_counts(self) -> None:
        callees = {NUMBER: Refuses(status=503), OTHER: Refuses(status=486), THIRD: Refuses(status=302)}
        transcript = simulate(flow(step("dial", to=self.TARGETS[:2])), Script(callees=callees))
        assert transcript.outcomes == {"dial": "busy"}
        assert transcript.details(Event.REJECTED) == ("486 Busy Here",)

    def test_one_after_another_each_has_its_time(self) -> None:
        script = Script(callees={NUMBER: Refuses(status=486, after=2.0), THIRD: Answers(after=4.0)})
        transcript = simulate(flow(step("dial", to=self.TARGETS, mode="serial", timeout="10")), script)
        assert transcript.times(Event.DIALLED) == (0.0, 2.0, 12.0)
        assert transcript.details(Event.CALLEE_ANSWERED) == (THIRD,)
        assert transcript.times(Event.ANSWERED) == (16.0,)

    def test_at_once_all_have_one_time(self) -> None:
        transcript = simulate(flow(step("dial", to=self.TARGETS, timeout="10"), say("Sorry.")))
        assert transcript.times(Event.CALLEE_CANCELLED) == (10.0, 10.0, 10.0)
        assert transcript.outcomes == {"dial": "no_answer", "say": "done"}


class TestHangup:
    @pytest.mark.parametrize(
        ("reason", "said"),
        [
            ({}, "603 Decline"),
            ({"reason": "busy"}, "486 Busy Here"),
            ({"reason": "rejected"}, "603 Decline"),
            ({"reason": "unavailable"}, "480 Temporarily Unavailable"),
            ({"reason": "forbidden"}, "403 Forbidden"),
            ({"reason": "notFound"}, "404 Not Found"),
            ({"reason": "gone"}, "410 Gone"),
            ({"reason": "overloaded"}, "503 Service Unavailable"),
            ({"reason": "484"}, "484 Address Incomplete"),
            ({"reason": "499"}, "499 Request Failure"),
        ],
    )
    def test_refuses_an_unanswered_call(self, reason: dict[str, str], said: str) -> None:
        transcript = simulate(flow(step("hangup", **reason)))
        assert order(transcript) == [Event.REJECTED]
        assert transcript.details(Event.REJECTED) == (said,)
        assert transcript.ending.cause is Cause.HANGUP_STEP
        assert transcript.ending.reason == "The hangup step hangup ended the call."

    def test_says_goodbye_in_an_answered_one(self) -> None:
        transcript = simulate(flow(say("Bye."), step("hangup", reason="busy"), say("never", id="never")))
        assert order(transcript)[-1] is Event.HUNG_UP
        assert transcript.outcomes == {"say": "done", "hangup": "done"}
