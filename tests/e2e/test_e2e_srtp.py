"""SRTP through the whole platform: who is refused, what is on the wire, and what is heard at both ends."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.audio import ARRIVES, listen, read_wav, tone_seconds
from tests.baresip import Baresip, baresip
from tests.e2e.conftest import MakePlatform, Voices
from tests.e2e.ears import CLEAR, hears
from tests.e2e.flows import flow, record, say, transfer
from tests.e2e.node import BASE_DOMAIN, NUMBER, PASSWORD, USER, Platform, account, gateway
from tests.phone import Phone, phone
from tests.ports import free_port
from tests.sipp import sipp
from tests.wiretap import PLAIN_BYTES, TAG_BYTES, audio_port, overheard, sizes, wiretap
from voice.records import LegChanged, LegStarted, LegStatus, Refusal

pytestmark = pytest.mark.long

SALES = "+31207654321"
CALLER, CALLEE = 1000, 600
"""Hertz."""
ACTIVE, LOCAL_HOLD = 1, 2
"""pjsua2's words for the state of a telephone's sound."""


def srtp(policy: str) -> str:
    return f'srtp = "{policy}"'


def softphone(
    here: Platform, voices: Voices, tmp_path: Path, encryption: str | None
) -> AbstractAsyncContextManager[Baresip]:
    """baresip, as the PBX of the account; `encryption` in its words."""
    return baresip(
        tmp_path / "baresip",
        port=free_port(),
        voice=voices(CALLER),
        identity=f"sip:{USER}@acme.{BASE_DOMAIN}",
        user=USER,
        password=PASSWORD,
        proxy=here.door(),
        media_encryption=encryption,
    )


def rtp_ports(here: Platform) -> range:
    """Those of the call processes."""
    return range(here.settings.media.rtp_first, here.settings.media.rtp_last + 1)


def encrypted(packets: list[bytes], hertz: int | None = None) -> bool:
    """Whether nobody understands the packets who should not; else the tone in them is there for all."""
    assert len(packets) > 15
    understood = hertz is not None and tone_seconds(overheard(packets), hertz) > 0.0
    if sizes(packets) == {PLAIN_BYTES + TAG_BYTES}:
        assert not understood
        return True
    assert sizes(packets) == {PLAIN_BYTES}
    assert understood
    return False


async def test_a_callflow_of_a_domain_that_requires_srtp(
    node: MakePlatform, voices: Voices, tmp_path: Path
) -> None:
    heard = tmp_path / "heard.wav"
    async with node(account(flow=flow(say(), record()), domain=srtp("required"))) as here:
        for too_little in ("forbidden", "optional"):
            async with here.pbx("--srtp", too_little) as refused:
                assert await refused.ended() == 488
        with wiretap() as tap:
            sound = ("--srtp", "required", "--play", voices(CALLER), "--record", str(heard))
            async with here.pbx(*sound) as caller:
                await here.recorded(1.0)
                await caller.do("digits", "#")
                assert await caller.ended() == 200
        recording = await here.recording()
        prompt = await here.prompt()
        ports = rtp_ports(here)
        refusals = {(refusal.cause, refusal.gate) for refusal in here.notes.all(Refusal)}
    assert encrypted(tap.sent_to(ports), CALLER)
    assert encrypted(tap.sent_from(ports))
    assert listen(overheard(tap.sent_from(ports)), prompt).score < CLEAR
    assert listen(read_wav(heard), prompt).score > CLEAR
    assert tone_seconds(recording, CALLER) > ARRIVES
    assert refusals == {("srtp-required", "media")}


@pytest.mark.peer
@pytest.mark.parametrize(
    ("policy", "encryption", "wanted"),
    [
        ("required", "srtp-mand", True),
        ("optional", "srtp-mand", True),
        ("optional", "srtp", True),
        ("optional", None, False),
        ("forbidden", "srtp", False),
    ],
)
async def test_baresip_and_the_domains_policy(
    node: MakePlatform, voices: Voices, tmp_path: Path, policy: str, encryption: str | None, wanted: bool
) -> None:
    with wiretap() as tap:
        async with node(account(flow=flow(say(), record()), domain=srtp(policy))) as here:
            async with softphone(here, voices, tmp_path, encryption) as caller:
                await caller.command("dial", f"sip:{NUMBER}@acme.{BASE_DOMAIN}")
                await here.recorded(1.0)
                await caller.command("hangup")
                await caller.event("CALL_CLOSED")
            await here.ended()
            recording = await here.recording()
            prompt = await here.prompt()
            ports = rtp_ports(here)
    assert encrypted(tap.sent_to(ports), CALLER) is wanted
    assert {PLAIN_BYTES + TAG_BYTES * wanted} == sizes(tap.sent_from(ports))
    assert listen(read_wav(caller.heard()), prompt).score > CLEAR
    assert tone_seconds(recording, CALLER) > ARRIVES


@pytest.mark.peer
async def test_baresip_is_refused_where_srtp_is_forbidden(
    node: MakePlatform, voices: Voices, tmp_path: Path
) -> None:
    async with node(account(flow=flow(say()), domain=srtp("forbidden"))) as here:
        async with softphone(here, voices, tmp_path, "srtp-mand") as caller:
            await caller.command("dial", f"sip:{NUMBER}@acme.{BASE_DOMAIN}")
            closed = await caller.event("CALL_CLOSED")
        [refusal] = here.notes.all(Refusal)
    assert "488" in closed["param"]
    assert refusal.cause == "srtp-forbidden"


def talking(voices: Voices, tmp_path: Path, hertz: int, policy: str) -> tuple[str, ...]:
    """A telephone that says a tone and keeps what it hears."""
    return ("--srtp", policy, "--play", voices(hertz), "--record", str(tmp_path / f"heard-by-{hertz}.wav"))


async def both_hear(tmp_path: Path, *, after: int = 0) -> None:
    await hears(tmp_path / f"heard-by-{CALLER}.wav", CALLEE, after=after)
    await hears(tmp_path / f"heard-by-{CALLEE}.wav", CALLER, after=after)


def heard_so_far(tmp_path: Path) -> int:
    """In samples."""
    files = (tmp_path / f"heard-by-{hertz}.wav" for hertz in (CALLER, CALLEE))
    return max(file.stat().st_size for file in files) // 2


async def held_and_resumed(*phones: Phone) -> None:
    for one in phones:
        await one.do("hold")
        await one.event("media", status=LOCAL_HOLD)
        await one.do("resume")
        await one.event("media", nth=2, status=ACTIVE)


@pytest.mark.parametrize(
    ("domain", "way", "caller_srtp", "callee_srtp", "wanted"),
    [
        ("required", "required", "required", "required", True),
        ("required", "optional", "required", "optional", True),
        ("optional", "optional", "optional", "optional", True),
        ("optional", "required", "optional", "required", True),
        ("optional", "optional", "optional", "forbidden", False),
        ("forbidden", "optional", "optional", "optional", False),
        ("optional", "forbidden", "optional", "optional", False),
    ],
)
async def test_a_plain_trunk(
    node: MakePlatform,
    voices: Voices,
    tmp_path: Path,
    domain: str,
    way: str,
    caller_srtp: str,
    callee_srtp: str,
    wanted: bool,
) -> None:
    async with phone("answer", *talking(voices, tmp_path, CALLEE, callee_srtp)) as callee:
        gateways = gateway("carrier", await callee.address(), srtp(way))
        async with node(account(domain=srtp(domain)) + gateways) as here:
            sound = talking(voices, tmp_path, CALLER, caller_srtp)
            async with here.pbx(*sound, number=SALES) as caller:
                port = audio_port((await callee.event("incoming"))["invite"])
                with wiretap() as tap:
                    await both_hear(tmp_path)
                    await held_and_resumed(caller, callee)
                    await both_hear(tmp_path, after=heard_so_far(tmp_path))
                await caller.do("hangup")
                assert await caller.ended() == 200
            assert await callee.ended() == 200
    assert encrypted(tap.sent_from([port]), CALLER) is wanted
    assert encrypted(tap.sent_to([port]), CALLEE) is wanted


async def test_a_callee_without_srtp_leads_to_the_next_gateway(
    node: MakePlatform, voices: Voices, tmp_path: Path
) -> None:
    async with (
        phone("answer") as plain,
        phone("answer", *talking(voices, tmp_path, CALLEE, "required")) as secure,
    ):
        gateways = gateway("first", await plain.address(), "priority = 1") + gateway(
            "second", await secure.address(), "priority = 2"
        )
        async with node(account(domain=srtp("required")) + gateways) as here:
            sound = talking(voices, tmp_path, CALLER, "required")
            async with here.pbx(*sound, number=SALES) as caller:
                await both_hear(tmp_path)
                await caller.do("hangup")
                assert await caller.ended() == 200
            await secure.ended()
            tried = [leg.gateway for leg in here.notes.all(LegStarted) if leg.gateway]
    assert tried == ["first", "second"]


@pytest.mark.peer
async def test_a_carrier_that_answers_without_encryption_is_hung_up_and_the_next_one_tried(
    node: MakePlatform, voices: Voices, tmp_path: Path
) -> None:
    port = free_port()
    async with (
        sipp("callee", None, folder=tmp_path / "carrier", port=port) as carrier,
        phone("answer", *talking(voices, tmp_path, CALLEE, "required")) as secure,
    ):
        gateways = gateway("first", f"127.0.0.1:{port}", "priority = 1", srtp("required")) + gateway(
            "second", await secure.address(), "priority = 2", srtp("required")
        )
        async with node(account() + gateways) as here:
            sound = talking(voices, tmp_path, CALLER, "required")
            async with here.pbx(*sound, number=SALES) as caller:
                await both_hear(tmp_path)
                assert not (await carrier.done()).failed, "it got ACK and BYE"
                await caller.do("hangup")
                assert await caller.ended() == 200
            await secure.ended()
            failed = here.notes.all(LegChanged, lambda leg: leg.status is LegStatus.FAILED)
    assert [leg.sip_status for leg in failed] == [488]


@pytest.mark.parametrize(
    ("ways", "callee_srtp", "wanted"),
    [
        (("required",), "required", True),
        (("optional",), "optional", True),
        (("optional",), "forbidden", False),
        (("forbidden",), "optional", False),
        (("forbidden", "required"), "required", True),
        (("required", "forbidden"), "forbidden", False),
    ],
)
async def test_a_callflow_dials_as_the_gateway_wants_it(
    node: MakePlatform,
    voices: Voices,
    tmp_path: Path,
    ways: tuple[str, ...],
    callee_srtp: str,
    wanted: bool,
) -> None:
    """The caller's leg has its own policy; of two gateways the first is broken."""
    async with (
        phone("answer", "--status", "503") as broken,
        phone("answer", *talking(voices, tmp_path, CALLEE, callee_srtp)) as callee,
    ):
        gateways = gateway("last", await callee.address(), "priority = 9", srtp(ways[-1]))
        if len(ways) > 1:
            gateways += gateway("broken", await broken.address(), srtp(ways[0]))
        async with node(account(flow=flow(transfer(SALES))) + gateways) as here:
            async with here.pbx(*talking(voices, tmp_path, CALLER, "forbidden")) as caller:
                port = audio_port((await callee.event("incoming"))["invite"])
                with wiretap() as tap:
                    await both_hear(tmp_path)
                    await held_and_resumed(callee)
                    await both_hear(tmp_path, after=heard_so_far(tmp_path))
                await caller.do("hangup")
                assert await caller.ended() == 200
            await callee.ended()
    assert encrypted(tap.sent_from([port]), CALLER) is wanted
    assert encrypted(tap.sent_to([port]), CALLEE) is wanted


def test_the_tap_understands_what_is_not_encrypted() -> None:
    """Else it would find everything encrypted."""
    for header, quiet, loud in ((b"\x80\x08", 0xD5, 0xAA), (b"\x80\x00", 0xFF, 0x80)):
        packets = [header + bytes(10) + bytes([octet]) * 160 for octet in (quiet, loud)]
        heard = overheard(packets)
        assert abs(heard[:160]).max() < 0.001
        assert heard[160:].min() > 0.95
