"""The loss of a POP: calls before, during and after it, and calls that stand all the while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from typing import Final, Protocol

from sip_config.model import Pop, Region
from voice.drill.laboratory import Address, label_of
from voice.drill.traffic import Call, Callee, Caller, Route
from voice.edge.core.liveness import PopState

BEFORE_SECONDS: Final = 3.0
AFTER_SECONDS: Final = 2.0
_BUSY_EVERY: Final = 8
"""Of so many rounds of calls, one is to a callee that is busy."""
_LOOK_SECONDS: Final = 0.05


class DrillFailed(Exception):
    """The drill cannot be held.  The message says why."""


class Wire(Protocol):
    """Edges for all POPs, and the way to lose one."""

    addresses: dict[str, Address]
    callee: Callee
    caller_host: str

    async def lose(self, pop: str) -> None: ...

    async def restore(self, pop: str) -> None: ...

    def believes(self, edge: str, pop: str) -> PopState | None:
        """What the edge of one POP believes of another; None: not known yet."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    lost: Pop
    pops: tuple[Pop, ...]
    base_domain: str
    blackhole_seconds: float
    interval: float = 0.5
    """Between two rounds of calls: in each, every edge that is left gets three."""
    patience: float = 30.0
    """For the edges to find one another, before and after."""

    @property
    def survivors(self) -> tuple[Pop, ...]:
        return tuple(pop for pop in self.pops if pop.name != self.lost.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What happened; times of `time.monotonic`."""

    plan: Plan
    lost_at: float
    restored_at: float
    returned_at: float
    """When every edge had found the POP again."""
    calls: tuple[Call, ...]
    standing: tuple[Call, ...]
    """Established before the loss and ended during it, at other POPs."""
    standing_through_lost: tuple[Call, ...]
    """Established through the POP that was lost, and ended after its return."""


async def rehearse(plan: Plan, wire: Wire, say: Callable[[str], None]) -> Course:
    """Holds the drill.  Raises DrillFailed."""
    if not plan.survivors:
        raise DrillFailed(f"POP {plan.lost.name} is the only one: nobody is left to take its calls.")
    await _found(plan, wire, plan.survivors, plan.pops)
    with closing(Caller(wire.caller_host, wire.callee, wire.addresses)) as caller:
        survivors = [pop.name for pop in plan.survivors]
        there = {pop.name: pop for pop in plan.pops}
        others = survivors[1:] + survivors[:1]
        standing = tuple(
            caller.place(_bound(plan, edge, there[other]), lasting=True)
            for edge, other in zip(survivors, others, strict=True)
        )
        through = tuple(caller.place(_bound(plan, edge, plan.lost), lasting=True) for edge in survivors)
        await _settled((*standing, *through), plan.patience)
        rounds = _Rounds(plan, caller)
        say(f"{len(standing) + len(through)} calls stand; calling for {BEFORE_SECONDS:g} s")
        await rounds.go_on(BEFORE_SECONDS)
        await wire.lose(plan.lost.name)
        lost_at = time.monotonic()
        say(f"POP {plan.lost.name} is lost for {plan.blackhole_seconds:g} s")
        await rounds.go_on(plan.blackhole_seconds / 2)
        for call in standing:
            caller.hang_up(call)
        await rounds.go_on(plan.blackhole_seconds / 2)
        await wire.restore(plan.lost.name)
        restored_at = time.monotonic()
        say(f"POP {plan.lost.name} is back")
        found = asyncio.create_task(_found(plan, wire, plan.survivors, [plan.lost]))
        while not found.done():
            await rounds.go_on(plan.interval)
        await found
        returned_at = time.monotonic()
        await rounds.go_on(AFTER_SECONDS)
        for call in through:
            caller.hang_up(call)
        for call in (*standing, *through):
            call.lasting = False
        await caller.quiet()
        calls = tuple(call for call in caller.calls if call not in standing and call not in through)
    return Course(
        plan=plan,
        lost_at=lost_at,
        restored_at=restored_at,
        returned_at=returned_at,
        calls=calls,
        standing=standing,
        standing_through_lost=through,
    )


class _Rounds:
    """Places calls at a steady pace."""

    def __init__(self, plan: Plan, caller: Caller) -> None:
        self._plan = plan
        self._caller = caller
        self._round = count(1)

    async def go_on(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        due = time.monotonic()
        while due < end:
            self._place()
            due += self._plan.interval
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _place(self) -> None:
        plan, number = self._plan, next(self._round)
        survivors = plan.survivors
        regions = list(Region)
        for edge in survivors:
            busy = number % _BUSY_EVERY == 0
            self._caller.place(_plain(plan, edge.name, plan.lost.region), busy=busy)
            self._caller.place(_bound(plan, edge.name, plan.lost))
            # In turn: names that the loss should not concern.
            if number % 2:
                other = _plain(plan, edge.name, regions[number // 2 % len(regions)])
            else:
                other = _bound(plan, edge.name, survivors[number // 2 % len(survivors)])
            self._caller.place(other)


def _plain(plan: Plan, edge: str, home: Region) -> Route:
    return Route(edge, f"{label_of(home)}.{plan.base_domain}", None, home)


def _bound(plan: Plan, edge: str, pop: Pop) -> Route:
    return Route(edge, f"{label_of(pop.region)}.{pop.name}.{plan.base_domain}", pop, None)


async def _found(plan: Plan, wire: Wire, edges: Sequence[Pop], pops: Sequence[Pop]) -> None:
    """Waits until these edges believe those POPs to be alive."""
    missing = [(edge.name, pop.name) for edge in edges for pop in pops if edge.name != pop.name]
    deadline = time.monotonic() + plan.patience
    while missing:
        missing = [pair for pair in missing if wire.believes(*pair) is not PopState.ALIVE]
        if missing and time.monotonic() > deadline:
            edge, pop = missing[0]
            raise DrillFailed(f"The edge of {edge} did not find POP {pop} within {plan.patience:g} s.")
        await asyncio.sleep(_LOOK_SECONDS)


async def _settled(calls: Sequence[Call], patience: float) -> None:
    deadline = time.monotonic() + patience
    while any(call.settled is None for call in calls):
        if time.monotonic() > deadline:
            raise DrillFailed("The calls that are to stand were not answered before the drill began.")
        await asyncio.sleep(_LOOK_SECONDS)
    for call in calls:
        if call.status != 200:
            raise DrillFailed(f"A call to {call.route.host} at {call.route.edge} got {call.status}.")
