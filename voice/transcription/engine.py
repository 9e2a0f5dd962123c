"""What a transcription engine has to offer."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Engine(Protocol):
    """Speech to text for some languages.  `start` may be called again after `close`."""

    def refusal(self, language: str) -> str | None:
        """Why this language cannot be transcribed, as a sentence that says what to do; None: it can."""
        ...

    async def transcribe(self, path: Path, language: str) -> str:
        """The words of a 16-bit mono WAV file; empty when none were heard.

        Raises `callflows.ports.Unavailable` with a sentence for the customer.
        """
        ...

    async def close(self) -> None: ...
