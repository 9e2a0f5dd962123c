"""A media stack in the test's own process, real telephones, and lines over both; nobody between them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from callflows.ports import DialRequest
from sip_config.model import SrtpPolicy
from tests.phone import Phone, phone
from tests.pool.conftest import order_for
from tests.ports import free_rtp_range
from voice.media.pj import PjEngine
from voice.media.seam import EventSink, LegEvent, MediaLeg, MediaSettings
from voice.pool.line import LiveLine
from voice.pool.orders import CallOrder, DialPlan, FirstLeg, Ticket
from voice.pool.party import LiveParty

SETTINGS = MediaSettings(
    sip_host="127.0.0.1",
    from_host="sip.example.com",
    rtp_host="127.0.0.1",
    rtp_public_host="127.0.0.1",
    rtp_port=free_rtp_range(64),
    rtp_ports=64,
    legs=4,
)


class Stage:
    """A media stack and the lines on it."""

    def __init__(self) -> None:
        self.engine = PjEngine(SETTINGS, self._arrived)
        self.srtp = SrtpPolicy.OPTIONAL
        """What the tickets ask for."""
        self.plans: list[DialPlan] = []
        self.events: list[tuple[LegEvent, LiveParty | None]] = []
        self._came: asyncio.Queue[LiveLine] = asyncio.Queue()

    async def ticket(self, plan: DialPlan) -> Ticket:
        """Without an edge the ticket is the target itself."""
        self.plans.append(plan)
        return Ticket(uri=plan.targets[0], srtp=self.srtp)

    def line(self, order: CallOrder, leg: MediaLeg | None) -> LiveLine:
        return LiveLine(
            order, leg, self.engine, self.ticket, lambda event, party: self.events.append((event, party))
        )

    def _arrived(self, leg: MediaLeg, user: str) -> EventSink:
        line = self.line(order_for(None), leg)
        self._came.put_nowait(line)
        return line.hear

    async def arrival(self) -> LiveLine:
        """The line of the next INVITE, not answered."""
        return await self._came.get()

    @asynccontextmanager
    async def caller(self, *arguments: str) -> AsyncIterator[tuple[LiveLine, Phone]]:
        """Somebody who calls, and has been answered."""
        host, port = self.engine.address
        async with phone("call", f"sip:{uuid.uuid4()}@{host}:{port}", *arguments) as caller:
            line = await self.arrival()
            await line.answer()
            yield line, caller
            await line.hangup()
            await caller.ended()

    @asynccontextmanager
    async def called(self, *arguments: str) -> AsyncIterator[tuple[LiveLine, Phone]]:
        """Somebody whom the platform called, and who has answered."""
        async with phone("answer", *arguments) as callee:
            first = await first_leg(callee)
            line = self.line(replace(order_for(None), outbound=first), None)
            await line.call(first)
            yield line, callee
            await line.hangup()
            await callee.ended()

    @asynccontextmanager
    async def party(self, line: LiveLine, *arguments: str) -> AsyncIterator[tuple[LiveParty, Phone]]:
        """Somebody whom the line has dialled, and who has answered; not bridged."""
        async with phone("answer", *arguments) as callee:
            request = DialRequest(targets=(await uri(callee),), serial=False, ring_seconds=10.0)
            party = await line.dial(request, quietly=True)
            yield party, callee
            await party.hangup()
            await callee.ended()


async def uri(callee: Phone) -> str:
    return f"sip:bob@{await callee.address()}"


async def first_leg(callee: Phone, ring_seconds: float = 10.0) -> FirstLeg:
    return FirstLeg(target=await uri(callee), caller_id="+31201234567", ring_seconds=ring_seconds)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    one = Stage()
    await one.engine.start()
    try:
        yield one
    finally:
        await one.engine.stop()


@pytest.fixture
def heard(tmp_path: Path) -> Path:
    """Where a telephone keeps what it hears."""
    return tmp_path / "heard.wav"
