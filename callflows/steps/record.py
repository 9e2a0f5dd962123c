"""`record`: takes down what the caller says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar

from callflows.addresses import WEB_ADDRESS
from callflows.kinds import Keys, Number, Truth
from callflows.ports import Recorded, Recorder, RecordingPlace
from callflows.recording import closed
from callflows.sounds import Beep, Sound
from callflows.steps.base import Call, Need, Outcome, Step, Word
from callflows.steps.fetch_call_flow import going_on_with
from callflows.steps.say import LANGUAGE
from callflows.waiting import first_of, uninterrupted


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Step):
    """Records the caller until silence, a key or the longest time; what was said is kept in any case."""

    timeout: float | None = None
    """Seconds of silence that end it; None: silence does not."""
    max_length: float = 3600.0
    """Seconds."""
    finish_on_key: frozenset[str] = frozenset()
    """Any of these keys ends it."""
    beep: bool = False
    transcribe: bool = False
    """The recording is turned into text afterwards."""
    transcribe_language: str | None = None
    """BCP 47 tag, such as ``en-US``; None leaves it to the engine."""
    on_finish: str | None = None
    """An http(s) URL: the recording is posted there, and the answer is the callflow to go on with."""

    action: ClassVar = "record"
    options: ClassVar = {
        "timeout": Number(minimum=1, maximum=120, unit="seconds"),
        "max_length": Number(minimum=1, maximum=14400, unit="seconds"),
        "finish_on_key": Keys(),
        "beep": Truth(),
        "transcribe": Truth(),
        "transcribe_language": LANGUAGE,
        "on_finish": WEB_ADDRESS,
    }

    @property
    def needs(self) -> Need:
        return Need.ANSWERED

    def sounds(self) -> tuple[Sound, ...]:
        return (Beep(),) if self.beep else ()

    async def run(self, call: Call) -> Outcome:
        # The place comes before the beep: nothing may take time between the beep and the first word.
        place = await call.recordings.place()
        recorder: Recorder | None = None
        try:
            for sound in self.sounds():
                await call.play(sound)
            # Keys are heard from before the recording begins, so that none falls between.
            async with call.line.digits() as digits:
                recorder = await call.line.record(place)
                end = await first_of(*self._ends(recorder, digits))
        finally:
            recorded = await uninterrupted(_close(call, place, recorder))
        if self.transcribe:
            call.recordings.transcribe(recorded.id, self.transcribe_language or "")
        detail = f"{recorded.seconds:.1f} s; {end}"
        if self.on_finish is None:
            return Outcome(word=Word.DONE, detail=detail)
        return await going_on_with(
            call.flows.finished(self.on_finish, recorded.id, call.variables), f"{detail}; "
        )

    def _ends(self, recorder: Recorder, digits: AsyncIterator[str]) -> list[Coroutine[Any, Any, str]]:
        ends = [_key(digits, self.finish_on_key), _after(self.max_length)]
        if self.timeout is not None:
            ends.append(_silence(recorder, self.timeout))
        return ends


async def _close(call: Call, place: RecordingPlace, recorder: Recorder | None) -> Recorded:
    recorded = await closed(call.recordings, place, recorder)
    if recorder:
        call.reached(Outcome(word=Word.DONE, detail=f"{recorded.seconds:.1f} s"))
    return recorded


async def _key(digits: AsyncIterator[str], finishing: frozenset[str]) -> str:
    # Which key it was stays unsaid: a caller may have typed a secret.
    async for digit in digits:
        if digit in finishing:
            return "a key was pressed"
    # No more keys can come: what else ends a recording decides.
    never: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    return await never


async def _after(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "the longest time was reached"


async def _silence(recorder: Recorder, seconds: float) -> str:
    await recorder.silent(seconds)
    return f"{seconds:g} s of silence"
