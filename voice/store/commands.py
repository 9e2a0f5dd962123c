"""Commands for running calls, from the API to the node that has the call: rows with an outcome.

A command waits in the database until the call's node takes it.  One that nobody took in its time is over:
whoever gave it was told so, and it must not happen later.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, insert, select, update

from voice.bells import Bells
from voice.commands import Command, Kind, Outcome, Result, gone
from voice.store.database import Database
from voice.store.schema import calls
from voice.store.service_schema import commands

__all__ = ["Command", "Commands", "Given", "Kind", "Outcome", "Result"]

WITHIN_SECONDS: Final = 5.0
KEPT_SECONDS: Final = 3_600.0
"""Commands that are over stay to be looked at for so long."""
_LOOK_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A command that waits to be done, with its id."""

    id: str
    command: Command
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallState:
    """What decides on a command for a call that no process has."""

    ended: bool
    simulated: bool


class Commands:
    """The commands in a database.  Errors of the database come out as StoreError."""

    def __init__(self, database: Database, bells: Bells, clock: Callable[[], float]) -> None:
        self._database = database
        self._bells = bells
        self._clock = clock
        self._waiting: dict[str, asyncio.Event] = {}

    # -- the API -----------------------------------------------------------------------------

    async def ask(self, command: Command, within: float = WITHIN_SECONDS) -> Outcome:
        """Has a command done, by whichever node has the call; GONE when none did within so many seconds."""
        command_id = str(uuid.uuid4())
        done = self._waiting[command_id] = asyncio.Event()
        try:
            await self._insert(command_id, command)
            self._bells.commands.ring()
            deadline = asyncio.get_running_loop().time() + within
            while (left := deadline - asyncio.get_running_loop().time()) > 0:
                outcome = await self._outcome(command_id)
                if outcome is not None:
                    return outcome
                try:
                    async with asyncio.timeout(min(left, _LOOK_SECONDS)):
                        await done.wait()
                except TimeoutError:
                    continue
        finally:
            del self._waiting[command_id]
        nobody = gone(f"No node did it for this call within {within:g} seconds: try again.")
        return nobody if await self.finish(command_id, nobody) else await self._outcome(command_id) or nobody

    async def _insert(self, command_id: str, command: Command) -> None:
        with self._database.errors():
            async with self._database.writing() as connection:
                await connection.execute(
                    insert(commands).values(
                        id=command_id,
                        call_id=command.call_id,
                        leg_id=command.leg_id,
                        kind=command.kind,
                        body=command.body,
                        created_at=self._clock(),
                    )
                )

    async def _outcome(self, command_id: str) -> Outcome | None:
        query = select(commands.c.outcome, commands.c.detail).where(
            commands.c.id == command_id, commands.c.done_at.is_not(None)
        )
        with self._database.errors():
            async with self._database.reading() as connection:
                row = (await connection.execute(query)).one_or_none()
        return None if row is None else Outcome(result=Result(row.outcome), detail=row.detail)

    # -- the node ----------------------------------------------------------------------------

    async def waiting(self) -> tuple[Given, ...]:
        """Commands that nobody has taken, the oldest first."""
        query = (
            select(commands)
            .where(commands.c.done_at.is_(None), commands.c.taken_at.is_(None))
            .order_by(commands.c.created_at)
            .limit(200)
        )
        with self._database.errors():
            async with self._database.reading() as connection:
                rows = (await connection.execute(query)).all()
        return tuple(
            Given(
                id=row.id,
                command=Command(kind=Kind(row.kind), call_id=row.call_id, leg_id=row.leg_id, body=row.body),
                created_at=row.created_at,
            )
            for row in rows
        )

    async def take(self, command_id: str) -> bool:
        """Makes a command ours alone; False when it was taken or is over."""
        with self._database.errors():
            async with self._database.writing() as connection:
                changed = await connection.execute(
                    update(commands)
                    .where(
                        commands.c.id == command_id,
                        commands.c.taken_at.is_(None),
                        commands.c.done_at.is_(None),
                    )
                    .values(taken_at=self._clock())
                )
        return bool(changed.rowcount)

    async def finish(self, command_id: str, outcome: Outcome) -> bool:
        """Says what became of a command; False when that was said before."""
        with self._database.errors():
            async with self._database.writing() as connection:
                changed = await connection.execute(
                    update(commands)
                    .where(commands.c.id == command_id, commands.c.done_at.is_(None))
                    .values(done_at=self._clock(), outcome=outcome.result, detail=outcome.detail, body="")
                )
        waiting = self._waiting.get(command_id)
        if waiting is not None:
            waiting.set()
        return bool(changed.rowcount)

    async def call_state(self, call_id: str) -> CallState | None:
        """What is on record of the call; None when there is no such call."""
        query = select(calls.c.ended_at, calls.c.simulated).where(calls.c.id == call_id)
        with self._database.errors():
            async with self._database.reading() as connection:
                row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        return CallState(ended=row.ended_at is not None, simulated=bool(row.simulated))

    async def tidy(self) -> None:
        """Removes those that are long over."""
        with self._database.errors():
            async with self._database.writing() as connection:
                await connection.execute(
                    delete(commands).where(commands.c.created_at < self._clock() - KEPT_SECONDS)
                )
