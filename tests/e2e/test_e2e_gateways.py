"""Gateways: calls of a plain trunk, failover from one to the next, carriers that challenge."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from hashlib import md5
from pathlib import Path

import pytest

from tests.e2e.conftest import MakePlatform, Voices
from tests.e2e.ears import hears
from tests.e2e.flows import flow, transfer
from tests.e2e.node import BASE_DOMAIN, PASSWORD, account, gateway, stored
from tests.phone import phone
from tests.ports import free_port
from tests.sipp import Sipp, SippRun, sipp
from voice.records import CallStatus, LegChanged, LegStarted, LegStatus

SALES = "+31207654321"
LOCAL_HOLD = 2
USERNAME = "trunk-4711"
CARRIER_PASSWORD = "the carrier gave it"
CREDENTIALS = (f'username = "{USERNAME}"', f'password = "{CARRIER_PASSWORD}"')


@pytest.mark.parametrize("who_hangs_up", ["caller", "callee"])
async def test_a_plain_trunk_sends_the_call_out_and_carries_sound_both_ways(
    node: MakePlatform, voices: Voices, tmp_path: Path, who_hangs_up: str
) -> None:
    caller_heard, callee_heard = tmp_path / "caller.wav", tmp_path / "callee.wav"
    async with phone(
        "answer", "--status", "180", "--play", voices(600), "--record", str(callee_heard)
    ) as callee:
        async with node(account() + gateway("carrier", await callee.address())) as here:
            sound = ("--play", voices(1000), "--record", str(caller_heard))
            async with here.pbx(*sound, number=SALES) as caller:
                invite = (await callee.event("incoming"))["invite"]
                await caller.event("state", status=180)
                await callee.do("answer", "200")
                await hears(caller_heard, 600)
                await hears(callee_heard, 1000)
                # A re-INVITE from either side, through the edge.
                for one in (caller, callee):
                    await one.do("hold")
                    await one.event("media", status=LOCAL_HOLD)
                    await one.do("resume")
                    await one.event("media", nth=2, status=1)
                await hears(caller_heard, 600, after=caller_heard.stat().st_size // 2)
                await hears(callee_heard, 1000, after=callee_heard.stat().st_size // 2)
                await (caller if who_hangs_up == "caller" else callee).do("hangup")
                assert await caller.ended() == 200
            assert await callee.ended() == 200
            ended = await here.ended()
        history = await stored(here.settings, ended.call_id)
    assert invite.startswith(f"INVITE sip:{SALES}@127.0.0.1:")
    assert history.call.status == CallStatus.ENDED
    assert who_hangs_up in ended.reason.replace("called party", "callee")
    incoming, outgoing = history.legs
    assert (incoming.gateway, outgoing.gateway) == (None, "carrier")
    for leg in (incoming, outgoing):
        assert (leg.status, leg.sip_status) == (LegStatus.HANGUP, 200)
        assert None not in (leg.started_at, leg.ringing_at, leg.answered_at, leg.ended_at)
    assert history.steps == ()


async def test_a_plain_trunk_passes_a_refusal_on(node: MakePlatform) -> None:
    async with (
        phone("answer", "--status", "486") as callee,
        node(account() + gateway("carrier", await callee.address())) as here,
    ):
        async with here.pbx(number=SALES) as caller:
            assert await caller.ended() == 486
        ended = await here.ended()
    assert ended.status is CallStatus.BUSY


async def test_a_plain_trunk_passes_a_cancel_on(node: MakePlatform) -> None:
    async with (
        phone("answer", "--status", "180") as callee,
        node(account() + gateway("carrier", await callee.address())) as here,
    ):
        async with here.pbx(number=SALES) as caller:
            await caller.event("state", status=180)
            await caller.do("hangup")
            assert await caller.ended() == 487
        assert (await callee.event("state", state="DISCONNECTED"))["status"] == 487
        ended = await here.ended()
    assert ended.status is CallStatus.NO_ANSWER


async def test_the_next_gateway_is_tried_when_one_is_dead_silent_or_broken(
    node: MakePlatform, voices: Voices, tmp_path: Path
) -> None:
    heard = tmp_path / "heard.wav"
    async with (
        phone("answer", "--status", "503") as broken,
        phone("answer", "--play", voices(600)) as well,
        silence() as silent,
    ):
        addresses = {
            "dead": f"127.0.0.1:{free_port()}",
            "closed": f"127.0.0.1:{free_port()}",
            "silent": silent,
            "broken": await broken.address(),
            "well": await well.address(),
            "spare": f"127.0.0.1:{free_port()}",
        }
        more = {"closed": 'transport = "TCP"', "silent": "attempt_seconds = 1"}
        gateways = "".join(
            gateway(name, address, f"priority = {place}", more.get(name, ""))
            for place, (name, address) in enumerate(addresses.items(), 1)
        )
        async with node(account(flow=flow(transfer(SALES))) + gateways) as here:
            async with here.pbx("--record", str(heard)) as caller:
                await hears(heard, 600)
                await caller.do("hangup")
                await caller.ended()
            await well.ended()
            tried = [leg.gateway for leg in here.notes.all(LegStarted) if leg.gateway]
            failed = (LegStatus.FAILED, LegStatus.NO_ANSWER)
            codes = [leg.sip_status for leg in here.notes.all(LegChanged, lambda leg: leg.status in failed)]
    assert tried == ["dead", "closed", "silent", "broken", "well"]
    assert codes == [503, 503, 408, 503]


async def test_no_other_gateway_is_tried_when_the_callee_is_busy(node: MakePlatform) -> None:
    async with phone("answer", "--status", "486") as busy, phone("answer") as spare:
        gateways = gateway("first", await busy.address(), "priority = 1")
        gateways += gateway("second", await spare.address(), "priority = 2")
        async with node(account(flow=flow(transfer(SALES))) + gateways) as here:
            async with here.pbx() as caller:
                assert await caller.ended() == 486
            await here.ended()
            tried = [leg.gateway for leg in here.notes.all(LegStarted) if leg.gateway]
        assert tried == ["first"]
        assert not spare.heard("incoming")


@pytest.mark.peer
async def test_a_carrier_that_challenges_every_request_of_a_trunk_call_is_given_the_password(
    node: MakePlatform, voices: Voices, tmp_path: Path
) -> None:
    heard = tmp_path / "heard.wav"
    port = free_port()
    async with (
        _carrier("carrier_that_challenges", port, 407, tmp_path) as carrier,
        node(account() + gateway("carrier", f"127.0.0.1:{port}", *CREDENTIALS)) as here,
    ):
        sound = ("--play", voices(1000), "--record", str(heard))
        async with here.pbx(*sound, number=SALES) as caller:
            # The carrier sends back what it hears.
            await hears(heard, 1000)
            await caller.do("hold")
            await caller.event("media", status=LOCAL_HOLD)
            await caller.do("hangup")
            assert await caller.ended() == 200
        run = await carrier.done()
        await here.ended()
    run.check()
    assert _proofs(run) == ["INVITE nonce-1", "INVITE nonce-2", "BYE nonce-3"]
    assert PASSWORD not in run.messages
    assert BASE_DOMAIN not in run.messages, "what the PBX proved itself with is not for the carrier"


@pytest.mark.peer
async def test_a_carrier_that_challenges_a_transfer_is_given_the_password(
    node: MakePlatform, voices: Voices, tmp_path: Path
) -> None:
    heard = tmp_path / "heard.wav"
    port = free_port()
    async with (
        _carrier("carrier_that_challenges_once", port, 401, tmp_path) as carrier,
        node(
            account(flow=flow(transfer(SALES))) + gateway("carrier", f"127.0.0.1:{port}", *CREDENTIALS)
        ) as here,
    ):
        async with here.pbx("--play", voices(1000), "--record", str(heard)) as caller:
            await hears(heard, 1000)
            await caller.do("hangup")
            assert await caller.ended() == 200
        run = await carrier.done()
        await here.ended()
    run.check()
    assert _proofs(run) == ["INVITE nonce-1"]


@asynccontextmanager
async def silence() -> AsyncIterator[str]:
    """``host:port`` of a socket that takes everything and says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{silent.getsockname()[1]}"


