"""Places the calls that the API accepted: each exactly once, whenever the node is killed.

The queue is in the database (`voice.store.outbound`).  A call is *queued*; *claimed* by a node, which seats
it in a call process; marked as *dialled*; and *over*.  What makes it once, and not twice or never:

* 201 is answered after the commit that queued the call, so no call is lost before it is placed.
* A claim has an id, which becomes that of the call's first leg.  The process that dials asks the node for a
  ticket; the node marks the call as dialled under this claim, durably, before it gives the ticket out, and
  gives none for another claim.  The edge opens no INVITE without a ticket.  So of any number of processes
  that believe to have the call, one can dial.
* Killed while *claimed*: no ticket was given out, so nobody was called.  A process that lives on asks the
  next node, and dials.  When none comes back, `voice.recovery` puts the call back into the queue; should the
  process come after all, its claim is void, and it lets go of the call.
* Killed when *dialled*, before the process got its ticket: it asks the next node again and is given one,
  since its claim is the same, and an answer that never came was never used.
* Killed when the process had its ticket: the ticket died with the edge.  Whether its INVITE went on can be
  told from the call's legs, because the edge writes `LegStarted`, which is spooled at once, before the
  INVITE leaves.  Without a leg nobody was called, and the process gets another ticket; with one, somebody's
  telephone may have rung, and the call ends with a reason that says so.
* Killed together with the process: *claimed* is queued again, *dialled* ends as failed.  A second call would
  be the worse mistake.
* Over is written after the call's end is told; killed in between, `voice.recovery` catches up.

Accounts take turns, each within its calls per second and concurrent calls, which count together with the
calls that come by SIP.  A call for which there is no place now stays queued.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from sip_config.directory import Directory
from voice.bells import Bells
from voice.edge.core.live_calls import longest, subjects_of
from voice.edge.core.over_limit import OverLimit
from voice.pool.orders import CallOrder, FirstLeg, PoolFull
from voice.records import CallEnded, CallStatus, Event, Journal
from voice.store.errors import StoreError
from voice.store.outbound import OutboundCall, OutboundStore

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.25
"""How often the queue is looked at when nobody rings: another process may have queued something."""
FAULT_SECONDS: Final = 1.0
"""The pause after a fault of the database."""
AT_A_TIME: Final = 8
"""Calls that are being given a seat at once; also how many of one account come before the others' turn."""
MOST_REHEARSALS: Final = 50
"""Simulated calls at a time."""
ACCOUNT_SECONDS: Final = 30.0
"""How long a call waits for its account to come into force: it may be new."""
SETTLE_SECONDS: Final = 10.0
"""How long records of an earlier node may take into the database before they count as unknown."""

Rehearse = Callable[[OutboundCall], Awaitable[None]]
"""Runs a simulated call to its end and writes its records."""


class Seats(Protocol):
    """The pool, as the dispatcher sees it."""

    async def place(self, order: CallOrder) -> None:
        """Has a call process dial the order, which has `outbound`.  Raises PoolFull."""
        ...


class Places(Protocol):
    """The edge, as the dispatcher sees it."""

    def reserve(self, call_id: str, account_id: str) -> OverLimit | None: ...

    def call_ended(self, call_id: str) -> None: ...


