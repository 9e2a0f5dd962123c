"""Customers' sound files, from their web servers or uploaded, made playable."""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

from callflows.ports import Unavailable
from voice.speech.diskcache import DiskCache, file_name
from voice.speech.freshness import freshness
from voice.speech.process import WorkerProcess
from voice.webhooks.client import Answer, FetchFailed, SafeClient

Kept = tuple[Path, int]
"""Path and size of a WAV file in the cache."""

STALE_SECONDS = 86_400.0
"""How long beyond its freshness a sound may be played while its server cannot be reached."""

DOWNLOADS = 8
"""At once; each holds up to `max_download_bytes` of memory."""

_UPLOAD = re.compile(r"[\w][\w. -]{0,127}", re.ASCII)
_ACCOUNT = re.compile(r"[\w-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Visit:
    """What is known of a URL since it was last asked for; kept as JSON."""

    sound: str
    """Name of the WAV file in the cache."""
    fresh_until: float
    stale_if_error: bool
    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaLimits:
    uploads: Path
    """Holds one directory for each account, by its id."""
    sample_rate: int
    max_seconds: float
    max_download_bytes: int
    download_seconds: float


class Media:
    """Makes WAV and MP3 files into what calls play, each version of each file once."""

    def __init__(
        self,
        limits: MediaLimits,
        cache: DiskCache,
        client: SafeClient,
        worker: WorkerProcess,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._limits = limits
        self._cache = cache
        self._client = client
        self._worker = worker
        self._clock = clock
        self._downloads = asyncio.Semaphore(DOWNLOADS)
        self._recipe = f"soundfile {version('soundfile')}, soxr {version('soxr')}, {limits.sample_rate} Hz"

    async def from_url(self, url: str) -> Kept:
        """Raises Unavailable."""
        visit_name = file_name(".json", "visit", url)
        visit = await self._last_visit(visit_name)
        kept = None if visit is None else self._cache.find(visit.sound)
        if visit is not None and kept is not None and self._clock() < visit.fresh_until:
            return kept
        try:
            async with self._downloads:
                answer = await self._download(url, visit if kept is not None else None)
        except FetchFailed:
            if visit is not None and kept is not None and self._may_be_stale(visit):
                return kept
            raise
        if answer.status != 304:
            name = file_name(".wav", "media", self._recipe, sha256(answer.body).hexdigest())
            kept = self._cache.find(name) or await self._decoded(
                name, answer.body, f"The sound at {answer.url}"
            )
        assert kept is not None  # only asked "changed since?" when something is kept
        await self._remember(visit_name, kept[0].name, answer, visit)
        return kept

    async def from_upload(self, name: str, account_id: str) -> Kept:
        """A file in the account's own directory.  Raises Unavailable."""
        if not _UPLOAD.fullmatch(name) or not _ACCOUNT.fullmatch(account_id):
            raise Unavailable(
                f"{name[:80]!r} is neither a URL nor the name of an uploaded file. Write http:// or https:// "
                "in front, or a name of letters, digits, '.', '-', '_' and spaces, up to 128."
            )
        return await asyncio.to_thread(self._kept_upload, name, account_id) or await self._decoded(
            *await asyncio.to_thread(self._read_upload, name, account_id), f"The uploaded file {name}"
        )

    def _kept_upload(self, name: str, account_id: str) -> Kept | None:
        with self._opened_upload(name, account_id) as file:
            return self._cache.find(self._upload_name(file))

    def _read_upload(self, name: str, account_id: str) -> tuple[str, bytes]:
        """The name in the cache of what the file is now, and its content."""
        limit = self._limits.max_download_bytes
        with self._opened_upload(name, account_id) as file:
            kept_as, content = self._upload_name(file), file.read(limit + 1)
        if len(content) > limit:
            raise Unavailable(f"The uploaded file {name} has more than {limit} bytes. Make it smaller.")
        return kept_as, content

    def _upload_name(self, file: BinaryIO) -> str:
        status = os.fstat(file.fileno())
        version_of_file = f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns}"
        return file_name(".wav", "upload", self._recipe, version_of_file)

    def _opened_upload(self, name: str, account_id: str) -> BinaryIO:
        path = self._limits.uploads / account_id / name
        try:
            # A link could lead out of the account's directory, opening a pipe could take for ever.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise Unavailable(f"There is no uploaded file {name}. Upload it, or correct the name.") from None
        except OSError as error:
            raise Unavailable(
                f"The uploaded file {name} cannot be read ({error.strerror}). Upload it again."
            ) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise Unavailable(f"The uploaded file {name} is not a file. Upload it again.")
        return os.fdopen(descriptor, "rb")

    async def _download(self, url: str, visit: _Visit | None) -> Answer:
        conditions: dict[str, str] = {"Accept": "audio/wav, audio/x-wav, audio/mpeg, */*;q=0.1"}
        if visit is not None and visit.etag:
            conditions["If-None-Match"] = visit.etag
        if visit is not None and visit.last_modified:
            conditions["If-Modified-Since"] = visit.last_modified
        return await self._client.get(
            url,
            max_bytes=self._limits.max_download_bytes,
            seconds=self._limits.download_seconds,
            headers=lambda _: conditions,
            accept=frozenset({200}) if visit is None else frozenset({200, 304}),
        )

    async def _decoded(self, name: str, content: bytes, what: str) -> Kept:
        """The content as a playable WAV, kept as `name`.  Raises Unavailable, beginning with `what`."""
        source, to = self._cache.unfinished(), self._cache.unfinished(".wav")
        try:
            await asyncio.to_thread(source.write_bytes, content)
            await self._worker.do(
                {
                    "from": str(source),
                    "to": str(to),
                    "rate": self._limits.sample_rate,
                    "max_seconds": self._limits.max_seconds,
                }
            )
            return await asyncio.to_thread(self._cache.keep, to, name)
        except Unavailable as error:
            raise Unavailable(f"{what} cannot be played. {error}") from error
        except OSError as error:
            raise Unavailable(
                f"{what} cannot be kept ({error.strerror}). See to the disk of sounds."
            ) from error
        finally:
            source.unlink(missing_ok=True)
            to.unlink(missing_ok=True)

    async def _last_visit(self, name: str) -> _Visit | None:
        found = self._cache.find(name)
        if found is None:
            return None
        try:
            return _Visit(**json.loads(await asyncio.to_thread(found[0].read_bytes)))
        except (OSError, ValueError, TypeError):  # removed meanwhile, or of another release
            return None

    async def _remember(self, name: str, sound: str, answer: Answer, before: _Visit | None) -> None:
        fresh = freshness(answer.headers)
        visit = _Visit(
            sound=sound,
            fresh_until=self._clock() + fresh.seconds,
            stale_if_error=fresh.stale_if_error,
            etag=_validator(answer, "ETag", before.etag if before else ""),
            last_modified=_validator(answer, "Last-Modified", before.last_modified if before else ""),
        )
        await asyncio.to_thread(self._write_visit, name, visit)

    def _write_visit(self, name: str, visit: _Visit) -> None:
        unfinished = self._cache.unfinished()
        unfinished.write_text(json.dumps(asdict(visit)))
        self._cache.keep(unfinished, name)

    def _may_be_stale(self, visit: _Visit) -> bool:
        return visit.stale_if_error and self._clock() < visit.fresh_until + STALE_SECONDS


def _validator(answer: Answer, header: str, before: str) -> str:
    """The validator to send next time; a 304 may leave it out, and then the one before still holds."""
    value = answer.headers.get(header, before if answer.status == 304 else "")
    return value if len(value) <= 500 else ""
