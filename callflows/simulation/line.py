"""The caller's leg of a simulated call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from callflows.ports import (
    Answerer,
    CallGone,
    DialRequest,
    LineState,
    Party,
    Prompt,
    Recorder,
    RecordingPlace,
)
from callflows.simulation.callees import LISTENING_SECONDS, SimulatedCallees, SimulatedParty
from callflows.simulation.journal import SimulatedJournal
from callflows.simulation.recorder import SimulatedRecorder
from callflows.simulation.script import Script
from callflows.simulation.transcript import Event
from callflows.waiting import first_of

Result = TypeVar("Result")


class SimulatedLine:
    """A `callflows.ports.Line` that is strict: what a live line could not do raises RuntimeError."""

    def __init__(self, script: Script, journal: SimulatedJournal) -> None:
        self._script = script
        self._journal = journal
        self._callees = SimulatedCallees(script, journal)
        self._state = LineState.ANSWERED if script.outgoing else LineState.NEW
        self._rang = False
        self._reason = ""
        self._over = asyncio.Event()
        self._listeners: list[asyncio.Queue[str]] = []

    @property
    def state(self) -> LineState:
        return self._state

    def press(self, key: str) -> None:
        """The caller presses a key."""
        if self._state is not LineState.ENDED:
            self._journal.note(Event.KEY, key)
            for listener in self._listeners:
                listener.put_nowait(key)

    def caller_hangs_up(self) -> None:
        if self._state is not LineState.ENDED:
            self._end(Event.CALLER_HUNG_UP, "The caller hung up.")

    async def ring(self) -> None:
        await self._network()
        if self._state is LineState.NEW and not self._rang:
            self._rang = True
            self._journal.note(Event.RINGING)

    async def early_media(self) -> None:
        await self._network()
        if self._state is LineState.NEW:
            self._state = LineState.EARLY
            self._journal.note(Event.EARLY_MEDIA)

    async def answer(self) -> None:
        await self._network()
        if self._state is not LineState.ANSWERED:
            self._state = LineState.ANSWERED
            self._journal.note(Event.ANSWERED)

    async def reject(self, status: int, reason: str) -> None:
        await self._network()
        if self._state is LineState.ANSWERED:
            raise RuntimeError("an answered call cannot be rejected")
        self._end(Event.REJECTED, "We refused the call.", f"{status} {reason}")

    async def hangup(self) -> None:
        await asyncio.sleep(0)
        if self._state is not LineState.ENDED:
            self._end(Event.HUNG_UP, "We hung up.")

    async def play(self, prompt: Prompt) -> None:
        await self._network()
        self._need_media()
        self._journal.opened("sound")
        self._journal.note(Event.PLAYING, prompt.path)
        event = Event.CUT_SHORT
        try:
            await self._while_there(asyncio.sleep(prompt.seconds))
            event = Event.PLAYED
        finally:
            self._journal.closed("sound")
            self._journal.note(event, prompt.path)

    @asynccontextmanager
    async def digits(self) -> AsyncIterator[AsyncIterator[str]]:
        await self._network()
        queue: asyncio.Queue[str] = asyncio.Queue()
        self._listeners.append(queue)
        self._journal.opened("listening for keys")
        try:
            yield self._keys(queue)
        finally:
            self._journal.closed("listening for keys")
            self._listeners.remove(queue)

    async def send_digits(self, keys: str, *, key_seconds: float, gap_seconds: float) -> None:
        await self._network()
        self._need_media()
        await self._while_there(asyncio.sleep(len(keys) * (key_seconds + gap_seconds)))
        self._journal.note(Event.KEYS_SENT, keys)

    async def answerer(self, within: float) -> Answerer:
        await self._while_there(asyncio.sleep(min(within, LISTENING_SECONDS)))
        return Answerer.MACHINE if self._script.machine else Answerer.HUMAN

    async def quiet(self, seconds: float, at_most: float) -> None:
        left = max(self._script.announces - self._journal.now, 0.0)
        await self._while_there(asyncio.sleep(min(left + seconds, at_most)))

    async def record(self, place: RecordingPlace, *, whole: bool = False) -> Recorder:
        await self._network()
        self._need_media()
        return SimulatedRecorder(place, self._journal, self._script.speaks, self.while_there)

    async def dial(self, request: DialRequest) -> Party:
        await self._network()
        if not self._rang:
            await self.ring()
        target, answers = await self._while_there(
            self._callees.first_to_answer(request.targets, request.serial, request.ring_seconds)
        )
        return SimulatedParty(target, answers, self._journal)

    async def bridge(self, party: Party) -> None:
        assert isinstance(party, SimulatedParty)
        try:
            await self.answer()
            await self._while_there(party.talk())
        finally:
            party.release()

    async def ended(self) -> str:
        await self._over.wait()
        return self._reason

    async def while_there(self, seconds: float) -> None:
        """Waits; raises CallGone when the caller goes meanwhile."""
        await self._while_there(asyncio.sleep(seconds))

    async def _keys(self, queue: asyncio.Queue[str]) -> AsyncIterator[str]:
        while True:
            yield await self._while_there(queue.get())

    async def _while_there(self, work: Coroutine[Any, Any, Result]) -> Result:
        return await first_of(work, self._gone())

    async def _gone(self) -> Any:
        await self._over.wait()
        raise CallGone(self._reason)

    async def _network(self) -> None:
        # A live line always gives way to others here; so does this one, and a hang-up can fall between.
        await asyncio.sleep(0)
        if self._state is LineState.ENDED:
            raise CallGone(self._reason)

    def _need_media(self) -> None:
        if self._state not in (LineState.EARLY, LineState.ANSWERED):
            raise RuntimeError("there is no media before early media or the answer")

    def _end(self, event: Event, reason: str, detail: str = "") -> None:
        self._state = LineState.ENDED
        self._reason = reason
        self._journal.note(event, detail)
        self._over.set()
