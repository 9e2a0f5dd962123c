"""Runs a callflow without a telephone, on virtual time, against a caller who follows a script.

    flow = parse_document(text)
    transcript = simulate(flow, Script(keys=((4.0, "#"),), callees={"+31201234567": Refuses(status=486)}))
    assert transcript.outcomes["sales"] == "busy"
    assert transcript.ending.cause is Cause.END_OF_STEPS
    print(transcript)

What a step waits for passes at once, and the transcript says at which second of the call everything
happened; so a test of an hour-long call takes milliseconds and never depends on the machine.
"""

from __future__ import annotations

import asyncio

from callflows.build import Callflow
from callflows.endings import Cause, Ending
from callflows.interpreter import Interpreter
from callflows.simulation.clock import VirtualTimeLoop
from callflows.simulation.journal import SimulatedJournal
from callflows.simulation.line import SimulatedLine
from callflows.simulation.script import Answers, Callee, Refuses, Rings, Script
from callflows.simulation.sounds import SimulatedRecordings, SimulatedSounds
from callflows.simulation.transcript import Event, Happening, Transcript

__all__ = [
    "Answers",
    "Callee",
    "Cause",
    "Ending",
    "Event",
    "Happening",
    "Refuses",
    "Rings",
    "Script",
    "Transcript",
    "VirtualTimeLoop",
    "run_simulated",
    "simulate",
]

ORDINARY = Script()


def simulate(flow: Callflow, script: Script = ORDINARY) -> Transcript:
    """The transcript of one call.

    Not for use inside a running event loop: call it from an ordinary function, or through
    `asyncio.to_thread`.  Raises RuntimeError when the callflow leaves anything running.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(run_simulated(flow, script))


async def run_simulated(flow: Callflow, script: Script = ORDINARY) -> Transcript:
    """`simulate`, inside a VirtualTimeLoop that runs already; in another loop time is real."""
    clock = asyncio.get_running_loop()
    others = asyncio.all_tasks()
    journal = SimulatedJournal()
    line = SimulatedLine(script, journal)
    interpreter = Interpreter(
        flow,
        line=line,
        sounds=SimulatedSounds(script, journal),
        recordings=SimulatedRecordings(journal),
        diary=journal,
        max_seconds=script.max_seconds,
    )
    timers = [clock.call_later(at, line.press, key) for at, key in script.keys]
    if script.hangs_up_at is not None:
        timers.append(clock.call_later(script.hangs_up_at, line.caller_hangs_up))
    if script.stopped_at is not None:
        timers.append(clock.call_later(script.stopped_at, interpreter.stop, "An operator ended the call."))
    try:
        ending = await interpreter.run()
    finally:
        for timer in timers:
            timer.cancel()
    left = journal.still_open() + [repr(task) for task in asyncio.all_tasks() - others]
    if left:
        raise RuntimeError(f"the callflow left running: {', '.join(left)}")
    return journal.transcript(ending)
