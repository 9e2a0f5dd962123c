"""Writes records to the database behind the call's back.

`write` appends to a queue in memory and returns; a task of its own empties the queues in transactions,
waits when the database is locked or its disk full, and goes on where it stopped.  The queues are
bounded, each kind of record by itself: a flood of refusals pushes out refusals, never what is known of calls.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from sqlalchemy import delete, insert
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection

from voice.bells import Bell
from voice.records import Event, Record, Refusal
from voice.store import schema
from voice.store.database import Database, said
from voice.store.events import announce
from voice.store.folding import Folded, fold, upsert
from voice.store.retention import Retention, prune
from voice.store.spool import Spool

log = logging.getLogger(__name__)

CALL_RECORDS: Final = 200_000
"""Records of calls that wait at most; about 100 MB, minutes of the busiest node."""
EVENTS: Final = 20_000
REFUSALS: Final = 20_000

_BATCH: Final = 500
"""Records of one transaction: preparing them holds the loop for about 3 ms."""
_GATHER_SECONDS: Final = 0.1
"""Records of one call come in bursts, and become one row when they are written together."""
_FIRST_RETRY_SECONDS: Final = 0.1
_LAST_RETRY_SECONDS: Final = 5.0
_RECORDS_BETWEEN_PRUNING: Final = 10_000

_TRANSIENT: Final = (OperationalError, InterfaceError, PoolTimeout, OSError)
"""Locked, full, unplugged, restarted: these pass."""
_REFUSALS_BEFORE_BLAME: Final = 3
_TELLING_SECONDS: Final = 60.0


class StoreJournal:
    """A `voice.records.Journal` that keeps records in a database.

    `start` and `write` belong to the thread of the event loop.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], float],
        retention: Retention | None = None,
        call_records: int = CALL_RECORDS,
        events: int = EVENTS,
        refusals: int = REFUSALS,
        gather_seconds: float = _GATHER_SECONDS,
        spool: Path | None = None,
        told: Bell | None = None,
    ) -> None:
        """`spool`: a folder for what is not in the database yet, so that a crash loses no record of a call.

        `told` rings when there is something to tell customers.
        """
        self._database = database
        self._clock = clock
        self._retention = retention or Retention()
        self._gather_seconds = gather_seconds
        self._calls = _Queue("call records", call_records)
        self._events = _Queue("events", events)
        self._refusals = _Queue("refusals", refusals)
        self._queues = (self._calls, self._events, self._refusals)
        self._spool = None if spool is None else Spool(spool)
        self._told = told
        self._written = 0
        """Records that have left their queues for the database."""
        self._progress = asyncio.Event()
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._until_pruning = 0
        self._next_telling = float("-inf")

    def start(self) -> None:
        """Begins to write: what a crash left in the spool, then what was written before this.

        Raises OSError when there can be no spool.
        """
        if self._spool is not None:
            left = self._spool.open()
            if left:
                log.info("%d records of an earlier node are written down again", len(left))
            early = list(self._calls.records)
            self._calls.records.clear()
            self._calls.records.extend(left)
            for record in early:
                self._spool.add(record)
                self._calls.records.append(record)
            self._wake.set()
        self._writer = asyncio.get_running_loop().create_task(self._write_all(), name="journal")

    @property
    def waiting(self) -> int:
        """Records that are not in the database yet."""
        return sum(len(queue.records) for queue in self._queues)

    @property
    def lost(self) -> int:
        """Records given up since the start."""
        return sum(queue.lost for queue in self._queues)

    def write(self, record: Record) -> None:
        """Takes a record at once.  Never blocks, never raises; one that finds its queue full is lost."""
        if isinstance(record, Refusal):
            self._refusals.put(record)
        elif isinstance(record, Event):
            self._events.put(record)
        elif self._calls.put(record) and self._spool is not None:
            self._spool.add(record)
        self._wake.set()

    async def flushed(self, within: float = 3.0) -> None:
        """Returns when what has been written so far is in the database, or after so many seconds."""
        last = self._written + self.waiting
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self._written < last:
                    self._progress.clear()
                    await self._progress.wait()

    async def close(self, *, within: float = 10.0) -> None:
        """Writes what waits, for at most so many seconds, and ends; what then still waits is lost."""
        self._closing.set()
        self._wake.set()
        if self._writer is not None:
            await asyncio.wait({self._writer}, timeout=within)
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        if self._spool is not None:
            self._spool.close()
        for queue in self._queues:
            queue.give_up()
        self._log_losses()

    async def _write_all(self) -> None:
        while self.waiting or not self._closing.is_set():
            await self._wake.wait()
            self._wake.clear()
            await self._pause(self._gather_seconds)
            # Few records are not worth a transaction of their own: they wait for more, unless there are many.
            await self._write_batch()
            while self.waiting >= _BATCH:
                await self._write_batch()
            if self.waiting:
                self._wake.set()

    async def _write_batch(self) -> None:
        """Writes the oldest records of each kind; they leave their queues once they are in the database."""
        taken = [queue.oldest(_BATCH) for queue in self._queues]
        await self._insist(fold(record for records in taken for record in records), taken[0])
        if self._spool is not None:
            self._spool.stored(len(taken[0]))
        for queue, records in zip(self._queues, taken, strict=True):
            queue.drop(len(records))
            self._written += len(records)
        self._progress.set()
        self._record_losses()
        await self._prune_sometimes(sum(map(len, taken)))

    async def _insist(self, folded: Folded, records: Sequence[Record] = ()) -> None:
        """Writes the rows in one transaction, however long the database takes to be ready for it.

        In the same transaction, what `records` tell customers.
        """
        delay = _FIRST_RETRY_SECONDS
        refused = 0
        while True:
            try:
                async with self._database.writing() as connection:
                    await _put(connection, folded)
                    news = await announce(connection, records)
                if news and self._told is not None:
                    self._told.ring()
                return
            except Exception as fault:  # Whatever it is, it must not end the journal.
                refused += await self._is_about_the_rows(fault)
                if refused == _REFUSALS_BEFORE_BLAME:
                    await self._without_the_bad_one(folded, fault)
                    await self._insist(Folded(), records)
                    return
                log.warning(
                    "database %s takes no records, trying again; %d wait: %s",
                    self._database.shown,
                    self.waiting,
                    said(fault),
                )
                self._log_losses()
            await self._pause(delay)
            delay = min(delay * 2, _LAST_RETRY_SECONDS)

    async def _is_about_the_rows(self, fault: Exception) -> bool:
        """Whether the rows are at fault: it is no fault that passes, and other writes are taken."""
        if isinstance(fault, _TRANSIENT) or (isinstance(fault, DBAPIError) and fault.connection_invalidated):
            return False
        try:
            async with self._database.writing() as connection:
                await connection.execute(delete(schema.state).where(schema.state.c.name == ""))
        except Exception as second:  # Likewise.
            log.debug("nor does it take other writes: %s", said(second))
            return False
        return True

    async def _without_the_bad_one(self, folded: Folded, fault: Exception) -> None:
        """Writes each row by itself, and drops the one that cannot be written."""
        parts = folded.apart()
        if len(parts) > 1:
            for part in parts:
                await self._insist(part)
            return
        log.error("a record cannot be stored and is dropped: %s", said(fault))
        if schema.refusals in folded.whole:
            self._refusals.lost += 1
        elif schema.events in folded.whole:
            self._events.lost += 1
        else:
            self._calls.lost += 1

    async def _pause(self, seconds: float) -> None:
        """Sleeps; only for an instant when the journal is being closed."""
        if self._closing.is_set():
            await asyncio.sleep(min(seconds, _FIRST_RETRY_SECONDS))
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)

    async def _prune_sometimes(self, written: int) -> None:
        self._until_pruning -= written
        if self._until_pruning > 0 or self._closing.is_set():
            return
        self._until_pruning = _RECORDS_BETWEEN_PRUNING
        try:
            await prune(self._database, self._retention, now=self._clock())
        except SQLAlchemyError as fault:
            log.warning("old refusals and events stay for now: %s", said(fault))

    def _record_losses(self) -> None:
        """Says in the database, now that it takes records again, what it did not get."""
        self._log_losses()
        now = self._clock()
        parts = [
            f"{queue.lost - queue.recorded} {queue.name}"
            for queue in self._queues
            if queue.lost > queue.recorded
        ]
        if parts and now >= self._next_telling:
            # Not at once again: an event that is lost itself must not call for another.
            self._next_telling = now + _TELLING_SECONDS
            for queue in self._queues:
                queue.recorded = queue.lost
            self.write(Event(at=now, kind="records_lost", detail=_sentence(parts)))

    def _log_losses(self) -> None:
        parts = [
            f"{queue.lost - queue.logged} {queue.name}" for queue in self._queues if queue.lost > queue.logged
        ]
        if parts:
            for queue in self._queues:
                queue.logged = queue.lost
            log.error("%s", _sentence(parts))


def _sentence(parts: list[str]) -> str:
    return f"{', '.join(parts)} were lost: the database took no records, or not these."


class _Queue:
    """Records of one kind that wait, oldest first."""

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self.limit = limit
        self.records: deque[Record] = deque()
        self.lost = 0
        self.logged = 0
        """Of those lost, how many the log knows of."""
        self.recorded = 0
        """Of those lost, how many an event in the database tells of."""

    def put(self, record: Record) -> bool:
        """Whether there was room."""
        if len(self.records) < self.limit:
            self.records.append(record)
            return True
        self.lost += 1
        return False

    def oldest(self, most: int) -> list[Record]:
        return list(islice(self.records, most))

    def drop(self, count: int) -> None:
        for _ in range(count):
            self.records.popleft()

    def give_up(self) -> None:
        self.lost += len(self.records)
        self.records.clear()
        self.limit = 0


async def _put(connection: AsyncConnection, folded: Folded) -> None:
    dialect = connection.dialect.name
    for table, columns, rows in folded.upserts():
        await connection.execute(upsert(table, columns, dialect), rows)
    for table, rows in folded.whole.items():
        await connection.execute(insert(table), rows)
