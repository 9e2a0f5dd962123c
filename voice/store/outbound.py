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

from sqlalchemy import exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from voice.bells import Bells
from voice.records import CallChanged, CallEnded, CallStarted, CallStatus, Direction, Record
from voice.store.database import Database
from voice.store.events import announce
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

    async def cancel(self, call_id: str, status: CallStatus, reason: str) -> bool:
        """Ends a call that waits to be placed; False when a node has it, or it is over."""
        row = outbound_calls
        with self._database.errors():
            async with self._database.writing() as connection:
                changed = await connection.execute(
                    update(row)
                    .where(row.c.call_id == call_id, row.c.state == State.QUEUED)
                    .values(state=State.OVER, document=None)
                )
                if not changed.rowcount:
                    return False
                ended = CallEnded(call_id=call_id, at=self._clock(), status=status, reason=reason)
                await _write(connection, [ended])
        if self._bells is not None:
            self._bells.deliveries.ring()
            self._bells.messages.ring()
        return True

    # -- whoever places them -------------------------------------------------------------------

    async def due(self, per_account: int) -> tuple[OutboundCall, ...]:
        """The oldest calls that are to be placed now, at most so many of each account, in turn."""
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

    # -- after a restart -----------------------------------------------------------------------

    async def claimed_before(self, node: str, before: float) -> tuple[tuple[str, str], ...]:
        """What this node claimed before that time and did not dial: call ids, and leg ids of the claims."""
        row = outbound_calls
        query = select(row.c.call_id, row.c.leg_id).where(
            row.c.node == node, row.c.state == State.CLAIMED, row.c.claimed_at < before
        )
        with self._database.errors():
            async with self._database.reading() as connection:
                rows = (await connection.execute(query)).all()
        return tuple((row.call_id, row.leg_id) for row in rows)

    async def settle(self) -> None:
        """Whatever is on record as ended is over."""
        row = outbound_calls
        ended = select(calls.c.id).where(calls.c.id == row.c.call_id, calls.c.ended_at.is_not(None))
        with self._database.errors():
            async with self._database.writing() as connection:
                await connection.execute(
                    update(row)
                    .where(row.c.state.in_((State.CLAIMED, State.DIALLED)), exists(ended))
                    .values(state=State.OVER, document=None)
                )


async def _write(connection: AsyncConnection, records: list[Record]) -> None:
    """As the journal does: the rows, and what webhooks are told."""
    for table, columns, rows in fold(records).upserts():
        await connection.execute(upsert(table, columns, connection.dialect.name), rows)
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
