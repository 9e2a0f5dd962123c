"""A recording of a leg under way, for the caller's and for a callee's."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from callflows.ports import Recorded, RecordingPlace, Unavailable
from voice.media.seam import FileWriter, MediaError, MediaLeg

WhileLive = Callable[[Awaitable[Any]], Awaitable[Any]]
"""Gives the result of work on a leg, or raises CallGone as soon as the leg has ended."""


class LiveRecorder:
    """A `Recorder` of `callflows.ports` over a `FileWriter`."""

    def __init__(self, place: RecordingPlace, writer: FileWriter, while_live: WhileLive) -> None:
        self._place = place
        self._writer = writer
        self._while_live = while_live

    async def silent(self, seconds: float) -> None:
        with or_unavailable("The recording was broken off"):
            await self._while_live(self._writer.silent(seconds))

    async def stop(self) -> Recorded:
        with or_unavailable("The recording is lost"):
            written = await self._writer.stop()
        return Recorded(id=self._place.id, seconds=written.seconds, size=written.size)


async def start_recorder(
    leg: MediaLeg, place: RecordingPlace, while_live: WhileLive, *, whole: bool = False
) -> LiveRecorder:
    """Begins to record what the leg says; with `whole`, also what it hears.

    Raises Unavailable when the file cannot be written, and what `while_live` raises.
    """
    writer = leg.writer(place.path, whole=whole)
    try:
        with or_unavailable(f"The recording {place.path} cannot begin"):
            await while_live(writer.start())
    except BaseException:
        with contextlib.suppress(MediaError):
            await writer.stop()
        raise
    return LiveRecorder(place, writer, while_live)


@contextmanager
def or_unavailable(what: str) -> Iterator[None]:
    """A step that cannot be done is not a bug: the callflow goes on with the next one."""
    try:
        yield
    except MediaError as error:
        raise Unavailable(f"{what}: {error}") from error