class Dispatcher:
    """Of one node.  Run `run` in a task; cancelled, it begins no further call."""

    def __init__(
        self,
        store: OutboundStore,
        seats: Seats,
        places: Places,
        directory: Callable[[], Directory],
        journal: Journal,
        bells: Bells,
        node: str,
        rehearse: Rehearse,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._seats = seats
        self._places = places
        self._directory = directory
        self._journal = journal
        self._bells = bells
        self._node = node
        self._rehearse = rehearse
        self._clock = clock
        self._held: dict[str, float] = {}
        """Account -> loop time before which it gets no further call."""
        self._full_until = 0.0
        self._seating: set[asyncio.Task[None]] = set()
        self._rehearsals: dict[str, asyncio.Task[None]] = {}
        self._draining = False

    def drain(self) -> None:
        """Begins no further call; what is queued waits for the next node."""
        self._draining = True

    def is_rehearsing(self, call_id: str) -> bool:
        """Whether this is a simulated call that runs here."""
        return call_id in self._rehearsals

    async def run(self) -> None:
        """Places what is due, until cancelled."""
        try:
            while True:
                try:
                    begun = 0 if self._draining else await self._round()
                except StoreError as fault:
                    log.warning("the queue of calls cannot be looked at now: %s", fault)
                    await asyncio.sleep(FAULT_SECONDS)
                    continue
                if not begun:
                    await self._bells.calls.wait(self._pause())
        finally:
            tasks = [*self._seating, *self._rehearsals.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _round(self) -> int:
        """One turn of every account; how many calls were begun."""
        now = asyncio.get_running_loop().time()
        self._held = {account: until for account, until in self._held.items() if until > now}
        begun = 0
        for call in await self._store.due(AT_A_TIME):
            if call.account_id in self._held or self._draining:
                continue
            if call.simulated:
                begun += await self._begin_rehearsal(call)
            elif now >= self._full_until:
                begun += await self._begin(call)
        return begun

    def _pause(self) -> float:
        now = asyncio.get_running_loop().time()
        return max(0.0, min([LOOK_SECONDS, *(until - now for until in self._held.values())]))

    def _hold(self, account_id: str, seconds: float) -> None:
        self._held[account_id] = asyncio.get_running_loop().time() + seconds

    # -- real calls ----------------------------------------------------------------------------

    async def _begin(self, call: OutboundCall) -> bool:
        """Claims a call that has a place within its account's limits, and has it seated."""
        account = self._directory().account(call.account_id)
        if account is None:
            return await self._without_account(call)
        over = self._places.reserve(call.call_id, call.account_id)
        if over is not None:
            rate = account.calls_per_second
            by_rate = over.retry_after is not None and rate > 0
            self._hold(call.account_id, min(1 / rate, LOOK_SECONDS) if by_rate else LOOK_SECONDS)
            return False
        try:
            claimed = await self._store.claim(call, self._node)
        except BaseException:
            self._places.call_ended(call.call_id)
            raise
        if not claimed:
            self._places.call_ended(call.call_id)
            return False
        if len(self._seating) >= AT_A_TIME:
            await asyncio.wait(self._seating, return_when=asyncio.FIRST_COMPLETED)
        fallback = account.fallback_callflow_id
        flow = self._directory().callflow(fallback) if fallback else None
        order = order_of(
            call, longest(account, subjects_of(account))[0], None if flow is None else flow.document
        )
        task = asyncio.create_task(self._seat(call, order), name=f"seat for {call.call_id}")
        self._seating.add(task)
        task.add_done_callback(self._seating.discard)
        return True

    async def _seat(self, call: OutboundCall, order: CallOrder) -> None:
        try:
            await self._seats.place(order)
        except PoolFull as full:
            log.info("call %s waits: %s", call.call_id, full)
            self._full_until = asyncio.get_running_loop().time() + LOOK_SECONDS
        except asyncio.CancelledError:
            raise  # The next node finds the claim.
        except Exception:
            log.exception("a bug kept call %s from being placed; it waits", call.call_id)
            self._full_until = asyncio.get_running_loop().time() + FAULT_SECONDS
        else:
            return
        self._places.call_ended(call.call_id)
        try:
            await self._store.unclaim(call.call_id, call.leg_id)
        except StoreError as fault:
            log.error("call %s waits for the next start of the node: %s", call.call_id, fault)

    async def _without_account(self, call: OutboundCall) -> bool:
        if call.created_at > self._clock() - ACCOUNT_SECONDS:
            self._hold(call.account_id, LOOK_SECONDS)
            return False
        reason = "The account of the call is not in force any more."
        return await self._store.cancel(call.call_id, CallStatus.FAILED, reason)

    # -- simulated calls -----------------------------------------------------------------------

    async def _begin_rehearsal(self, call: OutboundCall) -> bool:
        if len(self._rehearsals) >= MOST_REHEARSALS or not await self._store.claim(call, self._node):
            return False
        task = asyncio.create_task(self._run_rehearsal(call), name=f"rehearsal of {call.call_id}")
        self._rehearsals[call.call_id] = task
        task.add_done_callback(lambda _: self._rehearsals.pop(call.call_id))
        return True

    async def _run_rehearsal(self, call: OutboundCall) -> None:
        try:
            if not await self._store.dialled(call.call_id, call.leg_id, self._node):
                return
            try:
                await self._rehearse(call)
            except Exception:
                log.exception("a bug ended the simulated call %s", call.call_id)
                reason = "An internal error ended the call; the log of the node says more."
                now = self._clock()
                self._journal.write(
                    CallEnded(call_id=call.call_id, at=now, status=CallStatus.FAILED, reason=reason)
                )
            await self._store.over(call.call_id)
            self._bells.messages.ring()
        except StoreError as fault:
            log.error("the simulated call %s ends at the next start of the node: %s", call.call_id, fault)


class Outgoing:
    """What the pool asks and tells about outgoing calls (`voice.pool.desk.OutgoingCalls`).

    `flushed` returns when all records that there are now are in the database, or after so many seconds.
    """

    def __init__(
        self,
        store: OutboundStore,
        journal: Journal,
        bells: Bells,
        node: str,
        flushed: Callable[[float], Awaitable[None]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._journal = journal
        self._bells = bells
        self._node = node
        self._flushed = flushed
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    async def dialled(self, call_id: str, leg_id: str) -> bool:
        """Whether this claim may dial; then it is on record that it has.  Raises StoreError."""
        return await self._store.dialled(call_id, leg_id, self._node)

    async def has_legs(self, call_id: str) -> bool:
        """Whether a leg of this call was ever started; in doubt, yes.  Raises StoreError."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self._flushed(SETTLE_SECONDS)
        if loop.time() - began >= SETTLE_SECONDS:
            self._journal.write(
                Event(
                    at=self._clock(),
                    kind="call_not_repeated",
                    detail="The records of the earlier node were not in the database in time.",
                    call_id=call_id,
                )
            )
            return True
        return await self._store.has_legs(call_id)

    def over(self, call_id: str) -> None:
        """The end of this call has been told."""
        task = asyncio.create_task(self._note_end(call_id), name=f"end of {call_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Returns when all ends are on record."""
        await asyncio.gather(*self._tasks)

    async def _note_end(self, call_id: str) -> None:
        try:
            await self._store.over(call_id)
        except StoreError as fault:
            log.error("call %s is over, which the queue learns at the next start: %s", call_id, fault)
        self._bells.messages.ring()
        self._bells.calls.ring()


def order_of(call: OutboundCall, account_max_seconds: int, fallback_document: str | None) -> CallOrder:
    """What the call process is told."""
    return CallOrder(
        call_id=call.call_id,
        leg_id=call.leg_id,
        account_id=call.account_id,
        domain=None,
        source=call.source,
        destination=call.destination,
        number_id=None,
        callflow_id=call.callflow_id,
        document=call.document,
        url=call.callflow_url,
        fallback_document=fallback_document,
        max_seconds=min(call.max_seconds, account_max_seconds),
        outbound=FirstLeg(target=call.destination, caller_id=call.source, ring_seconds=call.ring_seconds),
    )
