"""Bans between the edge, the database and the firewall.

The edge bans by itself and at once; from here its bans reach the database, so that they outlive a restart,
other nodes have them too, and operators see them.  What operators and other nodes did comes the other way.
The firewall, if there is one, is told what is in force, so that packets of the banned cost the edge nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from voice.bans import Ban
from voice.bells import Bell
from voice.store.bans import BanStore
from voice.store.errors import StoreError

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.5
FAULT_SECONDS: Final = 2.0
TIDY_SECONDS: Final = 3_600.0
MOST_NEWS: Final = 200
"""Bans that are written down at a time: a flood of forged sources must not keep the database busy."""


class BanningEdge(Protocol):
    """The edge, as its bans see it."""

    def put_ban(self, ban: Ban) -> None:
        """Takes over a ban, or the end of one."""
        ...

    def take_ban_news(self, most: int) -> Sequence[Ban]:
        """Bans that the edge imposed since it was asked last."""
        ...

    def enforced_bans(self) -> Sequence[Ban]:
        """Bans in force that concern nobody whom the configuration names."""
        ...


class Firewall(Protocol):
    async def apply(self, wanted: Sequence[Ban], now: float) -> None:
        """Keeps out who is banned, and nobody else."""
        ...


class BanKeeper:
    """Of one node.  Run `run` in a task."""

    def __init__(
        self,
        edge: BanningEdge,
        store: BanStore,
        bell: Bell,
        firewall: Firewall | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._edge = edge
        self._store = store
        self._bell = bell
        self._firewall = firewall
        self._clock = clock
        self._version = -1

    async def run(self) -> None:
        """Until cancelled."""
        tidy_at = 0.0
        while True:
            try:
                await self.exchange()
                if asyncio.get_running_loop().time() >= tidy_at:
                    await self._store.tidy()
                    tidy_at = asyncio.get_running_loop().time() + TIDY_SECONDS
            except StoreError as fault:
                log.warning("bans stay as they are for now: %s", fault)
                await asyncio.sleep(FAULT_SECONDS)
            if self._firewall is not None:
                await self._firewall.apply(self._edge.enforced_bans(), self._clock())
            await self._bell.wait(LOOK_SECONDS)

    async def exchange(self) -> None:
        """Tells the database what the edge did, and the edge what others did.  Raises StoreError."""
        news = self._edge.take_ban_news(MOST_NEWS)
        if news:
            await self._store.put(news)
        while True:
            changed, version = await self._store.changed_after(self._version)
            for ban in changed:
                self._edge.put_ban(ban)
            if version == self._version:
                return
            self._version = version
