"""A real pool with real call processes; only what the parent would answer is simple."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from callflows.model import Utterance
from callflows.ports import Prompt, Unavailable
from tests.audio import tone, write_wav
from tests.notes import Notes
from tests.ports import free_rtp_range
from voice.pool.callprocess import ProcessConfig
from voice.pool.desk import Desk
from voice.pool.fleet import PoolSettings
from voice.pool.orders import CallOrder, DialPlan, Seat, Ticket
from voice.pool.pool import Pool
from voice.pool.undertaker import Undertaker

GREET_AND_RECORD = """
<callflow><steps>
  <step id="greet" action="say"><language>en-GB</language><voice>male</voice><text>Welcome.</text></step>
  <step id="take" action="record"><timeout>20</timeout><finishOnKey>#</finishOnKey></step>
</steps></callflow>
"""

GREET = """
<callflow><steps>
  <step id="greet" action="say"><language>en-GB</language><voice>male</voice><text>Welcome.</text></step>
</steps></callflow>
"""

GREET_TWICE = """
<callflow><steps>
  <step id="one" action="say"><language>en-GB</language><voice>male</voice><text>One.</text></step>
  <step id="wait" action="pause"><length>2</length></step>
  <step id="two" action="say"><language>en-GB</language><voice>female</voice><text>Two.</text></step>
  <step id="three" action="say"><language>en-GB</language><voice>male</voice><text>Three.</text></step>
</steps></callflow>
"""

RTP_SPAN = 256
"""UDP ports of a pool: 16 call processes."""


def transfer_to(address: str, after: str = "") -> str:
    """A callflow that transfers to bob at ``host:port``; `after` holds further steps."""
    step = f'<step id="t" action="transfer"><to>sip:bob@{address}</to></step>'
    return f"<callflow><steps>{step}{after}</steps></callflow>"


class OneSound:
    """Every sound is the same file; a source named ``missing`` cannot be had."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked = 0

    async def speech(self, utterance: Utterance) -> Prompt:
        assert utterance.parts
        self.asked += 1
        return Prompt(path=str(self.path), seconds=1.0)

    async def media(self, source: str, account_id: str) -> Prompt:
        raise Unavailable(f"{source} of {account_id}: there is no such file; upload it")

    async def beep(self) -> Prompt:
        return Prompt(path=str(self.path), seconds=1.0)


class OneFlow:
    """What a dynamic callflow is answered with."""

    def __init__(self) -> None:
        self.document = GREET
        self.asked: list[str] = []
        self.ready = asyncio.Event()
        """Cleared, the answer waits for it."""
        self.ready.set()

    async def fetch(self, url: str, order: CallOrder, variables: Mapping[str, str]) -> str:
        self.asked.append(url)
        await self.ready.wait()
        if url.endswith("/broken"):
            raise Unavailable(f"{url} answered call {order.call_id} with 500")
        return self.document

    async def finished(
        self, url: str, recording_id: str, order: CallOrder, variables: Mapping[str, str]
    ) -> str:
        self.asked.append(f"{url} {recording_id}")
        return self.document


class Writers:
    """Who writes down recordings."""

    def __init__(self) -> None:
        self.wanted: list[tuple[str, str, str]] = []

    async def want(self, recording_id: str, leg_id: str, language: str, order: CallOrder) -> None:
        self.wanted.append((recording_id, leg_id, language))


class FreeCalls:
    """Every outgoing call may be dialled."""

    def __init__(self) -> None:
        self.dialled_calls: list[str] = []
        self.ended: list[str] = []
        self.allowed = True

    async def dialled(self, call_id: str, leg_id: str) -> bool:
        self.dialled_calls.append(call_id)
        return self.allowed

    async def has_legs(self, call_id: str) -> bool:
        return False

    def over(self, call_id: str) -> None:
        self.ended.append(call_id)


class StraightDesk:
    """A `DialDesk` without an edge: the ticket is the target itself."""

    def __init__(self) -> None:
        self.plans: list[DialPlan] = []
        self.lost: list[Seat] = []
        self.ended: list[str] = []

    def file(self, plan: DialPlan) -> Ticket:
        self.plans.append(plan)
        return Ticket(uri=plan.targets[0], srtp=plan.srtp)

    def call_ended(self, call_id: str) -> None:
        self.ended.append(call_id)

    def seat_lost(self, seat: Seat, reason: str) -> None:
        assert reason
        self.lost.append(seat)


class World:
    """A pool and what surrounds it."""

    def __init__(
        self,
        pool: Pool,
        notes: Notes,
        flow: OneFlow,
        desk: StraightDesk,
        sound: OneSound,
        writers: Writers,
        outgoing: FreeCalls,
    ) -> None:
        self.pool = pool
        self.notes = notes
        self.flow = flow
        self.desk = desk
        self.sound = sound
        self.writers = writers
        self.outgoing = outgoing

    async def seat(self, document: str | None = GREET, **other: object) -> tuple[CallOrder, str]:
        """An order with a seat, and the URI to call."""
        order = replace(order_for(document), **other)  # type: ignore[arg-type]
        seat = await self.pool.seat(order)
        return order, f"sip:{order.call_id}@{seat.host}:{seat.port}"


def order_for(document: str | None) -> CallOrder:
    return CallOrder(
        call_id=str(uuid.uuid4()),
        leg_id=str(uuid.uuid4()),
        account_id="acme",
        domain="acme",
        source="+31201234567",
        destination="+31207654321",
        number_id=None,
        callflow_id=None,
        document=document,
        url=None,
        fallback_document=None,
        max_seconds=60,
    )


MakeWorld = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture
def prompt(tmp_path: Path) -> Path:
    """One second of 440 Hz."""
    path = tmp_path / "prompt.wav"
    write_wav(path, tone(440, 1.0))
    return path


@pytest.fixture
def world(tmp_path: Path, prompt: Path) -> MakeWorld:
    """Makes a pool; `edge` is the address that BYEs for dead processes go to."""

    @asynccontextmanager
    async def make(edge: tuple[str, int] = ("127.0.0.1", 9), **settings: int) -> AsyncIterator[World]:
        notes, flow, desk, sound = Notes(), OneFlow(), StraightDesk(), OneSound(prompt)
        undertaker, writers, outgoing = Undertaker(), Writers(), FreeCalls()
        config = process_config(tmp_path)
        rtp = free_rtp_range(RTP_SPAN)
        sizes = {
            "warm_reserve": 1,
            "max_processes": 4,
            "calls_per_process": 1,
            "calls_before_recycling": 50,
            "rtp_first": rtp,
            "rtp_last": rtp + RTP_SPAN - 1,
        }
        pool = Pool(
            PoolSettings(run_dir=tmp_path / "run", **(sizes | settings)),
            config,
            Desk(sound, flow, writers, outgoing, tmp_path / "recordings", notes),
            undertaker,
            notes,
        )
        await undertaker.start(edge)
        try:
            await pool.start(desk)
            await pool.warm()
            yield World(pool, notes, flow, desk, sound, writers, outgoing)
        finally:
            await pool.stop("the test is over")
            await undertaker.stop()

    return make


def process_config(directory: Path) -> ProcessConfig:
    return ProcessConfig(
        parent_socket=str(directory / "run" / "pool.sock"),
        sip_host="127.0.0.1",
        from_host="sip.example.com",
        rtp_host="127.0.0.1",
        rtp_public_host="127.0.0.1",
        rtp_ports=16,
        legs=0,
        clock_rate=8000,
        log_level="INFO",
    )
