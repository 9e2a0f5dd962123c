"""A node that registers at a carrier, and answers the calls that the carrier brings because of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from tests.e2e.conftest import MakePlatform
from tests.e2e.flows import flow, hangup, pause, say
from tests.e2e.node import NUMBER, account, gateway
from tests.kamailio import DOMAIN, HOST, PASSWORD, USER
from tests.kamailio import registrar as kamailio
from tests.notes import PATIENCE_SECONDS
from tests.phone import phone
from tests.ports import free_port
from voice.live import NodeState
from voice.records import CallEnded, CallStarted, CallStatus, Event
from voice.sip.message import Request, parse_message
from voice.sip.respond import make_response
from voice.store.database import Database
from voice.store.gateway_states import State, states_by_gateway


class Registrar(asyncio.DatagramProtocol):
    """Takes every registration."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        host, port = transport.get_extra_info("sockname")
        self.address = f"{host}:{port}"

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        request = parse_message(data)
        assert isinstance(request, Request)
        self.requests.append(request)
        contact = ("Contact", request.headers.get("Contact") or "")
        self._transport.sendto(make_response(request, 200, to_tag="r", headers=[contact]).to_bytes(), addr)


@asynccontextmanager
async def registrar() -> AsyncIterator[Registrar]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(Registrar, local_addr=("127.0.0.1", 0))
    try:
        yield protocol
    finally:
        transport.close()
        await asyncio.sleep(0)  # the socket closes with the next turn of the loop


async def registered_state(database: Database) -> State:
    """What the node has written down of its only gateway, once it has registered."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            for states in (await states_by_gateway(database, time.time())).values():
                if states[0]["registration"]["standing"] == "registered":
                    return states[0]
            await asyncio.sleep(0.05)


async def test_a_carrier_that_knows_us_by_our_registration_brings_a_call(node: MakePlatform) -> None:
    more = ('username = "trunk"', 'password = "secret"', "register = true", f'register_user = "{NUMBER}"')
    async with registrar() as carrier:
        declared = account(networks=("192.0.2.0/24",), flow=flow(pause(0.2), hangup()))
        async with node(declared + gateway("carrier", carrier.address, *more)) as here:
            event = await here.notes.first(Event, lambda event: event.kind.startswith("gateway-"))
            assert event.kind == "gateway-registered"
            contact = carrier.requests[0].contact
            assert contact is not None
            async with await Database.of(here.settings) as database:
                state = await registered_state(database)
                assert state["available"]
                assert state["registration"]["problem"] is None
                assert state["addresses"] == 1
            (live,) = NodeState(here.node.edge, here.node.pool).snapshot()["edge"]["gateways"].values()
            assert live["registration"] == state["registration"]
            async with phone(
                "call", contact.uri, "--identity", "sip:+31612345678@carrier", "--proxy", here.door()
            ) as caller:
                # The callflow hangs up a call that it has not answered.
                assert await caller.ended() == 603
            await here.ended()
            assert (await here.notes.first(CallStarted)).destination == NUMBER
            settings = here.settings
        assert [request.headers.get("Expires") for request in carrier.requests] == ["3600", "0"]
        async with await Database.of(settings) as database:
            assert await states_by_gateway(database, time.time()) == {}


@pytest.mark.peer
async def test_a_call_by_way_of_kamailio_is_answered_and_hung_up(node: MakePlatform, tmp_path: Path) -> None:
    """It stays on the route of the call, and every request of the call passes it."""
    port = free_port()
    more = (
        f'username = "{USER}"',
        f'password = "{PASSWORD}"',
        "register = true",
        f'register_domain = "{DOMAIN}"',
    )
    declared = account(networks=("192.0.2.0/24",), flow=flow(say(), hangup()))
    async with kamailio(tmp_path / "kamailio", port) as carrier:
        async with node(declared + gateway("carrier", f"{HOST}:{port}", *more)) as here:
            event = await here.notes.first(Event, lambda event: event.kind.startswith("gateway-"))
            assert event.kind == "gateway-registered"
            async with phone(
                "call",
                f"sip:{USER}@{DOMAIN}",
                *("--identity", f"sip:+31612345678@{DOMAIN}", "--proxy", f"{HOST}:{port}"),
            ) as caller:
                assert await caller.ended() == 200
            ended = await here.notes.first(CallEnded)
            assert ended.status is CallStatus.ENDED
            started = await here.notes.first(CallStarted)
            assert (started.source, started.destination) == ("+31612345678", NUMBER)
        assert carrier.said()[-2:] == ["SAVED 3600", "SAVED 0"]
