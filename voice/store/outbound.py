"""Calls that the API accepted and the node places: a queue in the database.

A call is accepted in the transaction that makes its record, so whoever was told 201 finds it there after
any crash.  It is then claimed by a node, which seats it in a call process; marked as dialled before its
process is given what it dials with; and over.  `leg_id` names a claim: a process with an older claim on a
call is given nothing to dial with, so no call is placed twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import and_, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from voice.bells import Bells
from voice.records import CallChanged, CallEnded, CallStarted, CallStatus, Direction, Record
from voice.store.database import Database
from voice.store.folding import fold, upsert
from voice.store.schema import calls, legs
from voice.store.service_schema import outbound_calls

_OPEN: Final = ("queued", "claimed", "dialled")


class State(StrEnum):
    """How far the placing of a call has come."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    """A node seats it; nobody was called."""
    DIALLED = "dialled"
    """Its process may have called."""
    OVER = "over"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCall:
    """A call to be placed.  Times are UTC seconds since the epoch."""

    call_id: str
    account_id: str
    origin: str
    """``call``, ``voice_message`` or ``verify``."""
    source: str
    """Shown to the callee: E.164, or the user part of a SIP URI."""
    destination: str
    """As it is dialled: E.164 with ``+``, or a SIP URI."""
    created_at: float
    document: str | None = None
    """Canonical XML."""
    callflow_url: str | None = None
    """Or where it is fetched from, once the call is answered."""
    callflow_id: str | None = None
    ring_seconds: float = 30.0
    max_seconds: int = 14_400
    simulated: bool = False
    webhook_url: str | None = None
    webhook_token: str | None = None
    not_before: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundCall:
    """A call that is to be placed, as the queue has it; `leg_id` is that of this claim."""

    call_id: str
    leg_id: str
    account_id: str
    origin: str
    source: str
    destination: str
    document: str | None
    callflow_url: str | None
    callflow_id: str | None
    ring_seconds: float
    max_seconds: int
    simulated: bool
    created_at: float
    not_before: float


class OutboundStore:
    """The queue.  Errors of the database come out as StoreError."""

    def __init__(self, database: Database, clock: Callable[[], float], bells: Bells | None = None) -> None:
        self._database = database
        self._clock = clock
        self._bells = bells

    # -- whoever wants a call ------------------------------------------------------------------

    async def accept(self, *wanted: NewCall) -> None:
        """Once this returns the calls will be placed, whatever happens to this process."""
        with self._database.errors():
            async with self._database.writing() as connection:
                await self.accept_on(connection, wanted)
        self.ring()

    async def accept_on(self, connection: AsyncConnection, wanted: Iterable[NewCall]) -> None:
        """Likewise, once somebody's transaction is kept; `ring` then makes it quick."""
        wanted = tuple(wanted)
        if not wanted:
            return
        await _write(connection, [_started(call) for call in wanted])
        await connection.execute(insert(outbound_calls), [_row(call) for call in wanted])

    def ring(self) -> None:
        """Tells whoever places calls in this process that some were accepted."""
        if self._bells is not None:
            self._bells.calls.ring()
            self._bells.deliveries.ring()

    async def cancel(self, call_id: str, reason: str) -> bool:
        """Ends a call that no process has yet; False when one may have, or it is over."""
        return await self._finish(call_id, (State.QUEUED,), CallStatus.ENDED, reason)

    # -- whoever places them -------------------------------------------------------------------

    async def due(self, account_ids_busy: Iterable[str], per_account: int) -> tuple[OutboundCall, ...]:
        """The oldest calls that wait to be placed: at most so many of each account, none of the busy ones."""
        row = outbound_calls
        rank = (
            func.row_number()
            .over(partition_by=row.c.account_id, order_by=(row.c.not_before, row.c.created_at, row.c.call_id))
            .label("rank")
        )
        ranked = (
            select(row, rank)
            .where(
                row.c.state == State.QUEUED,
                row.c.not_before <= self._clock(),
                row.c.account_id.not_in(tuple(account_ids_busy)),
            )
            .subquery()
        )
        query = (
            select(ranked)
            .where(ranked.c.rank <= per_account)
            .order_by(ranked.c.rank, ranked.c.not_before, ranked.c.created_at)
        )
        with self._database.errors():
            async with self._database.reading() as connection:
                rows = (await connection.execute(query)).mappings().all()
        return tuple(_call(row) for row in rows)

    async def claim(self, call: OutboundCall, node: str) -> bool:
        """Makes the call this node's; False when it is no longer queued."""
        row = outbound_calls
        with self._database.errors():
            async with self._database.writing() as connection:
                changed = await connection.execute(
                    update(row)
                    .where(row.c.call_id == call.call_id, row.c.state == State.QUEUED)
                    .values(state=State.CLAIMED, node=node, claimed_at=self._clock(), leg_id=call.leg_id)
                )
        return bool(changed.rowcount)

    async def unclaim(self, call_id: str, leg_id: str) -> None:
        """Back into the queue: this node has no place for it now, and nothing was dialled."""
        row = outbound_calls
        with self._database.errors():
            async with self._database.writing() as connection:
                await connection.execute(
                    update(row)
                    .where(row.c.call_id == call_id, row.c.leg_id == leg_id, row.c.state == State.CLAIMED)
                    .values(state=State.QUEUED, node=None, claimed_at=None, leg_id=None)
                )

    async def dialled(self, call_id: str, leg_id: str, node: str) -> bool:
        """Once this returns True the call may be dialled under this claim, and never under another.

        True also when it was marked so before: whoever asks again was never given what it asked for.
        """
        row = outbound_calls
        now = self._clock()
        with self._database.errors():
            async with self._database.writing() as connection:
                changed = await connection.execute(
                    update(row)
                    .where(
                        row.c.call_id == call_id,
                        row.c.leg_id == leg_id,
                        row.c.state.in_((State.CLAIMED, State.DIALLED)),
                    )
                    .values(state=State.DIALLED, node=node, dialled_at=func.coalesce(row.c.dialled_at, now))
                )
                if not changed.rowcount:
                    return False
                await connection.execute(update(calls).where(calls.c.id == call_id).values(node=node))
                await _write(connection, [CallChanged(call_id=call_id, at=now, status=CallStatus.STARTING)])
        if self._bells is not None:
            self._bells.deliveries.ring()
        return True

    async def has_legs(self, call_id: str) -> bool:
        """Whether a leg of this call was ever started, as far as it is on record."""
        with self._database.errors():
            async with self._database.reading() as connection:
                return bool(await connection.scalar(select(exists().where(legs.c.call_id == call_id))))

    async def over(self, call_id: str) -> None:
        """The call has ended, or is on record as ended in a moment: nothing more is to be done."""
        row = outbound_calls
        with self._database.errors():
            async with self._database.writing() as connection:
                await connection.execute(
                    update(row)
                    .where(row.c.call_id == call_id, row.c.state.in_(_OPEN))
                    .values(state=State.OVER, document=None)
                )

    async def fail(self, call_id: str, leg_id: str, status: CallStatus, reason: str) -> bool:
        """Ends a claimed call that was not dialled; False when it was, or is over."""
        return await self._finish(call_id, (State.CLAIMED,), status, reason, leg_id)

    # -- after a restart -----------------------------------------------------------------------

    async def unfinished(self, node: str) -> tuple[tuple[str, str, State], ...]:
        """What this node claimed or dialled and is not over: call id, leg id and state."""
        row = outbound_calls
        query = select(row.c.call_id, row.c.leg_id, row.c.state).where(
            row.c.node == node, row.c.state.in_((State.CLAIMED, State.DIALLED))
        )
        with self._database.errors():
            async with self._database.reading() as connection:
                rows = (await connection.execute(query)).all()
        return tuple((row.call_id, row.leg_id, State(row.state)) for row in rows)

    async def next_due(self) -> float | None:
        """When the next scheduled call is to be placed."""
        row = outbound_calls
        query = select(func.min(row.c.not_before)).where(
            and_(row.c.state == State.QUEUED, row.c.not_before > self._clock())
        )
        with self._database.errors():
            async with self._database.reading() as connection:
                return await connection.scalar(query)

    async def _finish(
        self,
        call_id: str,
        states: tuple[State, ...],
        status: CallStatus,
        reason: str,
        leg_id: str | None = None,
    ) -> bool:
        row = outbound_calls
        which = [row.c.call_id == call_id, row.c.state.in_(states)]
        if leg_id is not None:
            which.append(row.c.leg_id == leg_id)
        with self._database.errors():
            async with self._database.writing() as connection:
                changed = await connection.execute(
                    update(row).where(*which).values(state=State.OVER, document=None)
                )
                if not changed.rowcount:
                    return False
                ended = CallEnded(call_id=call_id, at=self._clock(), status=status, reason=reason)
                await _write(connection, [ended])
        if self._bells is not None:
            self._bells.deliveries.ring()
            self._bells.messages.ring()
        return True


