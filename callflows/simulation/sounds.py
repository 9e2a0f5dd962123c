"""Sounds and recordings of a simulated call: of the right length, and without a sound."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from callflows.model import Silence, Utterance, Words
from callflows.ports import Prompt, Recorded, RecordingPlace, Unavailable
from callflows.simulation.journal import SimulatedJournal
from callflows.simulation.script import Script
from callflows.simulation.transcript import Event

CHARACTERS_PER_SECOND = 15.0
"""How fast a voice speaks at rate 1.0, roughly."""
BEEP_SECONDS = 0.4


class SimulatedSounds:
    """A `callflows.ports.Sounds`; the path of a prompt is what it says."""

    def __init__(self, script: Script, journal: SimulatedJournal) -> None:
        self._script = script
        self._journal = journal

    async def speech(self, utterance: Utterance) -> Prompt:
        words = [part for part in utterance.parts if isinstance(part, Words)]
        breaks = sum(part.seconds for part in utterance.parts if isinstance(part, Silence))
        spoken = sum(len(part.text) / part.rate / CHARACTERS_PER_SECOND for part in words)
        return await self._made(" ".join(part.text for part in words), spoken + breaks)

    async def media(self, source: str) -> Prompt:
        return await self._made(source, self._script.media_seconds)

    async def beep(self) -> Prompt:
        return Prompt(path="beep", seconds=BEEP_SECONDS)

    async def _made(self, what: str, seconds: float) -> Prompt:
        self._journal.opened(f"making {what}")
        try:
            await asyncio.sleep(self._script.making_seconds)
        finally:
            self._journal.closed(f"making {what}")
        if what in self._script.unavailable:
            raise Unavailable(f"{what} could not be had: the script says so.")
        return Prompt(path=what, seconds=seconds)


class SimulatedRecordings:
    """A `callflows.ports.Recordings`."""

    def __init__(self, journal: SimulatedJournal) -> None:
        self._journal = journal
        self._count = 0

    async def place(self, kind: str = "ivr", leg_id: str | None = None) -> RecordingPlace:
        await asyncio.sleep(0)
        self._count += 1
        name = f"recording {self._count}" if kind == "ivr" else f"{kind} recording {self._count}"
        self._journal.recording_placed(name, kind)
        return RecordingPlace(id=name, path=f"{name}.wav")

    def done(self, recorded: Recorded, ok: bool) -> None:
        self._journal.recording_done(recorded, ok)

    def transcribe(self, recording_id: str, language: str) -> None:
        self._journal.note(Event.TRANSCRIBED, f"{recording_id}, {language or 'any language'}")


class SimulatedFlows:
    """A `callflows.ports.Flows` that has the documents of the script."""

    def __init__(self, script: Script, journal: SimulatedJournal) -> None:
        self._script = script
        self._journal = journal

    async def fetch(self, url: str, variables: Mapping[str, str]) -> str:
        await asyncio.sleep(0)
        self._journal.note(Event.FETCHED, url)
        if url not in self._script.documents:
            raise Unavailable(f"{url} could not be had: the script says so.")
        return self._script.documents[url]

    async def finished(self, url: str, recording_id: str, variables: Mapping[str, str]) -> str:
        return await self.fetch(url, variables)
