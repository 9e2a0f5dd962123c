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
from collections.abc import Iterator

from callflows.build import Callflow
from callflows.endings import Cause, Ending
from callflows.interpreter import Interpreter
from callflows.ports import Flows
from callflows.simulation.clock import VirtualTimeLoop
from callflows.simulation.journal import SimulatedJournal
from callflows.simulation.line import SimulatedLine
from callflows.simulation.script import Answers, Callee, Refuses, Rings, Script
from callflows.simulation.sounds import SimulatedFlows, SimulatedRecordings, SimulatedSounds
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
    "SimulatedCall",
    "Transcript",
    "VirtualTimeLoop",
    "run_simulated",
    "simulate",
]

ORDINARY = Script()


def simulate(flow: Callflow, script: Script = ORDINARY) -> Transcript:
    """The transcript of one call.

    Raises RuntimeError inside a running event loop, and when the callflow leaves anything running.
    """
    if _a_loop_runs():
        raise RuntimeError(
            "simulate runs an event loop of its own: call it from an ordinary function, "
            "or here as `await asyncio.to_thread(simulate, flow, script)`."
        )
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(run_simulated(flow, script))


async def run_simulated(flow: Callflow, script: Script = ORDINARY) -> Transcript:
    """`simulate`, inside a VirtualTimeLoop that runs already; in another loop time is real."""
    return await SimulatedCall(flow, script).run()


def _a_loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class SimulatedCall:
    """One call, for tests that want to interfere while it runs."""

    def __init__(self, flow: Callflow, script: Script = ORDINARY, flows: Flows | None = None) -> None:
        """Further callflows are those of the script, unless `flows` has them."""
        self.journal = SimulatedJournal()
        self.line = SimulatedLine(script, self.journal)
        self.interpreter = Interpreter(
            flow,
            line=self.line,
            sounds=SimulatedSounds(script, self.journal),
            recordings=SimulatedRecordings(self.journal),
            diary=self.journal,
            max_seconds=script.max_seconds,
            flows=flows or SimulatedFlows(script, self.journal),
            variables=script.variables,
            outgoing=script.outgoing,
        )
        self._script = script

    async def run(self) -> Transcript:
        """Raises RuntimeError when the callflow leaves anything running."""
        others = asyncio.all_tasks()
        timers = list(self._timers())
        try:
            ending = await self.interpreter.run()
        finally:
            for timer in timers:
                timer.cancel()
            left = self.journal.still_open() + [repr(task) for task in asyncio.all_tasks() - others]
            if left:
                raise RuntimeError(f"the callflow left running: {', '.join(left)}")
        return self.journal.transcript(ending)

    def _timers(self) -> Iterator[asyncio.TimerHandle]:
        clock = asyncio.get_running_loop()
        for at, key in self._script.keys:
            yield clock.call_later(at, self.line.press, key)
        if self._script.hangs_up_at is not None:
            yield clock.call_later(self._script.hangs_up_at, self.line.caller_hangs_up)
        if self._script.stopped_at is not None:
            stop = self.interpreter.stop
            yield clock.call_later(self._script.stopped_at, stop, "An operator ended the call.")
