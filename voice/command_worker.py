"""Has commands for running calls done: from the API's rows to the calls' processes.

A command is taken before it is begun, so it is done once at most; one that waited for longer than the API
does is answered as gone, never done late.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

from voice.bells import Bells
from voice.commands import HUNG_UP, Command, Kind, Outcome, done, gone, refused
from voice.records import CallStatus
from voice.store.commands import WITHIN_SECONDS, Commands, Given
from voice.store.errors import StoreError
from voice.store.outbound import OutboundStore

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.25
FAULT_SECONDS: Final = 1.0
TIDY_SECONDS: Final = 600.0

CANCELLED: Final = "The call was ended by the API before it was placed."


class CallProcesses(Protocol):
    """The pool, as commands see it."""

    def has(self, call_id: str) -> bool: ...

    async def command(self, command: Command) -> Outcome | None:
        """Has the process of a call do this; None when it is over."""
        ...


class TrunkCalls(Protocol):
    """The edge, as commands see it: calls that have no call process."""

    def is_trunk_call(self, call_id: str) -> bool: ...

    def hang_up(self, call_id: str, reason: str) -> bool:
        """Whether it was there, and is being ended."""
        ...


class CommandWorker:
    """Of one node.  Run `run` in a task."""

    def __init__(
        self,
        commands: Commands,
        outbound: OutboundStore,
        processes: CallProcesses,
        trunk_calls: TrunkCalls,
        bells: Bells,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._commands = commands
        self._outbound = outbound
        self._processes = processes
        self._trunk_calls = trunk_calls
        self._bells = bells
        self._clock = clock
        self._at_hand: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Until cancelled."""
        tidy_at = 0.0
        try:
            while True:
                try:
                    for given in await self._commands.waiting():
                        await self._consider(given)
                    if asyncio.get_running_loop().time() >= tidy_at:
                        await self._commands.tidy()
                        tidy_at = asyncio.get_running_loop().time() + TIDY_SECONDS
                except StoreError as fault:
                    log.warning("commands for calls cannot be looked at now: %s", fault)
                    await asyncio.sleep(FAULT_SECONDS)
                await self._bells.commands.wait(LOOK_SECONDS)
        finally:
            for task in self._at_hand.values():
                task.cancel()
            await asyncio.gather(*self._at_hand.values(), return_exceptions=True)

    async def _consider(self, given: Given) -> None:
        """Begins a command, answers it, or leaves it to whoever has the call."""
        if given.id in self._at_hand:
            return
        command = given.command
        left = given.created_at + WITHIN_SECONDS - self._clock()
        if left <= 0:
            await self._commands.finish(given.id, gone("Nobody took the command in time."))
        elif self._processes.has(command.call_id):
            task = asyncio.create_task(self._do(given, left), name=f"{command.kind} for {command.call_id}")
            self._at_hand[given.id] = task
            task.add_done_callback(lambda _: self._at_hand.pop(given.id))
        elif (outcome := await self._without_process(command)) is not None and await self._commands.take(
            given.id
        ):
            await self._commands.finish(given.id, outcome)

    async def _do(self, given: Given, seconds: float) -> None:
        try:
            if not await self._commands.take(given.id):
                return
            try:
                async with asyncio.timeout(seconds):
                    outcome = await self._processes.command(given.command) or gone("The call is over.")
            except TimeoutError:
                outcome = gone("The process of the call did not answer in time.")
            await self._commands.finish(given.id, outcome)
        except StoreError as fault:
            log.warning("the outcome of command %s is lost: %s", given.id, fault)

    async def _without_process(self, command: Command) -> Outcome | None:
        """What becomes of a command for a call that no process here has; None: somebody else may know."""
        if command.kind is Kind.HANGUP and self._trunk_calls.hang_up(
            command.call_id, command.body or HUNG_UP
        ):
            return done("The call is being ended.")
        if self._trunk_calls.is_trunk_call(command.call_id):
            return refused(
                "The call runs between your PBX and the carrier without a callflow, so it can be ended here,"
                " and nothing else."
            )
        state = await self._commands.call_state(command.call_id)
        if state is None:
            return gone("There is no such call.")
        if state.ended:
            return gone("The call is over.")
        if command.kind is Kind.HANGUP and await self._outbound.cancel(
            command.call_id, CallStatus.ENDED, CANCELLED
        ):
            return done("The call will not be placed.")
        if state.simulated:
            return refused("A simulated call runs its callflow by itself, and cannot be told anything.")
        return None
