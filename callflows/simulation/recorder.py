"""A recording of a simulated call: of the right length, and without a sound."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from callflows.ports import Recorded, RecordingPlace
from callflows.simulation.journal import SimulatedJournal
from callflows.simulation.transcript import Event

_WAV_HEADER = 44
_BYTES_PER_SECOND = 16000


class SimulatedRecorder:
    """A `callflows.ports.Recorder` of somebody who speaks from when to when `speaks` says.

    `wait` sleeps, and ends with the call.
    """

    def __init__(
        self,
        place: RecordingPlace,
        journal: SimulatedJournal,
        speaks: tuple[tuple[float, float], ...] = (),
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._place = place
        self._journal = journal
        self._speaks = speaks
        self._wait = wait
        self._began = journal.now
        journal.opened(f"recorder of {place.id}")
        journal.note(Event.RECORDING, place.id)

    async def silent(self, seconds: float) -> None:
        quiet_since = self._journal.now
        for start, end in sorted(self._speaks):
            if start < quiet_since + seconds:
                quiet_since = max(quiet_since, end)
        await self._wait(quiet_since + seconds - self._journal.now)

    async def stop(self) -> Recorded:
        seconds = self._journal.now - self._began
        await asyncio.sleep(0)
        self._journal.closed(f"recorder of {self._place.id}")
        size = _WAV_HEADER + round(seconds * _BYTES_PER_SECOND)
        return Recorded(id=self._place.id, seconds=seconds, size=size)