async def _write(connection: AsyncConnection, records: list[Record]) -> None:
    """As the journal does: the rows, and what webhooks are told."""
    for table, columns, rows in fold(records).upserts():
        await connection.execute(upsert(table, columns, connection.dialect.name), rows)
    try:
        from voice.store.events import announce
    except ImportError:
        return
    await announce(connection, records)


def _started(call: NewCall) -> CallStarted:
    return CallStarted(
        call_id=call.call_id,
        at=call.created_at,
        account_id=call.account_id,
        direction=Direction.OUTGOING,
        source=call.source,
        destination=call.destination,
        callflow_id=call.callflow_id,
        status=CallStatus.QUEUED,
        origin=call.origin,
        simulated=call.simulated,
        webhook_url=call.webhook_url,
        webhook_token=call.webhook_token,
    )


def _row(call: NewCall) -> dict[str, Any]:
    return {
        "call_id": call.call_id,
        "account_id": call.account_id,
        "origin": call.origin,
        "source": call.source,
        "destination": call.destination,
        "document": call.document,
        "callflow_url": call.callflow_url,
        "callflow_id": call.callflow_id,
        "ring_seconds": call.ring_seconds,
        "max_seconds": call.max_seconds,
        "simulated": int(call.simulated),
        "state": State.QUEUED,
        "created_at": call.created_at,
        "not_before": call.not_before,
    }


def _call(row: Any) -> OutboundCall:
    return OutboundCall(
        call_id=row["call_id"],
        leg_id=str(uuid.uuid4()),
        account_id=row["account_id"],
        origin=row["origin"],
        source=row["source"],
        destination=row["destination"],
        document=row["document"],
        callflow_url=row["callflow_url"],
        callflow_id=row["callflow_id"],
        ring_seconds=row["ring_seconds"],
        max_seconds=row["max_seconds"],
        simulated=bool(row["simulated"]),
        created_at=row["created_at"],
        not_before=row["not_before"],
    )
