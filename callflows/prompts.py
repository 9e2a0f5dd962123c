"""Prompts made ready ahead of time: while one plays, the next is made, so that there is no gap."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from types import TracebackType

from callflows.ports import Prompt, Sounds, Unavailable
from callflows.sounds import Beep, Media, Sound, Speech

LONGEST_WAIT = 15.0
"""Seconds that a caller may wait in silence for a sound; then it counts as unavailable."""


class Prompts:
    """The prompts of one call, at most one of them made ahead.

    An asynchronous context: what is still being made when it closes is cancelled.
    """

    def __init__(self, sounds: Sounds, upcoming: Iterable[Sound]) -> None:
        self._sounds = sounds
        self._upcoming = deque(upcoming)
        self._ahead: tuple[Sound, asyncio.Task[Prompt | Unavailable]] | None = None
        self._making: set[asyncio.Task[Prompt | Unavailable]] = set()

    async def __aenter__(self) -> Prompts:
        self._make_next()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for making in self._making:
            making.cancel()
        if self._making:
            await asyncio.wait(self._making)

    async def ready(self, within: float) -> bool:
        """Whether the next sound is ready, or known to be unavailable, within so many seconds."""
        if self._ahead is None:
            return True
        _, making = self._ahead
        await asyncio.wait({making}, timeout=within)
        return making.done()

    async def take(self, sound: Sound) -> Prompt:
        """The sound, ready to play; the one after it is then being made.  Raises Unavailable."""
        if self._ahead and self._ahead[0] == sound:
            _, making = self._ahead
        else:
            if self._ahead:
                self._ahead[1].cancel()
            making = self._start(sound)
        self._ahead = None
        if sound in self._upcoming:
            while self._upcoming.popleft() != sound:
                pass
        made = await making
        self._make_next()
        if isinstance(made, Unavailable):
            raise made
        return made

    def _make_next(self) -> None:
        if self._upcoming:
            sound = self._upcoming[0]
            self._ahead = (sound, self._start(sound))

    def _start(self, sound: Sound) -> asyncio.Task[Prompt | Unavailable]:
        making = asyncio.create_task(self._make(sound))
        self._making.add(making)
        making.add_done_callback(self._making.discard)
        return making

    async def _make(self, sound: Sound) -> Prompt | Unavailable:
        # Unavailable is a result here: a bug raises, and is heard of even when nobody waits for the sound.
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                match sound:
                    case Speech(utterance=utterance):
                        return await self._sounds.speech(utterance)
                    case Media(source=source):
                        return await self._sounds.media(source)
                    case Beep():
                        return await self._sounds.beep()
        except TimeoutError:
            return Unavailable(
                f"The sound was not ready within {LONGEST_WAIT:g} seconds. "
                "Look at the load of the speech engine, or at the server that the file comes from."
            )
        except Unavailable as problem:
            return problem
