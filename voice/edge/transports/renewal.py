"""Watches the files of the certificates, so that a renewed one is used without a restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Final

from voice.edge.transports.certificates import CertificateFault, Certificates
from voice.records import Event, Journal

WARNING_SECONDS: Final = 14 * 86_400.0
"""Before the end of a certificate."""

_MOST_TOLD: Final = 10
"""Files with a fault, each time that all are read."""

log = logging.getLogger(__name__)


class Renewal:
    """Looks now and then; `renew` is for whoever knows better.

    Files are read in a thread: a thousand certificates take seconds, which calls do not have.
    """

    def __init__(self, certificates: Certificates, journal: Journal, clock: Callable[[], float]) -> None:
        self._certificates = certificates
        self._journal = journal
        self._clock = clock
        self._warned_of: datetime | None = None
        """The end of a certificate, once it was said that it is near."""
        self._asked = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def renew(self) -> None:
        """Has all files read, at once, whatever their times say."""
        self._asked.set()

    async def _renew(self) -> None:
        """A fault is recorded, and what was read before stays in force."""
        try:
            await asyncio.to_thread(self._certificates.reload)
        except CertificateFault as fault:
            self._refused(fault)
            return
        self._tell_faults()
        if not self._certificates.faults:
            log.info("certificates were read anew")
            detail = "New connections get the certificates as they are now."
            self._journal.write(Event(at=self._clock(), kind="certificates-renewed", detail=detail))

    def _tell_faults(self) -> None:
        for fault in self._certificates.faults[:_MOST_TOLD]:
            self._refused(fault)

    def _refused(self, fault: CertificateFault) -> None:
        log.error("what was read of a certificate before stays in force: %s", fault)
        self._journal.write(Event(at=self._clock(), kind="certificates-refused", detail=str(fault)))

    def _warn(self) -> None:
        """Says once of each certificate that its end is near."""
        ends, path = self._certificates.expiry
        now = self._clock()
        left = ends.timestamp() - now
        if left > WARNING_SECONDS or ends == self._warned_of:
            return
        self._warned_of = ends
        detail = f"The certificate {path} is good until {ends:%Y-%m-%d %H:%M} UTC: renew it."
        log.warning("%s", detail)
        self._journal.write(Event(at=now, kind="certificate-expires", detail=detail))

    async def _watch(self) -> None:
        self._tell_faults()
        while True:
            self._warn()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._certificates.watch_seconds):
                    await self._asked.wait()
            asked = self._asked.is_set()
            self._asked.clear()
            if asked or await asyncio.to_thread(self._certificates.changed):
                await self._renew()
