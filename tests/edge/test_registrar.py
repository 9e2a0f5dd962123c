"""A registrar that others wrote: Kamailio takes our registrations and brings its calls because of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sip_config.directory import Directory
from sip_config.gateway_options import GatewayOptions
from sip_config.model import Number, Transport
from tests.edge.authority import Authority
from tests.edge.sockets import PATIENCE_SECONDS, received, running, settings, udp_socket
from tests.edge.test_gateways_on_sockets import standing, until
from tests.edge.world import ACCOUNT, FLOW, SDP, directory, gateway
from tests.kamailio import DOMAIN, HOST, PASSWORD, USER, registrar
from tests.ports import free_port
from voice.edge.core.registration import Standing
from voice.records import CallStarted, Event

pytestmark = pytest.mark.peer


def config(port: int, transport: Transport = Transport.UDP, **options: Any) -> Directory:
    carrier = gateway(
        "carrier",
        HOST,
        port=port,
        transport=transport,
        username=USER,
        password=PASSWORD,
        options=GatewayOptions(register=True, register_domain=DOMAIN, **options),
    )
    ours = Number(id="n", account_id=ACCOUNT, e164=f"+{USER}", callflow_id="flow")
    return directory(networks=("192.0.2.1/32",), gateways=[carrier], numbers=[ours], callflows=[FLOW])


async def called(port: int, name: str) -> str:
    """Calls the carrier's customer; returns the final response's status line."""
    with udp_socket() as caller:
        here = caller.getsockname()[1]
        uri = f"sip:{USER}@{DOMAIN}"
        invite = (
            f"INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {HOST}:{here};branch=z9hG4bK{name};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:+31612345678@{DOMAIN}>;tag={name}\r\nTo: <{uri}>\r\n"
            f"Call-ID: {name}\r\nCSeq: 1 INVITE\r\nContact: <sip:{HOST}:{here}>\r\n"
            f"Content-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n\r\n"
        ).encode() + SDP
        await asyncio.get_running_loop().sock_sendto(caller, invite, (HOST, port))
        while True:
            line = (await received(caller)).partition(b"\r\n")[0].decode()
            if not line.startswith("SIP/2.0 1"):
                return line


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP, Transport.TLS])
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
async def test_a_strict_registrar_takes_us_brings_calls_and_lets_us_go(
    tmp_path: Path, transport: Transport, algorithm: str
) -> None:
    port = free_port()
    authority = Authority(tmp_path / "authority")
    certificate = authority.issue("carrier.pem", HOST), authority.file
    chosen = settings(tls=authority.settings(authority.issue("edge.pem", HOST)))
    secured = certificate if transport is Transport.TLS else None
    async with registrar(
        tmp_path / "carrier", port, transport=transport, certificate=secured, algorithm=algorithm
    ) as carrier:
        assert await called(port, "early") == "SIP/2.0 404 Not Registered"
        async with running(config(port, transport, register_seconds=60), chosen) as (edge, records):
            event = await records.first(Event)
            assert event.kind == "gateway-registered", event.detail
            # The edge has no seats here, and the carrier passes on what it says.
            assert (await called(port, "call")).endswith("Service Unavailable")
            call = await records.first(CallStarted)
            assert call.destination == f"+{USER}"
            assert call.source == "+31612345678"
            assert call.domain is None
            assert standing(edge) is Standing.REGISTERED
        assert carrier.said() == ["STALE", "TOO BRIEF 60", "SAVED 120", "SAVED 0"]
        assert await called(port, "late") == "SIP/2.0 404 Not Registered"


async def test_wrong_credentials_are_told(tmp_path: Path) -> None:
    port = free_port()
    wrong = directory(
        gateways=[
            gateway(
                "carrier",
                HOST,
                port=port,
                username=USER,
                password="wrong",
                options=GatewayOptions(register=True, register_domain=DOMAIN),
            )
        ]
    )
    async with registrar(tmp_path / "carrier", port) as carrier, running(wrong) as (_, records):
        event = await records.first(Event)
        assert event.kind == "gateway-registration-failed"
        assert "401 Unauthorized" in event.detail
        assert "Check user name, password" in event.detail
        assert carrier.said() == []


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
async def test_a_registrar_that_dies_and_forgets_us_has_us_again_when_it_is_back(
    tmp_path: Path, transport: Transport
) -> None:
    port = free_port()
    watched = config(port, transport, keepalive_seconds=0.5, cooldown_after=1)
    async with running(watched) as (edge, _):
        async with registrar(tmp_path / "before", port, transport=transport, least=0):
            await until(lambda: standing(edge) is Standing.REGISTERED)
        await until(lambda: not edge.gateways()["carrier"].health.available)
        async with registrar(tmp_path / "after", port, transport=transport, least=0) as carrier:
            async with asyncio.timeout(2 * PATIENCE_SECONDS):
                while carrier.said()[-1:] != ["SAVED 3600"]:
                    await asyncio.sleep(0.05)
            assert (await called(port, "again")).endswith("Service Unavailable")
