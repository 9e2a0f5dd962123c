"""The sample callflows do what they say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from callflows.canonical import parse_document
from callflows.endings import Cause
from callflows.simulator import Answers, Callee, Event, Refuses, Script, Transcript, simulate

SALES = "+31201234567"
DESK_2 = "sip:desk2@pbx.example.com"


@pytest.fixture
def samples(repository: Path) -> Path:
    return repository / "samples" / "callflows"


def run(sample: Path, script: Script) -> Transcript:
    return simulate(parse_document(sample.read_bytes()), script)


def test_greeting_and_voicemail(samples: Path) -> None:
    script = Script(speaks=((15.0, 25.0),), keys=((27.0, "#"),))
    transcript = run(samples / "greeting_and_voicemail.xml", script)
    assert set(transcript.outcomes.values()) == {"done"}
    assert transcript.details(Event.PLAYING)[-1] == "Thank you. Goodbye."
    assert transcript.times(Event.RECORDED) == (27.0,)
    assert transcript.ending.cause is Cause.HANGUP_STEP


@pytest.mark.parametrize(
    ("callees", "outcomes"),
    [
        ({SALES: Answers()}, {"colleague": "answered"}),
        ({SALES: Refuses(status=486)}, {"colleague": "busy", "sorry": "done", "message": "done"}),
        ({}, {"colleague": "no_answer", "sorry": "done", "message": "done"}),
    ],
)
def test_transfer_or_voicemail(
    samples: Path, callees: Mapping[str, Callee], outcomes: Mapping[str, str]
) -> None:
    transcript = run(samples / "transfer_or_voicemail.xml", Script(callees=callees))
    assert transcript.outcomes == outcomes
    assert len(transcript.times(Event.ANSWERED)) == 1


def test_hunt_group(samples: Path) -> None:
    flow = samples / "hunt_group.xml"
    assert run(flow, Script(callees={DESK_2: Answers()})).outcomes["desk"] == "answered"
    stood_in = run(flow, Script(callees={"+31207654321": Answers()}))
    assert stood_in.outcomes == {"welcome": "done", "desk": "no_answer", "standins": "answered"}
    assert run(flow, Script()).details(Event.PLAYING)[-1].startswith("All our colleagues are busy.")


def test_closed(samples: Path) -> None:
    transcript = run(samples / "closed.xml", Script())
    assert not transcript.times(Event.ANSWERED)
    assert transcript.details(Event.REJECTED) == ("480 Temporarily Unavailable",)


def test_every_sample_is_tried(samples: Path) -> None:
    tried = {"greeting_and_voicemail", "transfer_or_voicemail", "hunt_group", "closed"}
    assert tried <= {path.stem for path in samples.glob("*.xml")}
