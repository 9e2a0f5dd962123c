"""Commands for a running call, done in its process."""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import Protocol

from callflows.build import Callflow
from callflows.canonical import parse_document
from callflows.faults import DocumentFaults
from callflows.ports import CallGone, DialRequest, LineState, NotAnswered, Unavailable
from voice.commands import HUNG_UP, Command, Kind, Outcome, done, gone, refused
from voice.media.seam import MediaError
from voice.pool.line import LiveLine
from voice.pool.orders import CallOrder
from voice.pool.party import LiveParty

log = logging.getLogger(__name__)

RING_SECONDS = 30.0
"""For a leg that is added."""

MOST_ADDED = 8
"""Legs added to one call at a time; the process has room for few more."""


class Controlled(Protocol):
    """The call, as its commands see it."""

    @property
    def order(self) -> CallOrder: ...

    @property
    def line(self) -> LiveLine: ...

    def stop(self, reason: str, *, wanted: bool = False) -> None: ...

    def replace(self, flow: Callflow) -> None: ...


class Control:
    """Of one call."""

    def __init__(self, call: Controlled) -> None:
        self._call = call
        self._added: set[asyncio.Task[None]] = set()

    async def do(self, command: Command) -> Outcome:
        """What became of it; a bug is an outcome too."""
        try:
            return await self._do(command)
        except CallGone as end:
            return gone(f"The call is over: {end.reason}.")
        except (MediaError, Unavailable) as problem:
            return refused(f"That is not possible now: {problem}.")
        except Exception:
            log.exception("a bug kept call %s from its %s", command.call_id, command.kind)
            return refused("An internal error of the node; its log says more.")

    async def close(self) -> None:
        """Hangs up the legs that were added."""
        for task in tuple(self._added):
            task.cancel()
        await asyncio.gather(*self._added, return_exceptions=True)

    async def _do(self, command: Command) -> Outcome:
        match command.kind:
            case Kind.HANGUP:
                self._call.stop(command.body or HUNG_UP, wanted=True)
                return done("The call is being ended.")
            case Kind.REPLACE:
                return self._replace(command.body)
            case Kind.ADD_LEG:
                return self._add(command.body)
            case Kind.HANGUP_LEG:
                return await self._hang_up(command.leg_id or "")
            case Kind.HOLD:
                return await self._hold(command.leg_id or "")
            case Kind.UNHOLD:
                return await self._unhold(command.leg_id or "")

    def _replace(self, document: str) -> Outcome:
        try:
            flow = parse_document(document)
        except DocumentFaults as faults:
            return refused(f"The callflow is faulty: {faults}")
        self._call.replace(flow)
        return done("The call goes on with the new callflow.")

    def _add(self, destination: str) -> Outcome:
        line = self._call.line
        if line.state is not LineState.ANSWERED:
            return refused("The call has not been answered yet: add the leg once it has.")
        if len(self._added) >= MOST_ADDED:
            return refused(f"A call may have {MOST_ADDED} added legs: hang one of them up first.")
        task = asyncio.create_task(self._talk_with(line, destination))
        self._added.add(task)
        task.add_done_callback(self._added.discard)
        return done(f"{destination} is being called.")

    async def _talk_with(self, line: LiveLine, destination: str) -> None:
        call_id = self._call.order.call_id
        request = DialRequest(targets=(destination,), serial=False, ring_seconds=RING_SECONDS)
        try:
            await line.bridge(await line.dial(request, quietly=True, leg_id=str(uuid.uuid4())))
        except NotAnswered as refusal:
            log.info("call %s: the leg to add was not answered: %s", call_id, refusal)
        except (CallGone, Unavailable, MediaError) as problem:
            log.info("call %s: the leg was not added: %s", call_id, problem)

    async def _hang_up(self, leg_id: str) -> Outcome:
        if leg_id == self._call.order.leg_id:
            self._call.stop("The leg of the call was hung up by the API.", wanted=True)
            return done("The leg is being hung up, and the call ends with it.")
        party = self._party(leg_id)
        if party is None:
            return _no_such_leg(leg_id)
        await party.hangup()
        return done("The leg is being hung up.")

    async def _hold(self, leg_id: str) -> Outcome:
        end = self._talking(leg_id)
        if isinstance(end, Outcome):
            return end
        await end.hold()
        return done("The leg is held.")

    async def _unhold(self, leg_id: str) -> Outcome:
        end = self._talking(leg_id)
        if isinstance(end, Outcome):
            return end
        await end.unhold()
        return done("The leg is no longer held.")

    def _talking(self, leg_id: str) -> LiveLine | LiveParty | Outcome:
        if leg_id == self._call.order.leg_id:
            line = self._call.line
            if line.state is LineState.ANSWERED:
                return line
            return refused("The leg has not been answered: only one that talks can be held.")
        party = self._party(leg_id)
        if party is None:
            return _no_such_leg(leg_id)
        if not party.answered.is_set():
            return refused("The leg has not been answered: only one that talks can be held.")
        return party

    def _party(self, leg_id: str) -> LiveParty | None:
        return next((one for one in self._call.line.parties if one.leg_id == leg_id), None)


def _no_such_leg(leg_id: str) -> Outcome:
    return refused(
        f"Leg {leg_id} has ended, or rings together with others, of which one cannot be told apart yet."
    )
