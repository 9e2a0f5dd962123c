"""Calls over TLS end to end: pjsua2 and baresip as PBX and carrier, with certificates that are checked."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.audio import ARRIVES, listen, read_wav, tone_seconds
from tests.baresip import baresip
from tests.e2e.conftest import Voices
from tests.e2e.ears import CLEAR
from tests.e2e.flows import flow, record, say
from tests.e2e.node import (
    BASE_DOMAIN,
    NUMBER,
    PASSWORD,
    USER,
    Platform,
    account,
    gateway,
    pbx_arguments,
    platform,
    settings_text,
)
from tests.e2e.served import Served
from tests.edge.authority import Authority
from tests.notes import PATIENCE_SECONDS
from tests.phone import phone
from tests.ports import free_port
from voice.node import NodeError
from voice.records import Refusal

pytestmark = pytest.mark.peer

DOMAIN = f"acme.{BASE_DOMAIN}"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tls")


def settings(authority: Authority, *, clients: bool = False) -> str:
    """A node that takes TLS on loopback; it believes the authority of gateways, and of clients."""
    shown = authority.issue("edge.pem", "127.0.0.1", DOMAIN)
    more = f'client_authorities = "{authority.file}"' if clients else ""
    table = f"""
tls = ["127.0.0.1:0"]
[node.sip.certificates]
certificate = "{shown}"
gateway_authorities = "{authority.file}"
{more}
[node.media]
"""
    return settings_text().replace("[node.media]\n", table)


async def sounded(*recordings: Path) -> None:
    """Waits until each holds a second."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while any(path.stat().st_size < 16_000 for path in recordings):
            await asyncio.sleep(0.05)


def calling(here: Platform, authority: Authority, *more: str) -> list[str]:
    return [*pbx_arguments(here.door("tls"), transport="tls"), "--authorities", str(authority.file), *more]


async def test_a_callflow_over_tls(authority: Authority, voices: Voices, tmp_path: Path) -> None:
    heard = tmp_path / "heard.wav"
    async with platform(tmp_path, account(flow=flow(say(), record())), settings(authority)) as here:
        async with phone(*calling(here, authority, "--play", voices(1000), "--record", str(heard))) as pbx:
            await here.recorded(1.0)
            await pbx.do("hangup")
            assert await pbx.ended() == 200
        prompt = await here.prompt()
        assert tone_seconds(await here.recording(), 1000) > ARRIVES
    assert listen(read_wav(heard), prompt).score > CLEAR


@pytest.mark.parametrize("srtp", ["forbidden", "required"])
async def test_a_trunk_call_from_tls_to_tls(
    authority: Authority, voices: Voices, tmp_path: Path, srtp: str
) -> None:
    """Also with encrypted sound, for whose keys TLS is."""
    policy = f'srtp = "{srtp}"'
    heard, spoken = tmp_path / "heard.wav", tmp_path / "spoken.wav"
    shown = authority.issue("carrier.pem", "127.0.0.1")
    answering = phone(
        "answer", "--transport", "tls", "--certificate", str(shown), "--play", voices(400),
        "--record", str(spoken), "--srtp", srtp,
    )  # fmt: skip
    async with answering as carrier:
        way = gateway("carrier", await carrier.address(), 'transport = "TLS"', policy)
        config = account(domain=policy, also=way)
        async with platform(tmp_path, config, settings(authority)) as here:
            sound = ("--play", voices(1000), "--record", str(heard), "--srtp", srtp)
            async with phone(*calling(here, authority, *sound)) as pbx:
                await carrier.event("state", state="CONFIRMED")
                await pbx.do("hold")
                await pbx.event("media", nth=2)
                await pbx.do("resume")
                await pbx.event("media", nth=3)
                await sounded(heard, spoken)
                await carrier.do("hangup")
                assert await pbx.ended() == 200
            await here.ended()
        assert await carrier.ended() == 200
    assert tone_seconds(read_wav(heard), 400) > 0.2
    assert tone_seconds(read_wav(spoken), 1000) > 0.2


async def test_a_customer_known_by_its_certificate_alone(
    authority: Authority, voices: Voices, tmp_path: Path
) -> None:
    shown = authority.issue("pbx.pem", "pbx.acme.example")
    config = account(users={}, flow=flow(say())).replace(
        'networks = ["127.0.0.0/8"]', 'certificates = ["pbx.acme.example"]'
    )
    async with platform(tmp_path, config, settings(authority, clients=True)) as here:
        async with phone(*calling(here, authority, "--certificate", str(shown))) as pbx:
            assert await pbx.ended() == 200
        async with phone(*calling(here, authority)) as pbx:
            assert await pbx.ended() == 403
        assert (await here.notes.first(Refusal)).cause == "acl-certificates"


async def test_a_node_whose_certificate_cannot_be_read_says_so(authority: Authority, tmp_path: Path) -> None:
    text = settings(authority)
    (tmp_path / "tls" / "edge.pem").write_text("nothing")
    with pytest.raises(NodeError, match=r"edge.pem cannot be used"):
        async with platform(tmp_path, account(), text):
            pass


async def test_baresip_calls_over_tls(authority: Authority, voices: Voices, tmp_path: Path) -> None:
    async with platform(tmp_path, account(flow=flow(say(), record())), settings(authority)) as here:
        pbx = baresip(
            tmp_path / "baresip",
            port=free_port(),
            voice=voices(1000),
            identity=f"sip:{USER}@{DOMAIN}",
            user=USER,
            password=PASSWORD,
            proxy=f"{here.door('tls')};transport=tls",
            authorities=authority.file,
        )
        async with pbx as caller:
            await caller.command("dial", f"sip:{NUMBER}@{DOMAIN}")
            await here.recorded(1.0)
            await caller.command("sndcode", "#")
            await caller.event("CALL_CLOSED")
        ended = await here.ended()
        assert ended.reason == "The callflow came to its end."
        assert tone_seconds(await here.recording(), 1000) > ARRIVES


async def test_a_hangup_signal_reads_certificates_anew(authority: Authority, tmp_path: Path) -> None:
    shown = authority.issue("edge.pem", DOMAIN)
    one = Served(tmp_path, account(), api=False)
    table = f'tls = ["127.0.0.1:0"]\n[node.sip.certificates]\ncertificate = "{shown}"\n[node.media]\n'
    one.config.write_text(one.config.read_text().replace("[node.media]\n", table))
    try:
        await one.start()
        one.signal(signal.SIGHUP)
        await one.said("certificates were read anew")
    finally:
        await one.stop()
