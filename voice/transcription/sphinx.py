"""Pocketsphinx: offline, from PyPI, with a model of American English inside its wheel.

It understands single words and short phrases of clear speech, and guesses at the rest: telephone sound
has half the bandwidth that its model was trained on.  Whoever needs more brings an engine of their own.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from voice.speech.process import WorkerProcess

LONGEST_SECONDS: Final = 600.0
"""Of a recording: about three minutes of work, on one core at low priority."""
JOB_SECONDS: Final = 600.0

_LANGUAGES: Final = {"en", "en-us"}


class PocketsphinxEngine:
    """One recording at a time, in a process of its own that starts with the first one."""

    def __init__(self, *, longest_seconds: float = LONGEST_SECONDS, job_seconds: float = JOB_SECONDS) -> None:
        self._longest_seconds = longest_seconds
        self._worker = WorkerProcess(
            "transcription", job_seconds=job_seconds, queue_limit=1, module="voice.transcription.worker"
        )

    @property
    def worker_pid(self) -> int | None:
        """Of the process that listens; None when none runs."""
        return self._worker.pid

    def refusal(self, language: str) -> str | None:
        if language.lower() not in _LANGUAGES:
            return f"No engine here transcribes {language}. Use en-US."
        if find_spec("pocketsphinx") is None:
            return (
                "No transcription engine is installed on this node. "
                "Its operator installs one with: pip install 'trunkflow[transcription]'."
            )
        return None

    async def transcribe(self, path: Path, language: str) -> str:
        answer = await self._worker.do({"path": str(path), "longest_seconds": self._longest_seconds})
        return str(answer["text"])

    async def close(self) -> None:
        await self._worker.close()
