"""baresip as the PBX: an independent stack on the other side of the digest, the SDP and the sound."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.audio import ARRIVES, listen, read_wav, tone_seconds
from tests.baresip import baresip
from tests.e2e.conftest import MakePlatform, Voices
from tests.e2e.ears import CLEAR
from tests.e2e.flows import flow, record, say
from tests.e2e.node import BASE_DOMAIN, NUMBER, PASSWORD, USER, account
from tests.ports import free_port

pytestmark = pytest.mark.peer


async def test_baresip_hears_the_prompt_is_recorded_and_ends_with_a_key(
    node: MakePlatform, voices: Voices, tmp_path: Path
) -> None:
    async with node(account(flow=flow(say(), record()))) as here:
        pbx = baresip(
            tmp_path / "baresip",
            port=free_port(),
            voice=voices(1000),
            identity=f"sip:{USER}@acme.{BASE_DOMAIN}",
            user=USER,
            password=PASSWORD,
            proxy=here.door(),
        )
        async with pbx as caller:
            await caller.command("dial", f"sip:{NUMBER}@acme.{BASE_DOMAIN}")
            await here.recorded(1.0)
            await caller.command("sndcode", "#")
            await caller.event("CALL_CLOSED")
        ended = await here.ended()
        recording = await here.recording()
        prompt = await here.prompt()
    assert listen(read_wav(caller.heard()), prompt).score > CLEAR
    assert tone_seconds(recording, 1000) > ARRIVES
    assert ended.reason == "The callflow came to its end."
