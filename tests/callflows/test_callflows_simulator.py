"""The simulator itself: its clock, its transcript, its strictness."""

from __future__ import annotations

import asyncio

import pytest

from callflows.build import Callflow
from callflows.endings import Cause
from callflows.ports import CallGone, DialRequest, LineState, NotAnswered, Prompt, RecordingPlace
from callflows.simulator import (
    Answers,
    Event,
    Refuses,
    Script,
    SimulatedCall,
    VirtualTimeLoop,
    run_simulated,
    simulate,
)
from tests.callflows.flows import NUMBER, OTHER, flow, say, step

NOTHING = flow(step("hangup"))


def on_virtual_time(coroutine: object) -> object:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(coroutine)  # type: ignore[arg-type]


def test_an_hour_takes_no_time() -> None:
    async def nap() -> list[float]:
        clock = asyncio.get_running_loop()
        await asyncio.gather(asyncio.sleep(3600), asyncio.sleep(7200))
        times = [clock.time()]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(86400 * 3):
                await asyncio.Event().wait()
        return [*times, clock.time()]

    assert on_virtual_time(nap()) == [7200.0, 7200.0 + 86400 * 3]


def test_a_wait_without_an_end_is_an_error_and_no_hang() -> None:
    async def wait() -> None:
        await asyncio.sleep(5)
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="Virtual time stands still at 5 s"):
        on_virtual_time(wait())


def test_threads_may_still_wake_the_loop() -> None:
    async def ask() -> int:
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        loop.call_soon_threadsafe(answer.set_result, 42)
        return int(await answer)

    assert on_virtual_time(ask()) == 42


async def test_simulate_beside_a_running_loop() -> None:
    with pytest.raises(RuntimeError, match="ordinary function"):
        simulate(NOTHING)
    transcript = await asyncio.to_thread(simulate, NOTHING)
    assert transcript.ending.cause is Cause.HANGUP_STEP


def test_the_transcript_reads_as_a_timeline() -> None:
    transcript = simulate(
        flow(say("x" * 30), step("transfer", to=NUMBER)),
        Script(callees={NUMBER: Answers(after=2.0, talks=3.5)}),
    )
    assert str(transcript).splitlines() == [
        "    0.000 s  step started  1 say (say)",
        "    0.000 s  answered",
        f"    0.000 s  playing  {'x' * 30}",
        f"    2.000 s  played  {'x' * 30}",
        "    2.000 s  step finished  1 say (say) done",
        "    2.000 s  step started  2 transfer (transfer)",
        f"    2.000 s  dialled  {NUMBER}",
        f"    4.000 s  callee answered  {NUMBER}",
        f"    7.500 s  callee hung up  {NUMBER}",
        f"    7.500 s  step finished  2 transfer (transfer) answered: {NUMBER} answered",
        "    7.500 s  hung up",
        f"    7.500 s  callee_hung_up: {NUMBER} hung up.",
    ]


def test_the_same_script_gives_the_same_transcript() -> None:
    calls = flow(say("Hello"), step("dial", to=(NUMBER, OTHER)), step("record", timeout="3"))
    script = Script(speaks=((31.0, 40.0),), making_seconds=0.3, callees={OTHER: Refuses(after=1.0)})
    assert simulate(calls, script) == simulate(calls, script)


def test_keys_nobody_listens_to_are_in_the_transcript() -> None:
    transcript = simulate(flow(step("pause", length="3")), Script(keys=((1.0, "1"), (99.0, "2"))))
    assert transcript.details(Event.KEY) == ("1",)


def test_speed_and_breaks_make_the_length_of_speech() -> None:
    transcript = simulate(
        flow(say(f'<prosody rate="x-slow">{"x" * 15}</prosody><break time="3s"/>{"y" * 15}', speed="2"))
    )
    assert transcript.seconds == 1.0 + 3.0 + 0.5


def call() -> SimulatedCall:
    return SimulatedCall(Callflow(steps=()))


def test_what_a_live_line_could_not_do_is_an_error() -> None:
    async def misuse() -> None:
        line = call().line
        with pytest.raises(RuntimeError, match="no media"):
            await line.play(Prompt(path="x", seconds=1))
        with pytest.raises(RuntimeError, match="no media"):
            await line.record(RecordingPlace(id="x", path="x"))
        await line.answer()
        with pytest.raises(RuntimeError, match="cannot be rejected"):
            await line.reject(486, "Busy Here")

    on_virtual_time(misuse())


def test_an_ended_line_says_so_everywhere() -> None:
    async def use() -> None:
        line = call().line
        line.caller_hangs_up()
        request = DialRequest(targets=(NUMBER,), serial=False, ring_seconds=1)
        for use in (
            line.ring(),
            line.early_media(),
            line.answer(),
            line.reject(486, "Busy Here"),
            line.play(Prompt(path="x", seconds=1)),
            line.record(RecordingPlace(id="x", path="x")),
            line.dial(request),
        ):
            with pytest.raises(CallGone, match="The caller hung up"):
                await use
        await line.hangup()
        assert line.state is LineState.ENDED
        assert await line.ended() == "The caller hung up."

    on_virtual_time(use())


def test_states_do_not_go_back() -> None:
    async def use() -> list[Event]:
        simulated = call()
        line = simulated.line
        await line.ring()
        await line.ring()
        await line.early_media()
        await line.early_media()
        await line.ring()
        await line.answer()
        await line.answer()
        await line.early_media()
        await line.hangup()
        await line.hangup()
        return [happening.event for happening in simulated.journal.transcript(None).happenings]  # type: ignore[arg-type]

    assert on_virtual_time(use()) == [Event.RINGING, Event.EARLY_MEDIA, Event.ANSWERED, Event.HUNG_UP]


def test_a_dial_nobody_answers_gives_the_best_refusal() -> None:
    async def dial(*refusals: int) -> int:
        targets = tuple(f"sip:{number}" for number in range(len(refusals)))
        callees = {target: Refuses(status=status) for target, status in zip(targets, refusals, strict=True)}
        line = SimulatedCall(Callflow(steps=()), Script(callees=callees)).line
        with pytest.raises(NotAnswered) as failure:
            await line.dial(DialRequest(targets=targets, serial=True, ring_seconds=5))
        return failure.value.status

    assert on_virtual_time(dial(503, 486, 404)) == 486
    assert on_virtual_time(dial(503, 302, 404)) == 302
    assert on_virtual_time(dial(404, 603, 302)) == 603


def test_run_simulated_in_a_loop_of_ones_own() -> None:
    transcript = on_virtual_time(run_simulated(flow(step("pause", length="9"))))
    assert transcript == simulate(flow(step("pause", length="9")))
