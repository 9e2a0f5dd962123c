"""Who answered: a person, or a machine that plays a greeting.  Sans I/O: sound in, verdict out.

A person says little and waits: a few words, then silence.  A machine talks on, and beeps.  Neither
is certain (a receptionist says a long sentence, a short greeting is as short as a hello), so the
longer somebody has talked, the longer a silence must be to be a person's.

Sound is judged in frames of 20 ms.  A frame is loud when it stands out of the noise, and the noise is
the quietest of the last second and a half: speech has a gap in every such stretch.  A beep is the one
sound of a telephone whose frequency does not move; two sums over a frame tell how pure it is.
"""

from __future__ import annotations

import array
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from operator import add, mul

from callflows.ports import Answerer

FRAME_SECONDS = 0.02

FAINTEST = 80.0
"""RMS of 16-bit samples (-52 dBFS) below which nothing is speech."""
ABOVE_NOISE = 3.2
"""A loud frame's RMS is so many times that of the noise (10 dB)."""
VOICE_ABOVE_NOISE = 6.0
"""The loudest frame of a voice is so many times the noise (16 dB): traffic swells by less."""
BELOW_LOUDEST = 0.06
"""Nor is it this share of the loudest frame's (-24 dB): what echoes or murmurs behind a voice."""
NOISE_SECONDS = 1.5
LOUDEST_NOISE = 650.0
"""RMS (-34 dBFS): what never falls below it is no noise but a voice without a gap, or a tone."""
SHORTEST_SOUND_SECONDS = 0.06
"""Anything shorter is a click."""
SHORTEST_TALK_SECONDS = 0.14
"""Loud in all: less is nobody's answer."""

LONGEST_HELLO_SECONDS = 2.5
"""Who talks for longer, pauses included, is a machine."""
SILENCES = ((1.3, 0.7), (2.0, 1.0), (math.inf, 1.4))
"""(talk, silence) in seconds: after at most so much talk a silence this long is a person's."""

BEEP_SECONDS = 0.14
"""A pure tone this long is a beep."""
BEEP_HERTZ = (380.0, 2600.0)
PUREST_HERTZ = 90.0
"""How far the energy of a pure tone spreads around its frequency, G.711 and some noise included."""
STEADY_HERTZ = 25.0
"""How far the frequency of a tone may be off from one frame to the next."""
AFTER_BEEP_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Frame:
    """20 ms of sound."""

    loud: bool
    """It stands out of the noise."""
    beep: bool
    """A pure tone has sounded for as long as a beep."""


