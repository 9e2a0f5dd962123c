"""SRTP of a leg: what it offers and takes by its policy, what is on the wire, and what is heard."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from callflows.ports import NotAnswered, Prompt
from sip_config.model import SrtpPolicy
from tests.audio import ARRIVES, read_wav, tone, tone_seconds, write_wav
from tests.media.conftest import SETTINGS, Stage, first_leg
from tests.phone import phone
from tests.pool.conftest import order_for
from tests.wiretap import PLAIN_BYTES, TAG_BYTES, Wiretap, overheard, sizes, wiretap
from voice.media.srtp import srtp_uri
from voice.pool.line import LiveLine

FORBIDDEN, OPTIONAL, REQUIRED = SrtpPolicy
PORTS = range(SETTINGS.rtp_port, SETTINGS.rtp_port + SETTINGS.rtp_ports)
OURS, THEIRS = 440, 1000
"""Hertz."""
ENCRYPTED = [(OPTIONAL, OPTIONAL), (OPTIONAL, REQUIRED), (REQUIRED, REQUIRED)]
PLAIN = [(FORBIDDEN, FORBIDDEN), (FORBIDDEN, OPTIONAL), (OPTIONAL, FORBIDDEN)]


@pytest.mark.parametrize(("ours", "theirs"), [*ENCRYPTED, *PLAIN])
async def test_an_incoming_leg(stage: Stage, tmp_path: Path, ours: SrtpPolicy, theirs: SrtpPolicy) -> None:
    arguments = speaking(tmp_path, theirs)
    with wiretap() as tap:
        async with phone("call", *to_us(stage, ours), *arguments) as caller:
            line = await stage.arrival()
            await line.answer()
            await talk(line, tmp_path)
            await caller.ended()
    listen(tap, tmp_path, encrypted=(ours, theirs) not in PLAIN)


@pytest.mark.parametrize(
    ("ours", "theirs"), [(OPTIONAL, OPTIONAL), (REQUIRED, OPTIONAL), (REQUIRED, REQUIRED), *PLAIN]
)
async def test_an_outgoing_leg(stage: Stage, tmp_path: Path, ours: SrtpPolicy, theirs: SrtpPolicy) -> None:
    stage.srtp = ours
    arguments = speaking(tmp_path, theirs)
    with wiretap() as tap:
        async with stage.called(*arguments) as (line, _):
            await talk(line, tmp_path)
    listen(tap, tmp_path, encrypted=(ours, theirs) not in PLAIN)


@pytest.mark.parametrize(
    ("ours", "theirs"), [(FORBIDDEN, REQUIRED), (REQUIRED, FORBIDDEN), (REQUIRED, OPTIONAL)]
)
async def test_a_leg_takes_no_offer_against_its_policy(
    stage: Stage, ours: SrtpPolicy, theirs: SrtpPolicy
) -> None:
    """Who offers a choice does not offer what is required: RTP/SAVP."""
    async with phone("call", *to_us(stage, ours), "--srtp", theirs) as caller:
        assert await caller.ended() == 488


@pytest.mark.parametrize(
    ("ours", "theirs"), [(FORBIDDEN, REQUIRED), (OPTIONAL, REQUIRED), (REQUIRED, FORBIDDEN)]
)
async def test_a_callee_may_not_like_what_is_offered(
    stage: Stage, ours: SrtpPolicy, theirs: SrtpPolicy
) -> None:
    stage.srtp = ours
    async with phone("answer", "--srtp", theirs) as callee:
        first = await first_leg(callee)
        line = stage.line(replace(order_for(None), outbound=first), None)
        with pytest.raises(NotAnswered) as refused:
            await line.call(first)
        assert refused.value.status == 488


@pytest.mark.parametrize("ours", [OPTIONAL, REQUIRED])
async def test_encryption_lasts_through_a_hold(stage: Stage, tmp_path: Path, ours: SrtpPolicy) -> None:
    arguments = speaking(tmp_path, OPTIONAL)
    with wiretap() as tap:
        async with phone("call", *to_us(stage, ours), "--srtp", REQUIRED, *arguments[2:]) as caller:
            line = await stage.arrival()
            await line.answer()
            await line.hold()
            await line.unhold()
            await caller.event("media", 3)
            await talk(line, tmp_path)
            await caller.ended()
    listen(tap, tmp_path, encrypted=True)


def to_us(stage: Stage, policy: SrtpPolicy) -> tuple[str, ...]:
    """A call to the stack, whose To says what its trunk wants."""
    host, port = stage.engine.address
    uri = f"sip:4711@{host}:{port}" if policy is OPTIONAL else srtp_uri(policy)
    return uri, "--proxy", f"{host}:{port}"


def speaking(tmp_path: Path, policy: SrtpPolicy) -> tuple[str, ...]:
    """A telephone that says its tone all the time, and keeps what it hears."""
    voice = write_wav(tmp_path / "theirs.wav", tone(THEIRS, 1.0))
    return ("--srtp", policy, "--play", str(voice), "--loop", "--record", str(tmp_path / "heard-by-them.wav"))


async def talk(line: LiveLine, tmp_path: Path) -> None:
    """Says our tone, and keeps what is heard meanwhile; then hangs up."""
    voice = write_wav(tmp_path / "ours.wav", tone(OURS, 1.0))
    writer = line._leg.writer(str(tmp_path / "heard-by-us.wav"))
    await writer.start()
    await line.play(Prompt(path=str(voice), seconds=1.0))
    await asyncio.sleep(0.1)
    await writer.stop()
    await line.hangup()


def listen(tap: Wiretap, tmp_path: Path, *, encrypted: bool) -> None:
    """Both ends have heard each other, and who listens on the wire has or has not."""
    assert tone_seconds(read_wav(tmp_path / "heard-by-us.wav"), THEIRS) > ARRIVES
    assert tone_seconds(read_wav(tmp_path / "heard-by-them.wav"), OURS) > ARRIVES
    for packets, hertz in ((tap.sent_from(PORTS), OURS), (tap.sent_to(PORTS), THEIRS)):
        assert len(packets) > 40
        if encrypted:
            assert sizes(packets) == {PLAIN_BYTES + TAG_BYTES}
            assert tone_seconds(overheard(packets), hertz) == 0.0
        else:
            assert sizes(packets) == {PLAIN_BYTES}
            assert tone_seconds(overheard(packets), hertz) > ARRIVES
