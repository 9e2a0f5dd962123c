"""What a running callflow has from its parent: further callflows, transcriptions, places to record."""

from __future__ import annotations

import pytest

from tests.phone import phone
from tests.pool.conftest import GREET, MakeWorld
from voice.records import CallEnded, RecordingDone, RecordingStarted, StepFinished

FETCH = '<step id="f" action="fetchCallFlow"><url>https://example.com/{}</url></step>'
RECORD = (
    '<step id="r" action="record"><maxLength>1</maxLength><transcribe>true</transcribe>'
    "<transcribeLanguage>en-US</transcribeLanguage>{}</step>"
)


def document(*steps: str) -> str:
    return f"<callflow><steps>{''.join(steps)}</steps></callflow>"


async def test_a_callflow_goes_on_with_another_that_is_fetched(world: MakeWorld) -> None:
    async with world() as here:
        here.flow.document = GREET
        _, uri = await here.seat(document(FETCH.format("next")))
        async with phone("call", uri) as caller:
            assert await caller.ended() == 200
        await here.notes.first(CallEnded)
    assert here.flow.asked == ["https://example.com/next"]
    assert [step.step_id for step in here.notes.all(StepFinished)] == ["f", "greet"]


async def test_a_callflow_that_cannot_be_fetched_ends_the_call_with_the_reason(world: MakeWorld) -> None:
    async with world() as here:
        order, uri = await here.seat(document(FETCH.format("broken")))
        async with phone("call", uri) as caller:
            assert await caller.ended() == 480
        ended = await here.notes.first(CallEnded)
    assert f"answered call {order.call_id} with 500" in ended.reason


@pytest.mark.parametrize("finished", ["", "<onFinish>https://example.com/done</onFinish>"])
async def test_a_recording_is_posted_and_transcribed(world: MakeWorld, finished: str) -> None:
    async with world() as here:
        order, uri = await here.seat(document(RECORD.format(finished)))
        async with phone("call", uri, "--play", str(here.sound.path)) as caller:
            assert await caller.ended() == 200
        await here.notes.first(CallEnded)
    (started,), (done,) = here.notes.all(RecordingStarted), here.notes.all(RecordingDone)
    assert (started.leg_id, started.kind) == (order.leg_id, "ivr")
    assert here.writers.wanted == [(done.recording_id, order.leg_id, "en-US")]
    assert here.flow.asked == ([f"https://example.com/done {done.recording_id}"] if finished else [])
