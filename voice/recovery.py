"""Gives calls an end on record when nobody was left who saw it.

A call process that dies under its node is cleaned up after by its pool, one that outlives its node
comes back to the next.  When both die together, as in a power cut, nobody tells what became of their
calls; and a plain trunk call, which has no process, may end while no edge is there for its BYE.
An outgoing call that was claimed and never dialled goes back into the queue: nobody was called.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from voice.pool.aftermath import salvaged
from voice.pool.link import RECONNECT_SECONDS
from voice.records import CallEnded, CallStatus, Journal, LegChanged, LegStatus
from voice.store.database import Database
from voice.store.errors import StoreError
from voice.store.open_calls import OpenCall, open_calls_of, overdue_calls
from voice.store.outbound import OutboundStore

log = logging.getLogger(__name__)

CLAIM_SECONDS = 20 * RECONNECT_SECONDS
"""How long call processes of an earlier node have to come back."""

LOOK_SECONDS = 600.0
"""How often calls without an end are looked for."""

OVERDUE_SECONDS = 300.0
"""How much longer: the pool and the edge end calls themselves when their time is up."""

LOST = "The node and the call process died together: how the call ended is not known."
OVERDUE = "The end of the call was not seen; it would have lasted longer than a call may."


class Recovery:
    """Of one node; `alive` says whether the pool has a call."""

    def __init__(
        self,
        database: Database,
        journal: Journal,
        node: str,
        alive: Callable[[str], bool],
        clock: Callable[[], float],
        outbound: OutboundStore | None = None,
    ) -> None:
        self._database = database
        self._journal = journal
        self._node = node
        self._alive = alive
        self._clock = clock
        self._outbound = outbound or OutboundStore(database, clock)

    async def run(self, began: float) -> None:
        """From the start of the node, at `began`, to its end."""
        await asyncio.sleep(CLAIM_SECONDS)
        while True:
            try:
                await self._end_lost(began)
                await self._settle_outgoing(began)
                await self._end_overdue()
            except StoreError as fault:
                log.warning("calls without an end on record cannot be looked for now: %s", fault)
            await asyncio.sleep(LOOK_SECONDS)

    async def _end_lost(self, began: float) -> None:
        """Those that ran here before the start and did not come back."""
        for call in await open_calls_of(self._database, self._node, before=began):
            if not self._alive(call.id):
                log.warning("call %s was lost before the node started", call.id)
                await self._end(call, CallStatus.FAILED, LOST)

    async def _settle_outgoing(self, began: float) -> None:
        """Queues those again that were claimed here before the start and that no process has."""
        for call_id, leg_id in await self._outbound.claimed_before(self._node, began):
            if not self._alive(call_id):
                log.warning("call %s was not placed before the node died; it is queued again", call_id)
                await self._outbound.unclaim(call_id, leg_id)
                self._outbound.ring()
        await self._outbound.settle()

    async def _end_overdue(self) -> None:
        """Those that have lasted longer than they may, also plain trunk calls."""
        for call in await overdue_calls(self._database, now=self._clock(), grace=OVERDUE_SECONDS):
            if not self._alive(call.id):
                await self._end(call, CallStatus.ENDED if call.answered else CallStatus.FAILED, OVERDUE)

    async def _end(self, call: OpenCall, status: CallStatus, reason: str) -> None:
        # Whatever part did tell its end before, and is still on its way to the database, counts.
        now = self._clock()
        for recording_id, path in call.recordings:
            self._journal.write(await asyncio.to_thread(salvaged, recording_id, call.id, Path(path), now))
        for leg_id in call.legs:
            self._journal.write(LegChanged(leg_id=leg_id, call_id=call.id, at=now, status=LegStatus.FAILED))
        self._journal.write(CallEnded(call_id=call.id, at=now, status=status, reason=reason))
