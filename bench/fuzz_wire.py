"""An edge on real sockets under changed messages and garbage, while a good caller calls every second."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import random
import sys
import time
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bench import procfs
from bench.fuzz_choices import Choices, mutated
from bench.sip_messages import BYE, INVITE, OK
from tests.edge.sockets import Records
from tests.gauntlet.ground import Ground, ground
from voice.gauntlet.aim import Aim
from voice.gauntlet.attack import Failed, Full, told
from voice.gauntlet.call import good_call, prepared
from voice.gauntlet.field import Field
from voice.gauntlet.torture import torture_messages
from voice.gauntlet.wire import UdpWire, Wire

_SEEDS: Final = (INVITE, OK, BYE, *(one.data for one in torture_messages()))
_SOURCES: Final = 16
_CALL_SECONDS: Final = 20
"""The longest that a call of the attack stays, which nobody hangs up."""
_GOOD_IN_TIME: Final = 4.0
_END_SECONDS: Final = 150.0
"""The longest that transactions and half-open connections of the attack may stay."""
_WARM_SECONDS: Final = 40.0
_MAY_GROW: Final = 12 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """What may not grow."""

    resident: int
    blocks: int
    """Of the Python heap."""
    descriptors: int
    tasks: int
    transactions: int
    calls: int

    @classmethod
    def take(cls, stage: Ground) -> Census:
        gc.collect()
        # What the C library keeps for the next burst is no leak.
        ctypes.CDLL(None).malloc_trim(0)
        snapshot = stage.edge.snapshot()
        return cls(
            resident=procfs.resident(os.getpid()),
            blocks=sys.getallocatedblocks(),
            descriptors=procfs.descriptors(os.getpid()),
            tasks=len(asyncio.all_tasks()),
            transactions=snapshot.server_transactions + snapshot.client_transactions,
            calls=sum(snapshot.calls.values()),
        )

    def more_than(self, before: Census) -> list[str]:
        names = ("descriptors", "tasks", "transactions", "calls")
        more = [
            f"{name}: {getattr(before, name)} -> {getattr(self, name)}"
            for name in names
            if getattr(self, name) > getattr(before, name)
        ]
        if self.resident - before.resident > _MAY_GROW:
            more.append(f"memory: {before.resident >> 20} -> {self.resident >> 20} MB")
        return more


@dataclass(slots=True)
class _Tally:
    sent: int = 0
    calls: list[float] = field(default_factory=list)
    found: list[str] = field(default_factory=list)


async def fuzz_wire(seconds: float, seed: int, rate: int) -> int:
    """The exit status: 0 when nothing was found."""
    tally = _Tally()

    def escaped(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        tally.found.append(f"an exception in the loop: {context.get('exception') or context['message']}")

    asyncio.get_running_loop().set_exception_handler(escaped)
    async with ground(call_seconds=_CALL_SECONDS) as stage:
        # Caches have their size after a while, and the heap once a refusal of each moment of 64*T1 was in it;
        # only then is memory worth a look.
        await _attack(stage, min(_WARM_SECONDS, seconds), seed + 1, rate, _Tally())
        await _calm(stage)
        before = Census.take(stage)
        await _attack(stage, seconds, seed, rate, tally)
        await _calm(stage)
        after = Census.take(stage)
        if stage.edge.snapshot().bugs:
            tally.found.append(f"{stage.edge.snapshot().bugs} bugs: see the log")
        received = stage.edge.snapshot().messages_received
    tally.found += [f"not flat, {one}" for one in after.more_than(before)]
    slowest = max(tally.calls, default=0.0)
    print(f"{tally.sent} sent, {received} received, {len(tally.calls)} good calls, {slowest:.2f} s at most")
    print(f"before {before}\nafter  {after}")
    for one in tally.found:
        print(f"  found: {one}")
    return 1 if tally.found else 0


async def _attack(stage: Ground, seconds: float, seed: int, rate: int, tally: _Tally) -> None:
    good = asyncio.create_task(_call_every_second(stage.aim, stage.records, tally))
    fields = [Field(stage.aim, f"127.66.0.{number + 1}") for number in range(_SOURCES)]
    try:
        await _send(stage, fields, seconds, random.Random(seed), rate, tally)
    finally:
        good.cancel()
        await asyncio.gather(good, return_exceptions=True)
        for one in fields:
            one.close()


async def _send(
    stage: Ground, fields: list[Field], seconds: float, source: random.Random, rate: int, tally: _Tally
) -> None:
    wires: list[Wire] = [one.udp() for one in fields]
    templates = [wire_request(one, wire) for one, wire in zip(fields, wires, strict=True)]
    began = time.monotonic()
    sent = 0
    while time.monotonic() - began < seconds:
        number = source.randrange(_SOURCES)
        ground_, wire = fields[number], wires[number]
        if source.random() < 0.02:
            templates[number] = await _fresh(ground_, wire)
        data = source.choice((templates[number], templates[number], source.choice(_SEEDS)))
        data = mutated(data, Choices(source.randbytes(32)))
        if source.random() < 0.02:
            await _by_tcp(ground_, data, source)
        else:
            await wire.send(data[:65_000])
        sent += 1
        tally.sent += 1
        await asyncio.sleep(max(0.0, began + sent / rate - time.monotonic()))
        while isinstance(wire, UdpWire) and await wire.receive(0) is not None:
            pass


async def _fresh(ground_: Field, wire: Wire) -> bytes:
    """A request that would be let in if it were not changed."""
    try:
        return (await prepared(ground_, wire)).to_bytes()
    except (Failed, Full):
        return wire_request(ground_, wire)


def wire_request(ground_: Field, wire: Wire) -> bytes:
    return ground_.request("INVITE", wire).to_bytes()


async def _by_tcp(ground_: Field, data: bytes, source: random.Random) -> None:
    stream = await ground_.stream()
    cut = source.randrange(len(data) + 1)
    await stream.send(data[:cut])
    await asyncio.sleep(0)
    await stream.send(data[cut:])
    await asyncio.sleep(0)
    stream.close()


async def _call_every_second(aim: Aim, records: Records, tally: _Tally) -> None:
    good = Field(replace(aim, patience=4.0), None)
    try:
        wire = good.udp()
        while True:
            began = time.monotonic()
            try:
                took = await good_call(good, wire)
            except (Failed, Full) as fault:
                tally.found.append(f"a good call failed: {told(fault)}")
            else:
                tally.calls.append(took)
                if took > _GOOD_IN_TIME:
                    tally.found.append(f"a good call took {took:.2f} s")
            # What the store would have by now.
            records.all.clear()
            await asyncio.sleep(max(0.0, began + 1 - time.monotonic()))
    finally:
        good.close()


async def _calm(stage: Ground) -> None:
    """Waits until what the attack began has ended."""
    until = time.monotonic() + _END_SECONDS
    while time.monotonic() < until:
        snapshot = stage.edge.snapshot()
        if not (snapshot.server_transactions or snapshot.client_transactions or snapshot.calls):
            break
        await asyncio.sleep(0.2)
