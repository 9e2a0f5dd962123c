"""A simple detector to compare with: what Asterisk's manual says of its AMD application.

Written from the descriptions of its parameters, with their defaults: it counts words and durations over
a fixed threshold of loudness, and has neither a measure of the noise nor an ear for beeps.
"""

from __future__ import annotations

import array

from callflows.ports import Answerer

FRAME_SECONDS = 0.02
SILENCE_THRESHOLD = 256
"""Mean of the absolute samples below which a frame is silent."""
INITIAL_SILENCE = 2.5
GREETING = 1.5
AFTER_GREETING_SILENCE = 0.8
TOTAL_ANALYSIS_TIME = 5.0
MINIMUM_WORD_LENGTH = 0.1
BETWEEN_WORDS_SILENCE = 0.05
MAXIMUM_NUMBER_OF_WORDS = 3


class Peer:
    """Has the methods of `voice.media.answering.AnswerDetector`."""

    def __init__(self, rate: int) -> None:
        self._size = round(rate * FRAME_SECONDS)
        self._rest = array.array("h")
        self.heard_seconds = 0.0
        self._silence = self._voice = self._word = 0.0
        self._words = 0
        self._in_word = False
        self._greeted = False

    def hear(self, sound: bytes) -> Answerer | None:
        self._rest.frombytes(sound)
        while len(self._rest) >= self._size:
            frame, self._rest = self._rest[: self._size], self._rest[self._size :]
            self.heard_seconds += FRAME_SECONDS
            silent = sum(map(abs, frame)) / self._size < SILENCE_THRESHOLD
            verdict = self._silent_frame() if silent else self._voiced_frame()
            if verdict is None and self.heard_seconds >= TOTAL_ANALYSIS_TIME:
                verdict = Answerer.UNSURE
            if verdict is not None:
                return verdict
        return None

    def _silent_frame(self) -> Answerer | None:
        self._silence += FRAME_SECONDS
        if self._silence >= BETWEEN_WORDS_SILENCE:
            self._in_word = False
            self._word = 0.0
        if not self._greeted and self._silence >= INITIAL_SILENCE:
            return Answerer.MACHINE
        if self._greeted and self._silence >= AFTER_GREETING_SILENCE:
            return Answerer.HUMAN
        return None

    def _voiced_frame(self) -> Answerer | None:
        self._voice += FRAME_SECONDS
        self._word += FRAME_SECONDS
        if self._word >= MINIMUM_WORD_LENGTH:
            self._greeted = True
            self._silence = 0.0
            if not self._in_word:
                self._in_word = True
                self._words += 1
        if self._words > MAXIMUM_NUMBER_OF_WORDS or (self._greeted and self._voice >= GREETING):
            return Answerer.MACHINE
        return None

    def give_up(self) -> Answerer:
        return Answerer.UNSURE
