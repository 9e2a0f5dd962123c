"""Calls that the store was given to place: through the edge and a gateway, once, whoever kills the node."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

from tests.e2e.conftest import MakePlatform, Voices
from tests.e2e.ears import hears
from tests.e2e.flows import flow, pause, play
from tests.e2e.node import NUMBER, account, gateway, media, stored
from tests.e2e.served import served
from tests.phone import phone
from tests.ports import free_port
from tests.sipp import invited, sipp
from voice.bells import Bells
from voice.commands import Command, Kind, Outcome, Result
from voice.config_file import read_settings_file
from voice.records import CallStatus
from voice.settings import Settings
from voice.store.commands import Commands
from voice.store.config import ConfigStore
from voice.store.database import Database
from voice.store.outbound import NewCall, OutboundStore
from voice.store.queries import CallHistory

CALLEE = "+31612345678"
PATIENCE_SECONDS = 60.0
OVER = {CallStatus.ENDED, CallStatus.FAILED, CallStatus.BUSY, CallStatus.NO_ANSWER}
LIMITS = "calls_per_second = 50.0\nconcurrent_calls = 200"


def new_call(account_id: str, document: str, destination: str = CALLEE, ring: float = 20.0) -> NewCall:
    return NewCall(
        call_id=str(uuid.uuid4()),
        account_id=account_id,
        origin="call",
        source=NUMBER,
        destination=destination,
        document=document,
        ring_seconds=ring,
        created_at=time.time(),
    )


async def accept(settings: Settings, calls: Iterable[NewCall]) -> None:
    """As an API in another process does."""
    async with await Database.of(settings) as database:
        await OutboundStore(database, time.time).accept(*calls)


async def command(settings: Settings, call_id: str, kind: Kind, leg_id: str | None = None) -> Outcome:
    async with await Database.of(settings) as database:
        return await Commands(database, Bells(), time.time).ask(
            Command(kind=kind, call_id=call_id, leg_id=leg_id)
        )


async def over(settings: Settings, call_id: str) -> CallHistory:
    """What is on record of a call, once it has ended."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (history := await stored(settings, call_id)).call.status not in OVER:
            await asyncio.sleep(0.1)
    return history


async def ongoing(settings: Settings, call_id: str) -> CallHistory:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (history := await stored(settings, call_id)).call.status != CallStatus.ONGOING:
            await asyncio.sleep(0.05)
    return history


async def test_a_call_goes_out_by_the_gateway_that_works_and_who_answers_hears_its_callflow(
    node: MakePlatform, voices: Voices, tmp_path: Path
) -> None:
    heard = tmp_path / "heard.wav"
    prompt = voices(600)
    async with phone("answer", "--record", str(heard)) as callee:
        broken = gateway("a_broken", f"127.0.0.1:{free_port()}", "priority = 1")
        carrier = gateway("b_carrier", await callee.address(), "priority = 2")
        declared = account(limits=LIMITS) + media(prompt) + broken + carrier
        async with node(declared) as here:
            call = new_call(await account_id(here.settings), flow(play(Path(prompt).name), pause(60)))
            await accept(here.settings, [call])
            invite = (await callee.event("incoming"))["invite"]
            await hears(heard, 600)
            history = await ongoing(here.settings, call.call_id)
            leg_id = next(leg.id for leg in history.legs if leg.status == "ongoing")
            held = await command(here.settings, call.call_id, Kind.HOLD, leg_id)
            unheld = await command(here.settings, call.call_id, Kind.UNHOLD, leg_id)
            ended = await command(here.settings, call.call_id, Kind.HANGUP)
            assert await callee.ended() == 200
            history = await over(here.settings, call.call_id)
            late = await command(here.settings, call.call_id, Kind.HANGUP)
    assert f"From: <sip:{NUMBER}@" in invite
    assert [one.result for one in (held, unheld, ended)] == [Result.DONE] * 3
    assert late.result is Result.GONE
    assert (history.call.status, history.call.end_reason) == (
        CallStatus.ENDED,
        "The call was ended by the API.",
    )
    assert [leg.status for leg in history.legs] == ["failed", "hangup"]


async def test_kills_at_any_moment_call_everybody_once(tmp_path: Path) -> None:
    port, count = free_port(), 60
    declared = account(limits=LIMITS) + gateway("carrier", f"127.0.0.1:{port}")
    async with (
        sipp("callee", None, folder=tmp_path / "callee", port=port, calls=count, patience=300) as callee,
        served(tmp_path, declared) as here,
    ):
        settings = read_settings_file(here.config, {})
        owner = await account_id(settings)
        numbers = [f"+31612{number:06}" for number in range(count)]
        calls = [new_call(owner, flow(pause(0.3)), number) for number in numbers]
        dice = random.Random(7)
        for some in (calls[:15], calls[15:30], calls[30:45], calls[45:]):
            await accept(settings, some)
            await asyncio.sleep(dice.uniform(0.1, 0.6))
            await here.kill()
            await here.start()
        histories = [await over(settings, call.call_id) for call in calls]
        called = invited(callee)
    assert [number for number, ids in called.items() if len(ids) > 1] == []
    failed = [one.call.destination for one in histories if one.call.status == CallStatus.FAILED]
    unheard = [one.call.destination for one in histories if one.call.destination not in called]
    assert set(unheard) <= set(failed)
    assert len(failed) < count / 3, [one.call.end_reason for one in histories]


async def account_id(settings: Settings) -> str:
    """That of the only account."""
    async with await Database.of(settings) as database:
        configuration, _ = await ConfigStore(database, media_folder=settings.media_directory).load(realm="")
    (owner,) = configuration.accounts
    return owner.id
