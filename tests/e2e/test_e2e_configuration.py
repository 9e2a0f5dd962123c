"""What is configured while the node runs."""

from __future__ import annotations

import asyncio

from tests.e2e.conftest import MakePlatform
from tests.e2e.flows import flow, hangup
from tests.e2e.node import account, apply, settings_text, trunkflow_json

PATIENCE_SECONDS = 20.0


async def test_a_new_configuration_is_in_force_without_a_restart(node: MakePlatform) -> None:
    settings = settings_text()
    async with node(account(), settings) as here:
        async with here.pbx() as before:
            assert await before.ended() == 404
        old = here.node.directory().version
        here.config.write_text(settings + account(flow=flow(hangup("gone"))))
        await apply(here.config)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while here.node.directory().version == old:
                await asyncio.sleep(0.05)
        async with here.pbx() as after:
            assert await after.ended() == 410
        await here.ended()
        (number,) = await trunkflow_json("numbers", config=here.config)
    assert number["callflow"] == "main"
