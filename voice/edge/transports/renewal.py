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

log = logging.getLogger(__name__)


class Renewal:
    """Looks now and then; `renew` is for whoever knows better."""

    def __init__(self, certificates: Certificates, journal: Journal, clock: Callable[[], float]) -> None:
        self._certificates = certificates
        self._journal = journal
        self._clock = clock
        self._warned_of: datetime | None = None
        """The end of a certificate, once it was said that it is near."""
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
        while True:
            self._warn()
            await asyncio.sleep(self._certificates.watch_seconds)
            if self._certificates.changed():
                self.renew()