class Hearing:
    """Turns samples into frames."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._size = round(rate * FRAME_SECONDS)
        self._rest = array.array("h")
        self._recent: deque[float] = deque(maxlen=round(NOISE_SECONDS / FRAME_SECONDS))
        self._before = 0.0
        self._loudest = 0.0
        self._hertz = 0.0
        self._tone_seconds = 0.0

    @property
    def _noise(self) -> float:
        return min(LOUDEST_NOISE, *self._recent)

    @property
    def voice(self) -> bool:
        """Whether anything so far was as loud as a voice."""
        return self._loudest >= VOICE_ABOVE_NOISE * max(FAINTEST, self._noise)

    def frames(self, sound: bytes) -> Iterator[Frame]:
        """The frames that the next 16-bit mono samples complete."""
        samples = self._rest
        samples.frombytes(sound)
        whole = len(samples) // self._size * self._size
        self._rest = samples[whole:]
        for start in range(0, whole, self._size):
            yield self._frame(samples[start : start + self._size])

    def _frame(self, samples: array.array[int]) -> Frame:
        energy = sum(map(mul, samples, samples))
        level = math.sqrt(energy / len(samples))
        # Two frames together: a single one may fall between two swings of a low voice.
        self._recent.append((level + self._before) / 2)
        self._before = level
        self._loudest = max(self._loudest, level)
        least = max(FAINTEST, ABOVE_NOISE * self._noise, BELOW_LOUDEST * self._loudest)
        loud = level > least
        self._follow_tone(samples, energy, loud)
        return Frame(loud, self._tone_seconds >= BEEP_SECONDS)

    def _follow_tone(self, samples: array.array[int], energy: int, loud: bool) -> None:
        """A sine obeys x[n-1] + x[n+1] = 2 cos(w) x[n]; what is left over says how far it is from one."""
        if not loud:
            self._tone_seconds = 0.0
            return
        inner = samples[1:-1]
        sums = list(map(add, samples, samples[2:]))
        power = sum(map(mul, inner, inner)) or 1
        twice_cosine = sum(map(mul, sums, inner)) / power
        angle = math.acos(max(-1.0, min(1.0, twice_cosine / 2)))
        left = max(0.0, sum(map(mul, sums, sums)) / power - twice_cosine * twice_cosine)
        per_hertz = 2 * math.sin(angle) * 2 * math.pi / self._rate
        hertz = angle * self._rate / (2 * math.pi)
        pure = BEEP_HERTZ[0] <= hertz <= BEEP_HERTZ[1] and math.sqrt(left) <= PUREST_HERTZ * per_hertz
        steady = abs(hertz - self._hertz) <= STEADY_HERTZ
        self._hertz = hertz
        self._tone_seconds = (self._tone_seconds if steady else 0.0) + FRAME_SECONDS if pure else 0.0


class AnswerDetector:
    """Hears what the far end says from the moment of the answer."""

    def __init__(self, rate: int, within: float) -> None:
        self._hearing = Hearing(rate)
        self._within = within
        self._heard = 0.0
        self._sound = 0.0
        """Length of the sound that is being heard."""
        self._loud = 0.0
        """Length of all sounds, but for the first moment of each."""
        self._began: float | None = None
        """When the talk began."""
        self._ended = 0.0
        """When its last word ended."""

    @property
    def heard_seconds(self) -> float:
        """How much sound was judged."""
        return self._heard

    def hear(self, sound: bytes) -> Answerer | None:
        """Takes the next 16-bit mono samples; the verdict once there is one."""
        for frame in self._hearing.frames(sound):
            verdict = self._judge(frame)
            if verdict is not None:
                return verdict
        return None

    def _judge(self, frame: Frame) -> Answerer | None:
        self._heard += FRAME_SECONDS
        self._sound = self._sound + FRAME_SECONDS if frame.loud else 0.0
        if self._sound >= SHORTEST_SOUND_SECONDS:
            self._loud += FRAME_SECONDS
            self._ended = self._heard
            if self._began is None:
                self._began = self._heard - self._sound
        if frame.beep:
            return Answerer.MACHINE
        if self._began is not None:
            talk = self._ended - self._began
            if talk > LONGEST_HELLO_SECONDS:
                return Answerer.MACHINE
            if self._heard - self._ended >= _silence_after(talk):
                if self._loud >= SHORTEST_TALK_SECONDS and self._hearing.voice:
                    return Answerer.HUMAN
                self._began, self._loud = None, 0.0
        return self.give_up() if self._heard >= self._within else None

    def give_up(self) -> Answerer:
        """The verdict with what was heard so far: a talk that is not over may be anybody's."""
        return Answerer.UNSURE


def _silence_after(talk: float) -> float:
    return next(silence for longest, silence in SILENCES if talk <= longest)


class EndOfGreeting:
    """Hears when a machine's greeting is over."""

    def __init__(self, rate: int, seconds: float) -> None:
        self._hearing = Hearing(rate)
        self._seconds = seconds
        self._silent = 0.0
        self._since_beep = math.inf
        """How long something else than a beep was loud after the last one."""

    def hear(self, sound: bytes) -> bool:
        """Takes the next 16-bit mono samples; True once it was silent long enough, or a beep has ended."""
        for frame in self._hearing.frames(sound):
            self._silent = 0.0 if frame.loud else self._silent + FRAME_SECONDS
            if frame.beep:
                self._since_beep = 0.0
            elif frame.loud:
                self._since_beep += FRAME_SECONDS
            # The end of a beep is none itself.
            beeped = self._since_beep < SHORTEST_SOUND_SECONDS
            if self._silent >= (AFTER_BEEP_SECONDS if beeped else self._seconds):
                return True
        return False
