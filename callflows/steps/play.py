"""`play`: plays audio files, from URLs or uploaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from callflows.addresses import HOST, PORT
from callflows.kinds import Matching, Several, Truth
from callflows.sounds import Media, Sound
from callflows.steps.base import Call, Need, Outcome, Step, Word

_URL = f"https?://({HOST})({PORT})?/[!$-;=?-~]*\\.([wW][aA][vV]|[mM][pP]3)"
_NAME = "[A-Za-z0-9_][A-Za-z0-9._\\-]{0,127}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Play(Step):
    """Plays audio files to the caller, one after another."""

    source: tuple[str, ...]
    """http(s) URLs of WAV or MP3 files, or names of files that the account uploaded."""
    early: bool = False
    """Play before the call is answered, where nothing answered it yet."""

    action: ClassVar = "play"
    options: ClassVar = {
        "source": Several(
            each=Matching(
                pattern=f"{_URL}|{_NAME}",
                longest=2000,
                described="an http or https URL that ends in .wav or .mp3, "
                "or the name of an uploaded file (letters, digits, . _ -)",
            ),
            at_most=20,
        ),
        "early": Truth(),
    }

    @property
    def needs(self) -> Need:
        return Need.EARLY_MEDIA if self.early else Need.ANSWERED

    def sounds(self) -> tuple[Sound, ...]:
        return tuple(Media(source=source) for source in self.source)

    async def run(self, call: Call) -> Outcome:
        for sound in self.sounds():
            await call.play(sound)
        return Outcome(word=Word.DONE)
