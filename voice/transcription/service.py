"""Works through the transcriptions that were asked for, oldest first, one at a time.

They wait in the store, so a restart forgets none: one that was being made begins anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from callflows.ports import Unavailable
from voice.bells import Bells
from voice.store.errors import StoreError
from voice.store.transcriptions import Job, TranscriptionStore
from voice.transcription.engine import Engine

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
"""A recording that is being written, or another process, rings no bell here."""
RETRY_SECONDS: Final = 5.0

_GONE: Final = "The recording was deleted or has failed, so there is nothing to transcribe."


class TranscriptionService:
    """`await service.run()` until it is cancelled; it closes the engines that it was given."""

    def __init__(
        self, store: TranscriptionStore, engines: Sequence[Engine], bells: Bells, recordings: Path
    ) -> None:
        self._store = store
        self._engines = tuple(engines)
        self._bells = bells
        self._recordings = recordings
        """Files outside this directory are not read."""

    async def run(self) -> None:
        try:
            await self._insist()
        finally:
            for engine in self._engines:
                await engine.close()

    async def _insist(self) -> None:
        """Goes on when the database comes back."""
        reopened = False
        while True:
            try:
                if not reopened:
                    await self._store.reopen()
                    reopened = True
                while (job := await self._store.claim()) is not None:
                    await self._make(job)
            except StoreError as fault:
                log.warning("transcriptions wait for the database: %s", fault)
                # One may be marked as being made that nobody makes.
                reopened = False
                await asyncio.sleep(RETRY_SECONDS)
                continue
            await self._bells.transcriptions.wait(LOOK_SECONDS)

    async def _make(self, job: Job) -> None:
        try:
            text = await self._text(job)
        except Unavailable as reason:
            await self._store.failed(job.row, str(reason))
        except Exception:
            log.exception("transcription %s failed by a bug", job.row["id"])
            await self._store.failed(job.row, "An internal error; the log of the node says more.")
        else:
            await self._store.done(job.row, text)

    async def _text(self, job: Job) -> str:
        if job.path is None:
            raise Unavailable(_GONE)
        engine = self._engine(str(job.row["language"]))
        path = await asyncio.to_thread(self._file, job.path)
        return await engine.transcribe(path, str(job.row["language"]))

    def _file(self, path: str) -> Path:
        """Raises Unavailable when it is not there, or not among the recordings."""
        file = Path(path).resolve()
        if not file.is_relative_to(self._recordings.resolve()) or not file.is_file():
            raise Unavailable(_GONE)
        return file

    def _engine(self, language: str) -> Engine:
        """The first that serves the language.  Raises Unavailable with what the last one says."""
        reason = "This node has no transcription engine."
        for engine in self._engines:
            refusal = engine.refusal(language)
            if refusal is None:
                return engine
            reason = refusal
        raise Unavailable(reason)
