"""`say`: speaks a text."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from callflows.kinds import Choice, Matching, Number, Truth, Whole
from callflows.model import IfMachine, Silence, Utterance, Words
from callflows.sounds import Sound, Speech
from callflows.spoken import FASTEST, SLOWEST, SpokenText
from callflows.steps.base import Call, Need, Outcome, Step, Word
from callflows.steps.machine import machine_stops

LANGUAGE = Matching(
    pattern="[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}",
    longest=35,
    described="a language tag (BCP 47), such as en-GB",
)


class Voice(StrEnum):
    """A preference: a language without such a voice is spoken by another."""

    FEMALE = "female"
    MALE = "male"


@dataclass(frozen=True, slots=True, kw_only=True)
class Say(Step):
    """Speaks a text to the caller."""

    language: str
    """BCP 47 tag, such as ``en-GB``."""
    text: tuple[Words | Silence, ...]
    """`Words.rate` counts on top of `speed`."""
    voice: Voice = Voice.FEMALE
    speed: float = 1.0
    """1.0 is the voice's own."""
    early: bool = False
    """Speak before the call is answered, where nothing answered it yet."""
    repeat: int = 1
    """How often it is spoken."""
    if_machine: IfMachine = IfMachine.DELAY
    """Of calls that we placed only."""
    machine_timeout: int = 7000
    """Milliseconds that finding out who answered may take."""

    action: ClassVar = "say"
    options: ClassVar = {
        "language": LANGUAGE,
        "voice": Choice(words=Voice),
        "speed": Number(minimum=SLOWEST, maximum=FASTEST),
        "early": Truth(),
        "repeat": Whole(minimum=1, maximum=10),
        "if_machine": Choice(words=IfMachine),
        "machine_timeout": Whole(minimum=400, maximum=10_000, unit="milliseconds"),
        "text": SpokenText(),
    }

    @property
    def needs(self) -> Need:
        return Need.EARLY_MEDIA if self.early else Need.ANSWERED

    @property
    def utterance(self) -> Utterance:
        return Utterance(
            language=self.language,
            voice=self.voice.value,
            parts=tuple(self._at_speed(part) for part in self.text),
        )

    def _at_speed(self, part: Words | Silence) -> Words | Silence:
        if isinstance(part, Silence):
            return part
        rate = min(max(round(part.rate * self.speed, 3), SLOWEST), FASTEST)
        return Words(text=part.text, rate=rate)

    def sounds(self) -> tuple[Sound, ...]:
        return (Speech(utterance=self.utterance),) * self.repeat

    async def run(self, call: Call) -> Outcome:
        stopped = await machine_stops(call, self.if_machine, self.machine_timeout / 1000)
        if stopped is not None:
            return stopped
        for sound in self.sounds():
            await call.play(sound)
        return Outcome(word=Word.DONE)
