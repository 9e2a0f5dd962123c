"""Files and tones that are joined to a leg, each created and destroyed in the pjsua2 thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pjsua2 as pj

from voice.media.pj.endpoint import destroy
from voice.media.seam import FileWritten, MediaError
from voice.media.wav import GrowingWav, is_marked_open, mark_open, set_sizes

if TYPE_CHECKING:
    from voice.media.pj.leg import PjLeg

log = logging.getLogger(__name__)

FOLLOW_SECONDS = 0.5
"""How often a recording's header is brought up to date and its silence measured."""

CLOSING_SECONDS = 1.0
CLOSING_LOOKS = 100

RINGBACK = (425, 1000, 4000)
"""Ringing tone of most of the world: Hz, on and off in ms (ITU-T E.180)."""


class _Player(pj.AudioMediaPlayer):  # type: ignore[misc]  # pjsua2 has no types
    def __init__(self, ended: Callable[[], None]) -> None:
        super().__init__()
        self._ended = ended

    def onEof2(self) -> None:  # pjsua2's name
        self._ended()


class PjPlayback:
    """A file that is played to a leg."""

    def __init__(self, leg: PjLeg, path: str) -> None:
        self._leg = leg
        self._events = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._path = path
        self._player: _Player | None = None

    async def start(self) -> None:
        await self._leg.opened(self._open)

    def _open(self) -> None:
        """In the pjsua2 thread."""
        ended, events = self._ended, self._events

        def at_end() -> None:
            events.call_soon_threadsafe(ended.set)

        player = _Player(at_end)
        player.createPlayer(self._path, pj.PJMEDIA_FILE_NO_LOOP)
        self._player = player
        self._leg.mix.add_source(player)

    def _close(self) -> None:
        """In the pjsua2 thread."""
        if self._player is not None:
            self._leg.mix.drop_source(self._player)
            self._leg.thread.destroy_later(self._player)
            self._player = None

    async def finished(self) -> None:
        await self._ended.wait()

    async def stop(self) -> None:
        # After `_open`, whatever became of it: jobs run in the order in which they were posted.
        await self._leg.thread.run(self._close)


class PjFileWriter:
    """A WAV file that what a leg says is written to; `whole`: and what it hears."""

    def __init__(self, leg: PjLeg, path: str, rate: int, *, whole: bool) -> None:
        self._leg = leg
        self._whole = whole
        self._path = Path(path)
        self._rate = rate
        self._recorder: pj.AudioMediaRecorder | None = None
        self._follower: asyncio.Task[None] | None = None
        self._growing = GrowingWav(self._path, rate)
        self._lost: OSError | ValueError | None = None
        """Why the file cannot be followed any more."""
        self._grew = asyncio.Condition()

    async def start(self) -> None:
        await self._leg.opened(self._open)
        self._follower = asyncio.create_task(self._follow(), name=f"recording {self._path.name}")

    def _open(self) -> None:
        """In the pjsua2 thread."""
        recorder = pj.AudioMediaRecorder()
        recorder.createRecorder(str(self._path))
        self._recorder = recorder
        self._leg.mix.add_sink(recorder, whole=self._whole)
        # A file grows only while something is joined to it, and a re-INVITE takes the leg's slot away: the
        # null device's silence is always there.
        self._leg.thread.endpoint.audDevManager().getCaptureDevMedia().startTransmit(recorder)

    def _close(self) -> None:
        """In the pjsua2 thread."""
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            raise MediaError(f"nothing was recorded to {self._path}")
        self._leg.mix.drop_sink(recorder)
        try:
            mark_open(self._path)
        except OSError as error:
            raise MediaError(f"{self._path} is lost: {error}") from error
        finally:
            destroy(recorder)

    async def _follow(self) -> None:
        while self._lost is None:
            await asyncio.sleep(FOLLOW_SECONDS)
            try:
                self._growing.catch_up()
            except (OSError, ValueError) as error:
                self._lost = error
            async with self._grew:
                self._grew.notify_all()

    async def silent(self, seconds: float) -> None:
        async with self._grew:
            await self._grew.wait_for(lambda: self._lost or self._growing.silent_seconds >= seconds)
        if self._lost is not None:
            raise MediaError(f"{self._path} can no longer be read: {self._lost}")

    async def _closed(self) -> None:
        """Returns when the stack has let go of the file, or when it took too long.

        The bridge removes ports, and so closes files, at its next tick; nothing tells when.
        """
        for _ in range(CLOSING_LOOKS):
            if not is_marked_open(self._path):
                return
            await asyncio.sleep(CLOSING_SECONDS / CLOSING_LOOKS)
        log.warning(
            "%s was not closed within %g s: its last moment may be missing", self._path, CLOSING_SECONDS
        )

    async def stop(self) -> FileWritten:
        if self._follower is not None:
            self._follower.cancel()
        await self._leg.thread.run(self._close)
        try:
            await self._closed()
            length = set_sizes(self._path)
        except (OSError, ValueError) as error:
            raise MediaError(f"{self._path} is lost: {error}") from error
        return FileWritten(seconds=length.seconds, size=length.size)


class Ringback:
    """The local ringing tone, joined to a leg."""

    def __init__(self, leg: PjLeg) -> None:
        self._leg = leg
        self._generator: pj.ToneGenerator | None = None

    def open(self, rate: int) -> None:
        """In the pjsua2 thread."""
        tone = pj.ToneDesc()
        tone.freq1, tone.on_msec, tone.off_msec = RINGBACK
        tones = pj.ToneDescVector()
        tones.append(tone)
        generator = pj.ToneGenerator()
        generator.createToneGenerator(rate, 1)
        generator.play(tones, True)
        self._generator = generator
        self._leg.mix.add_source(generator)

    def close(self) -> None:
        """In the pjsua2 thread."""
        if self._generator is not None:
            self._leg.mix.drop_source(self._generator)
            destroy(self._generator)
            self._generator = None
