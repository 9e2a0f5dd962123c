"""Where the calls of a node get their sounds: `SoundLibrary`.

Every sound is a WAV file in one cache on disk, made once for all who ask for it at the same time.
What makes sounds runs in processes of its own, so a step that waits for speech holds up nobody else.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from callflows.model import Utterance
from callflows.ports import Prompt, Unavailable
from voice.speech.beep import FADE_SECONDS, HERTZ, LEVEL, SECONDS, write_beep
from voice.speech.diskcache import DiskCache, file_name
from voice.speech.engine import Engine
from voice.speech.espeak import EspeakEngine
from voice.speech.media import Kept, Media, MediaLimits
from voice.speech.process import WorkerProcess
from voice.speech.singleflight import SingleFlight
from voice.webhooks.client import SafeClient

WAV_HEADER_BYTES = 44
BYTES_PER_SAMPLE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundSettings:
    cache: Path
    """Directory of the sounds that are kept; made when missing."""
    uploads: Path
    """Directory of uploaded files: one directory inside for each account, by its id."""
    cache_bytes: int = 512 << 20
    sample_rate: int = 8000
    """Of every sound, in samples per second: that of the bridge."""
    max_seconds: float = 600.0
    """Of one sound."""
    max_download_bytes: int = 20 << 20
    download_seconds: float = 15.0
    job_seconds: float = 20.0
    """How long speaking or decoding one sound may take before its process is given up."""
    queue_limit: int = 64
    """How many sounds may wait to be spoken, and how many to be decoded."""


class SoundLibrary:
    """Use as ``async with``, or `start` and `close`.  The client is the caller's to start and close."""

    def __init__(
        self,
        settings: SoundSettings,
        client: SafeClient,
        *,
        engine: Engine | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._engine = engine or EspeakEngine(
            job_seconds=settings.job_seconds,
            queue_limit=settings.queue_limit,
            max_seconds=settings.max_seconds,
        )
        self._decoder = WorkerProcess(
            "media", job_seconds=settings.job_seconds, queue_limit=settings.queue_limit
        )
        # Absolute: the workers have working directories of their own.
        self._cache = DiskCache(settings.cache.absolute(), settings.cache_bytes, clock)
        limits = MediaLimits(
            uploads=settings.uploads.absolute(),
            sample_rate=settings.sample_rate,
            max_seconds=settings.max_seconds,
            max_download_bytes=settings.max_download_bytes,
            download_seconds=settings.download_seconds,
        )
        self._media = Media(limits, self._cache, client, self._decoder, clock)
        self._making: SingleFlight[Kept] = SingleFlight()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def worker_pids(self) -> dict[str, int | None]:
        """Of the processes that make sounds, by kind; None for one that does not run now."""
        speaker = self._engine.worker_pid if isinstance(self._engine, EspeakEngine) else None
        return {"speech": speaker, "media": self._decoder.pid}

    async def start(self) -> None:
        """Opens the cache, starts the process that speaks; the one that decodes starts with the first file.

        Raises OSError when the cache cannot be opened, Unavailable when the process does not start.
        """
        await asyncio.to_thread(self._cache.open)
        await self._engine.start()

    async def close(self) -> None:
        """Ends what is being made, and the processes; who waits gets Unavailable or is cancelled."""
        await self._making.close()
        await self._engine.close()
        await self._decoder.close()

    async def speech(self, utterance: Utterance) -> Prompt:
        """The utterance as a sound.  Raises Unavailable."""
        self._engine.check(utterance)
        parts = [[type(part).__name__, asdict(part)] for part in utterance.parts]
        name = file_name(
            ".wav",
            "speech",
            self._engine.identity,
            str(self._settings.sample_rate),
            json.dumps([utterance.language.lower(), utterance.voice.lower(), parts], sort_keys=True),
        )
        return await self._made(name, lambda to: self._speak(utterance, to))

    async def media(self, source: str, account_id: str) -> Prompt:
        """The sound at an http(s) URL, or in a file that the account uploaded.  Raises Unavailable."""
        if source[:8].lower().startswith(("http://", "https://")):
            return self._prompt(await self._making.run(f"url {source}", lambda: self._media.from_url(source)))
        return self._prompt(
            await self._making.run(
                f"upload {account_id} {source}", lambda: self._media.from_upload(source, account_id)
            )
        )

    async def beep(self) -> Prompt:
        """The tone before a recording.  Raises Unavailable."""
        rate = self._settings.sample_rate
        name = file_name(".wav", "beep", f"{rate} {HERTZ} {SECONDS} {LEVEL} {FADE_SECONDS}")
        return await self._made(name, lambda to: asyncio.to_thread(write_beep, to, rate))

    async def _speak(self, utterance: Utterance, to: Path) -> None:
        await self._engine.speak(utterance, sample_rate=self._settings.sample_rate, to=to)

    async def _made(self, name: str, make: Callable[[Path], Awaitable[None]]) -> Prompt:
        """The sound of this name, from the cache, or written by `make` and kept."""
        kept = self._cache.find(name) or await self._making.run(name, lambda: self._make(name, make))
        return self._prompt(kept)

    async def _make(self, name: str, make: Callable[[Path], Awaitable[None]]) -> Kept:
        unfinished = self._cache.unfinished(".wav")
        try:
            await make(unfinished)
            return await asyncio.to_thread(self._cache.keep, unfinished, name)
        except OSError as error:
            raise Unavailable(
                f"A sound cannot be kept ({error.strerror}). See to the disk of sounds."
            ) from error
        finally:
            unfinished.unlink(missing_ok=True)

    def _prompt(self, kept: Kept) -> Prompt:
        path, size = kept
        seconds = (size - WAV_HEADER_BYTES) / BYTES_PER_SAMPLE / self._settings.sample_rate
        return Prompt(path=str(path), seconds=seconds)
