"""Watches the files of the certificates, so that a renewed one is used without a restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from voice.edge.transports.certificates import CertificateFault, Certificates
from voice.records import Event, Journal

log = logging.getLogger(__name__)


class Renewal:
    """Looks now and then; `renew` is for whoever knows better."""

    def __init__(self, certificates: Certificates, journal: Journal, clock: Callable[[], float]) -> None:
        self._certificates = certificates
        self._journal = journal
        self._clock = clock
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def renew(self) -> None:
        """Reads all files; a fault is recorded, and what was read before stays in force."""
        try:
            self._certificates.reload()
        except CertificateFault as fault:
            log.error("the certificates before stay in force: %s", fault)
            kind, detail = "certificates-refused", str(fault)
        else:
            log.info("certificates were read anew")
            kind, detail = "certificates-renewed", "New connections get the certificates as they are now."
        self._journal.write(Event(at=self._clock(), kind=kind, detail=detail))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._certificates.watch_seconds)
            if self._certificates.changed():
                self.renew()
