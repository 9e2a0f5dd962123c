"""What the interpreter lends to the steps of one call (`callflows.steps.base.Call`)."""

from __future__ import annotations

from collections.abc import Mapping

from callflows.ports import Answerer, Flows, Line, LineState, Recorder, RecordingPlace, Recordings
from callflows.prompts import Prompts
from callflows.recording import closed
from callflows.sounds import Sound
from callflows.steps.base import Outcome, Word
from callflows.waiting import uninterrupted


class CallState:
    """What a call knows beyond its steps: the line, variables, who answered, the recording of the whole."""

    def __init__(self, line: Line, recordings: Recordings, flows: Flows, variables: dict[str, str]) -> None:
        self.line = line
        self.recordings = recordings
        self.flows = flows
        self.variables = variables
        self.outgoing = False
        self.record_all = False
        self._answerer: Answerer | None = None
        self._whole: tuple[RecordingPlace, Recorder] | None = None

    async def answer(self) -> None:
        """Answers the caller, if nothing did before; a recording of everything begins here."""
        await self.line.answer()
        await self.begin_recording()

    async def begin_recording(self) -> None:
        """Once for a call, as soon as it is answered.  Raises Unavailable."""
        if not self.record_all or self._whole or self.line.state is not LineState.ANSWERED:
            return
        place = await self.recordings.place("call")
        try:
            recorder = await self.line.record(place, whole=True)
        except BaseException:
            await uninterrupted(closed(self.recordings, place, None))
            raise
        self._whole = place, recorder

    async def end_recording(self) -> None:
        if self._whole is not None:
            (place, recorder), self._whole = self._whole, None
            await closed(self.recordings, place, recorder)

    async def answerer(self, within: float) -> Answerer:
        """Who answered, found out once for a call; a caller is a person."""
        if not self.outgoing:
            return Answerer.HUMAN
        if self._answerer is None:
            self._answerer = await self.line.answerer(within)
        return self._answerer


class RunningCall:
    """A `callflows.steps.base.Call`, for one step."""

    def __init__(self, state: CallState, prompts: Prompts) -> None:
        self._state = state
        self._prompts = prompts
        self._so_far: Outcome | None = None

    @property
    def line(self) -> Line:
        return self._state.line

    @property
    def recordings(self) -> Recordings:
        return self._state.recordings

    @property
    def flows(self) -> Flows:
        return self._state.flows

    @property
    def variables(self) -> Mapping[str, str]:
        return self._state.variables

    async def answer(self) -> None:
        await self._state.answer()

    async def answerer(self, within: float) -> Answerer:
        return await self._state.answerer(within)

    async def play(self, sound: Sound) -> None:
        await self._state.line.play(await self._prompts.take(sound))

    def reached(self, outcome: Outcome) -> None:
        self._so_far = outcome

    def cut_off(self, reason: str) -> Outcome:
        """How the step went when the call ended before it did."""
        if self._so_far is None:
            return Outcome(word=Word.CANCELLED, detail=reason)
        return Outcome(word=self._so_far.word, detail=f"{self._so_far.detail}; {reason}")
