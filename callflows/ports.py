"""What a running callflow asks of the world, as small Protocols.

The interpreter and the steps see only these, so they run the same against a live call
(`voice.pool.session`) and against a simulated one on virtual time (`callflows.simulator`).
Every coroutine here may be cancelled at any await; cancelling is how a step is stopped, and the
implementation then undoes what it began (stops the sound, sends CANCEL to who is ringing).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from callflows.model import Utterance


class LineState(StrEnum):
    """How far the caller's leg has come."""

    NEW = "new"
    EARLY = "early"
    """Early media flows (183 with SDP), nobody has answered."""
    ANSWERED = "answered"
    ENDED = "ended"


class CallGone(Exception):
    """The caller's leg has ended: nothing more can be done on it.  `reason` is a sentence for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Unavailable(Exception):
    """A sound, place or service could not be had.  The message says which, why, and what to do."""


class NotAnswered(Exception):
    """Nobody answered a dial.

    `status` is the best final SIP response (RFC 3261 section 16.7 step 6); 408 after the ring time.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A sound ready to play: a WAV file, 16-bit mono at the rate of the bridge."""

    path: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingPlace:
    """Where a recording goes."""

    id: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A finished recording.  `size` is that of the whole WAV file, in bytes."""

    id: str
    seconds: float
    size: int


class Sides(StrEnum):
    """Which sides of a transfer are recorded, in MessageBird's words (reference, section 2.3)."""

    IN = "in"
    """The voice of the destination."""
    OUT = "out"
    """The voice of the source."""
    BOTH = "both"
    """Each in a recording of its own."""


class Answerer(StrEnum):
    """Who answered a call."""

    HUMAN = "human"
    MACHINE = "machine"
    UNSURE = "unsure"
    """Nothing that decides it was heard in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DialRequest:
    """One dial: several targets at once, or one after another.

    `targets` are E.164 numbers with ``+`` or SIP URIs; `ring_seconds` counts for each target when
    `serial`, else for all together; `caller_id` None shows the caller's own number.
    """

    targets: tuple[str, ...]
    serial: bool
    ring_seconds: float
    caller_id: str | None = None
    mask: bool = False
    """Show the number that was called instead of the caller's own."""


class Party(Protocol):
    """A callee that has answered."""

    @property
    def name(self) -> str:
        """The target that answered, for the record."""
        ...

    @property
    def leg_id(self) -> str: ...

    async def record(self, place: RecordingPlace) -> Recorder:
        """Begins to record what the callee says."""
        ...

    async def answerer(self, within: float) -> Answerer:
        """Listens to who answered for at most so many seconds."""
        ...

    async def hangup(self) -> None: ...


class Recorder(Protocol):
    """A recording of the caller under way."""

    async def silent(self, seconds: float) -> None:
        """Returns once the caller has been silent for this long without a break."""
        ...

    async def stop(self) -> Recorded:
        """Ends the recording; the file is complete when this returns."""
        ...


class Line(Protocol):
    """The caller's leg, and what can be done with it.

    Each method raises CallGone when the leg has ended or ends meanwhile.
    """

    @property
    def state(self) -> LineState: ...

    async def ring(self) -> None:
        """180 Ringing; nothing when early media flows or the call is answered."""
        ...

    async def early_media(self) -> None:
        """183 with SDP; returns when media flows.  Nothing when it already does."""
        ...

    async def answer(self) -> None:
        """200; returns when the ACK came and media flows.  Nothing when already answered."""
        ...

    async def reject(self, status: int, reason: str) -> None:
        """A final refusal (300 to 699) of an unanswered call."""
        ...

    async def hangup(self) -> None:
        """BYE of an answered call, 603 of one that is not; returns at once when it has ended already."""
        ...

    async def play(self, prompt: Prompt) -> None:
        """Plays to the end.  Needs early media or an answered call."""
        ...

    def digits(self) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """The DTMF digits (0-9, *, #, A-D) that come while the context is open, in order."""
        ...

    async def send_digits(self, keys: str, *, key_seconds: float, gap_seconds: float) -> None:
        """Sends DTMF (0-9, *, #, A-D; ``w`` waits half a second) to the caller, one key after another."""
        ...

    async def record(self, place: RecordingPlace, *, whole: bool = False) -> Recorder:
        """Begins to record what the caller says; with `whole`, also all that the caller hears."""
        ...

    async def answerer(self, within: float) -> Answerer:
        """Listens to who answered the call for at most so many seconds."""
        ...

    async def quiet(self, seconds: float, at_most: float) -> None:
        """Returns once the far end was silent for `seconds`, or after `at_most` seconds."""
        ...

    async def dial(self, request: DialRequest) -> Party:
        """Calls the targets; the first to answer wins, the others get CANCEL.

        An unanswered caller hears ringing or the callee's early media meanwhile.  Raises NotAnswered.
        """
        ...

    async def bridge(self, party: Party) -> None:
        """Connects caller and callee both ways, answering the caller when nothing did before.

        Returns when the callee hangs up.  Raises CallGone when the caller does; the callee is then
        hung up.  Cancelled: likewise.
        """
        ...

    async def ended(self) -> str:
        """Waits until the leg has ended; returns the reason as a sentence.  Never raises CallGone."""
        ...


class Sounds(Protocol):
    """Where prompts come from.  Both raise Unavailable."""

    async def speech(self, utterance: Utterance) -> Prompt: ...

    async def media(self, source: str) -> Prompt:
        """`source`: an http(s) URL, or the name of a file that the account uploaded."""
        ...

    async def beep(self) -> Prompt:
        """The tone before a recording."""
        ...


class Recordings(Protocol):
    """Where recordings go."""

    async def place(self, kind: str = "ivr", leg_id: str | None = None) -> RecordingPlace:
        """`kind` is MessageBird's type: ``ivr``, ``call`` or ``transfer``; `leg_id` None is the caller's leg.

        Raises Unavailable.
        """
        ...

    def done(self, recorded: Recorded, ok: bool) -> None: ...

    def transcribe(self, recording_id: str, language: str) -> None:
        """Has a finished recording turned into text, behind the call's back."""
        ...


class Flows(Protocol):
    """Where further callflows come from while a call runs.  Both return canonical XML, checked, and raise
    Unavailable."""

    async def fetch(self, url: str, variables: Mapping[str, str]) -> str:
        """What ``fetchCallFlow`` asks for (reference, section 4)."""
        ...

    async def finished(self, url: str, recording_id: str, variables: Mapping[str, str]) -> str:
        """What ``onFinish`` asks for: the recording is posted, the answer is the flow to go on with."""
        ...


class Diary(Protocol):
    """Hears how the callflow proceeds.  Never blocks, never raises."""

    def step_started(self, seq: int, step_id: str, action: str) -> None: ...

    def step_finished(
        self, seq: int, step_id: str, action: str, outcome: str, detail: str, seconds: float
    ) -> None: ...
