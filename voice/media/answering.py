"""Who answered: a person, or a machine that plays a greeting.  Sans I/O: sound in, verdict out.

(in the making: so far it never decides)
"""

from __future__ import annotations

from callflows.ports import Answerer


class AnswerDetector:
    """Hears what the far end says from the moment of the answer."""

    def __init__(self, rate: int, within: float) -> None:
        self._rate = rate
        self._within = within

    def hear(self, sound: bytes) -> Answerer | None:
        """Takes the next 16-bit mono samples; the verdict once there is one."""
        return None

    def give_up(self) -> Answerer:
        """The verdict with what was heard so far."""
        return Answerer.UNSURE


class EndOfGreeting:
    """Hears when a machine's greeting is over."""

    def __init__(self, rate: int, seconds: float) -> None:
        self._rate = rate
        self._seconds = seconds

    def hear(self, sound: bytes) -> bool:
        """Takes the next 16-bit mono samples; True once it was silent long enough, or a beep has ended."""
        return False
