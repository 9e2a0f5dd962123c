"""Two whole nodes, each a POP: a PBX calls the one, and a call process of the other answers it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp

from tests.audio import ARRIVES, listen, read_wav, tone_seconds
from tests.e2e.conftest import Voices
from tests.e2e.ears import CLEAR
from tests.e2e.flows import flow, record, say
from tests.e2e.node import Platform, account, platform, settings_text, trunkflow_json
from tests.notes import PATIENCE_SECONDS
from tests.ports import free_port
from voice.records import CallStarted

KEY = '[node.relay]\nkey = "a key that both points of presence share"\n'


def settings(pop: str, port: int) -> str:
    """Of a node that is in a POP, at a port of its own."""
    text = settings_text(udp=port, tcp=port).replace("[node]\n", f'[node]\npop = "{pop}"\n', 1)
    return f"{text}\n{KEY}"


async def asked(node: Platform, path: str) -> Any:
    """What the operator is answered."""
    key = await node.key(None)
    headers = {"Authorization": f"AccessKey {key}"}
    async with (
        aiohttp.ClientSession() as session,
        session.get(node.api_url + path, headers=headers) as answer,
    ):
        assert answer.status == 200
        return await answer.json()


async def test_a_call_is_answered_by_the_home_region_of_its_domain(tmp_path: Path, voices: Voices) -> None:
    ports = {"us1": free_port(), "eu1": free_port()}
    pops = "".join(
        f'[pops.{name}]\nregion = "{region}"\naddress = "127.0.0.1:{ports[name]}"\n'
        for name, region in (("us1", "US"), ("eu1", "EU"))
    )
    declared = account(flow=flow(say(), record())) + pops
    for name in ports:
        (tmp_path / name).mkdir()
    heard = tmp_path / "heard.wav"
    async with (
        platform(tmp_path / "eu1", declared, settings("eu1", ports["eu1"])) as home,
        platform(tmp_path / "us1", declared, settings("us1", ports["us1"])) as away,
    ):
        async with away.pbx("--play", voices(1000), "--record", str(heard)) as caller:
            prompt = await home.prompt()
            await home.recorded(0.8)
            await caller.do("digits", "#")
            assert await caller.ended() == 200
        ended = await home.ended()
        recording = await home.recording()
        started = await home.notes.first(CallStarted)
        assert away.notes.all(CallStarted) == [], "the POP that answers keeps the records"
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                states = {
                    pop["name"]: pop["state"] for pop in await trunkflow_json("pops", config=away.config)
                }
                if states["eu1"] == "alive":
                    break
        assert states["us1"] == "here"
        listed = await asked(away, "/sip/pops")
        assert {pop["name"]: pop["state"] for pop in listed["items"]} == {"eu1": "alive", "us1": "here"}
        live = await asked(away, "/sip/live")
        shown = {pop["name"]: pop for pop in live["node"]["edge"]["pops"]}
        assert shown["eu1"]["taken"] == 1
        assert shown["eu1"]["roundTripMs"] > 0
    assert (started.domain, started.sip_account) == ("acme", "pbx")
    assert started.source_address is not None
    assert started.source_address.partition(":")[2] != str(ports["us1"]), (
        "the caller, not the edge that relayed"
    )
    assert listen(read_wav(heard), prompt).score > CLEAR
    assert tone_seconds(recording, 1000) > ARRIVES
    assert ended.reason == "The callflow came to its end."
