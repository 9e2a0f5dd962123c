"""The default engine: espeak-ng through pyttsx3, in a worker process."""

from __future__ import annotations

import unicodedata
from importlib.metadata import version
from pathlib import Path

from callflows.model import Silence, Utterance, Words
from callflows.ports import Unavailable
from voice.speech.process import WorkerProcess
from voice.speech.voices import voice_name

RECIPE = 1
"""Counted up when the same versions of the libraries would make another sound of the same words."""

SLOWEST, FASTEST = 0.5, 2.0


class EspeakEngine:
    """Offline, free of system packages, quick (a sentence in some 30 ms), and plainly a machine's voice.

    The voices of espeak-ng are male; ``female`` is its female variant of the same pronunciation.  See
    `voice.speech.voices` for the languages and what is approximate about them.
    """

    def __init__(
        self,
        *,
        job_seconds: float = 20.0,
        queue_limit: int = 64,
        max_characters: int = 5000,
        max_seconds: float = 600.0,
    ) -> None:
        self._worker = WorkerProcess("speech", job_seconds=job_seconds, queue_limit=queue_limit)
        self._max_characters = max_characters
        self._max_seconds = max_seconds
        libraries = ", ".join(f"{name} {version(name)}" for name in ("pyttsx3", "espeakng-loader", "soxr"))
        self._identity = f"{libraries}, recipe {RECIPE}"

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def worker_pid(self) -> int | None:
        """Of the process that speaks; None when none runs."""
        return self._worker.pid

    async def start(self) -> None:
        await self._worker.start()

    async def close(self) -> None:
        await self._worker.close()

    def check(self, utterance: Utterance) -> None:
        voice_name(utterance.language, utterance.voice)
        characters = sum(len(part.text) for part in utterance.parts if isinstance(part, Words))
        if characters > self._max_characters:
            raise Unavailable(
                f"A text of {characters} characters is too long to say; {self._max_characters} at most. "
                "Split it into several steps."
            )
        quiet = sum(part.seconds for part in utterance.parts if isinstance(part, Silence))
        if quiet > self._max_seconds:
            raise Unavailable(f"Breaks of {quiet:g} s are too long; {self._max_seconds:g} s at most.")

    async def speak(self, utterance: Utterance, *, sample_rate: int, to: Path) -> None:
        self.check(utterance)
        await self._worker.do(
            {
                "voice": voice_name(utterance.language, utterance.voice),
                "parts": [_part(part) for part in utterance.parts],
                "rate": sample_rate,
                "max_seconds": self._max_seconds,
                "to": str(to),
            }
        )


def _part(part: Words | Silence) -> dict[str, object]:
    if isinstance(part, Silence):
        return {"silence": max(0.0, part.seconds)}
    return {"text": _speakable(part.text), "rate": min(FASTEST, max(SLOWEST, part.rate))}


def _speakable(text: str) -> str:
    """Without control characters (espeak-ng takes some as commands) and halves of surrogate pairs."""
    return "".join(" " if unicodedata.category(sign) in {"Cc", "Cs"} else sign for sign in text)