def _carrier(scenario: str, port: int, status: int, folder: Path) -> AbstractAsyncContextManager[Sipp]:
    challenge = {407: "Proxy-Authenticate", 401: "WWW-Authenticate"}[status]
    values = {"STATUS": str(status), "CHALLENGE": challenge}
    return sipp(scenario, None, "-rtp_echo", folder=folder / "carrier", port=port, values=values)


def _proofs(run: SippRun) -> list[str]:
    """The requests that carry credentials for the carrier, once each, with the nonce that they answer.

    Digests are computed here once more (RFC 7616 section 3.4): one that is wrong raises AssertionError.
    """
    found = []
    for message in run.received():
        for header in re.findall(r"\n(?:Proxy-)?Authorization: Digest (.*)", message):
            given = dict(re.findall(r'(\w+)="?([^",]+)"?', header))
            method = message.split(" ", 1)[0]
            ha1 = _md5(f"{USERNAME}:{given['realm']}:{CARRIER_PASSWORD}")
            ha2 = _md5(f"{method}:{given['uri']}")
            middle = ":".join(given[name] for name in ("nonce", "nc", "cnonce", "qop"))
            assert given["username"] == USERNAME
            assert given["response"] == _md5(f"{ha1}:{middle}:{ha2}"), message
            found.append(f"{method} {given['nonce']}")
    return list(dict.fromkeys(found))


def _md5(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()
