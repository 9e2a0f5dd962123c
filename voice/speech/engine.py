"""What makes speech of text, as the library sees it.

Another engine takes the default one's place by having these methods.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from callflows.model import Utterance


class Engine(Protocol):
    """Text to WAV."""

    @property
    def identity(self) -> str:
        """Name and version: sounds of another identity in the cache are not this one's."""
        ...

    async def start(self) -> None:
        """Gets ready, so that the first caller does not wait for it."""
        ...

    async def close(self) -> None: ...

    def check(self, utterance: Utterance) -> None:
        """Raises Unavailable when this can never be spoken: unknown language, too long."""
        ...

    async def speak(self, utterance: Utterance, *, sample_rate: int, to: Path) -> None:
        """Writes the utterance to `to` as a 16-bit mono WAV file.  Raises Unavailable."""
        ...
