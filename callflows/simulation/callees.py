"""Who can be dialled from a simulated call: ringing, refusing, answering, talking."""

from __future__ import annotations

import asyncio

from callflows.endings import phrase
from callflows.ports import Answerer, NotAnswered, Recorder, RecordingPlace
from callflows.simulation.journal import SimulatedJournal
from callflows.simulation.recorder import SimulatedRecorder
from callflows.simulation.script import Answers, Refuses, Rings, Script
from callflows.simulation.transcript import Event

NOBODY = Rings()
LISTENING_SECONDS = 1.5
"""How long it takes to tell a person from a machine, about."""


class SimulatedParty:
    """A `callflows.ports.Party`: a callee who has answered."""

    def __init__(self, name: str, answers: Answers, journal: SimulatedJournal) -> None:
        self._name = name
        self._talks = answers.talks
        self._machine = answers.machine
        self._journal = journal
        self._there = True
        journal.opened(f"talk with {name}")
        journal.note(Event.CALLEE_ANSWERED, name)

    @property
    def name(self) -> str:
        return self._name

    @property
    def leg_id(self) -> str:
        return f"leg of {self._name}"

    async def record(self, place: RecordingPlace) -> Recorder:
        await asyncio.sleep(0)
        return SimulatedRecorder(place, self._journal)

    async def answerer(self, within: float) -> Answerer:
        await asyncio.sleep(min(within, LISTENING_SECONDS))
        return Answerer.MACHINE if self._machine else Answerer.HUMAN

    async def talk(self) -> None:
        """Returns when the callee has hung up."""
        if self._talks is None:
            await asyncio.Event().wait()
        else:
            await asyncio.sleep(self._talks)
        self._leave(Event.CALLEE_HUNG_UP)

    async def hangup(self) -> None:
        self.release()

    def release(self) -> None:
        """BYE to the callee; nothing when it has hung up."""
        if self._there:
            self._leave(Event.CALLEE_RELEASED)

    def _leave(self, event: Event) -> None:
        self._there = False
        self._journal.closed(f"talk with {self._name}")
        self._journal.note(event, self._name)


class SimulatedCallees:
    """Rings targets as the edge would: at once or one after another, best refusal last."""

    def __init__(self, script: Script, journal: SimulatedJournal) -> None:
        self._script = script
        self._journal = journal

    async def first_to_answer(
        self, targets: tuple[str, ...], serial: bool, seconds: float
    ) -> tuple[str, Answers]:
        """Raises NotAnswered; `seconds` of ringing count as in `callflows.ports.DialRequest`."""
        refusals: list[int] = []
        for together in [(target,) for target in targets] if serial else [targets]:
            try:
                async with asyncio.timeout(seconds):
                    winner = await self._ring_together(together, refusals)
            except TimeoutError:
                refusals.append(408)
                continue
            if winner is not None:
                return winner
            if _best(refusals) >= 600:
                break
        raise NotAnswered(_best(refusals), phrase(_best(refusals)))

    async def _ring_together(
        self, targets: tuple[str, ...], refusals: list[int]
    ) -> tuple[str, Answers] | None:
        """Who answered first; None when all refused, or one for all (6xx, RFC 3261 section 16.7 step 5)."""
        ringing = {asyncio.ensure_future(self._ring(target)): target for target in targets}
        try:
            waiting = set(ringing)
            while waiting:
                _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in [task for task in ringing if task.done()]:
                    target = ringing.pop(task)
                    reaction = task.result()
                    if isinstance(reaction, Answers):
                        return target, reaction
                    refusals.append(reaction.status)
                if refusals and _best(refusals) >= 600:
                    return None
            return None
        finally:
            for task in ringing:
                task.cancel()
            await asyncio.gather(*ringing, return_exceptions=True)

    async def _ring(self, target: str) -> Answers | Refuses:
        self._journal.opened(f"ringing {target}")
        self._journal.note(Event.DIALLED, target)
        callee = self._script.callees.get(target, NOBODY)
        try:
            if isinstance(callee, Rings):
                await asyncio.Event().wait()
            else:
                await asyncio.sleep(callee.after)
        except asyncio.CancelledError:
            self._journal.note(Event.CALLEE_CANCELLED, target)
            raise
        finally:
            self._journal.closed(f"ringing {target}")
        assert not isinstance(callee, Rings)
        if isinstance(callee, Refuses):
            self._journal.note(Event.CALLEE_REFUSED, f"{target}, {callee.status}")
        return callee


def _best(statuses: list[int]) -> int:
    """RFC 3261 section 16.7 step 6: a 6xx if there is one, else of the lowest class, the first of equals."""
    return min(statuses, key=lambda status: (status < 600, status // 100))
