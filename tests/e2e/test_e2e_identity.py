"""Who calls, through a whole node: an anonymous PBX, a callflow that transfers, and a carrier."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import MakePlatform
from tests.e2e.flows import flow, transfer
from tests.e2e.node import BASE_DOMAIN, NUMBER, PASSWORD, USER, account, gateway, stored
from tests.ports import free_port
from tests.sipp import DEFAULTS, SippRun, caller_arguments, sipp

pytestmark = pytest.mark.peer

SALES = "+31207654321"
CLAIMS = f"""P-Asserted-Identity: <tel:{NUMBER}>
      Privacy: id"""


async def called(node: MakePlatform, folder: Path, *options: str) -> tuple[SippRun, str | None]:
    """The PBX calls, a callflow passes it on; what the carrier got, and who the record says has called."""
    port = free_port()
    config = account(flow=flow(transfer(SALES))) + gateway("carrier", f"127.0.0.1:{port}", *options)
    who = caller_arguments(NUMBER, f"acme.{BASE_DOMAIN}", USER, PASSWORD)
    async with (
        sipp("callee", None, folder=folder / "carrier", port=port) as carrier,
        node(config) as here,
    ):
        values = {**DEFAULTS, "HEADERS": CLAIMS}
        async with sipp("hold", here.door(), *who, folder=folder / "pbx", values=values) as pbx:
            (await pbx.done()).check()
        run = await carrier.done()
        ended = await here.ended()
    history = await stored(here.settings, ended.call_id)
    run.check()
    return run, history.call.source


async def test_a_caller_that_is_passed_on_is_asserted_in_every_message_and_shown_in_none(
    node: MakePlatform, tmp_path: Path
) -> None:
    run, source = await called(node, tmp_path, "trusted = true")
    assert source == NUMBER
    for method in ("INVITE", "ACK", "BYE"):
        (request,) = run.received(method)
        assert f"P-Asserted-Identity: <tel:{NUMBER}>" in request
        assert "Privacy: id" in request
        assert "From: <sip:anonymous@anonymous.invalid>" in request


async def test_a_carrier_outside_the_realm_is_told_nothing(node: MakePlatform, tmp_path: Path) -> None:
    run, source = await called(node, tmp_path)
    assert source == NUMBER
    assert NUMBER[1:] not in run.messages
    assert "P-Asserted" not in run.messages
