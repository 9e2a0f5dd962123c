"""The zone, served by nsd: our own resolver finds its way by it, and baresip calls by it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from sip_config.model import Pop, Region
from sip_config.zone import TCP, UDP, NameServer, Service, ZoneOptions, zone
from tests.audio import tone, write_wav
from tests.baresip import baresip
from tests.edge.platform import STEADY, PopEdge, platform
from tests.edge.telephone import telephone
from tests.edge.world import BASE, NUMBER, SDP, gateway
from tests.nsd import HOST, serving
from tests.ports import free_port
from voice.edge.resolve import Question, Resolver, Unresolvable
from voice.records import CallEnded, CallStarted

pytestmark = pytest.mark.peer


def zone_of(pops: dict[str, PopEdge], *more: Pop, services: Iterable[Service] = (UDP, TCP)) -> str:
    """The zone that the first of these edges is configured for."""
    directory = next(iter(pops.values())).edge._directory()
    options = ZoneOptions(
        name_servers=(NameServer(name=f"ns-1.{BASE}", addresses=(HOST,)),), serial=1, services=tuple(services)
    )
    domains = list(directory.domains.values())
    return "\n".join([*zone(BASE, domains, [*directory.pops.values(), *more], options), ""])


async def test_our_resolver_finds_every_name(tmp_path: Path) -> None:
    async with platform(["eu1", "us1"]) as pops:
        eu1, us1 = pops["eu1"].address, pops["us1"].address
        apac = Pop(name="apac1", region=Region.APAC, address="[2001:db8::7]:5062")
        async with serving(tmp_path / "nsd", BASE, zone_of(pops, apac)) as port:
            resolver = Resolver([(HOST, port)])
            plain = await resolver.resolve(Question(f"acme.{BASE}", None, None))
            assert plain[0] == ("UDP", *eu1)
            assert {found[1:] for found in plain if found[0] == "UDP"} == {eu1, us1, ("2001:db8::7", 5062)}
            assert await resolver.resolve(Question(f"acme.us1.{BASE}", None, "TCP")) == [("TCP", *us1)]
            assert await resolver.resolve(Question(f"acme.apac1.{BASE}", None, "UDP")) == [
                ("UDP", "2001:db8::7", 5062)
            ]
            # With a port in the URI there is no SRV; then there are addresses.
            assert await resolver.resolve(Question(f"acme.eu1.{BASE}", 5099, None)) == [("UDP", eu1[0], 5099)]
            with pytest.raises(Unresolvable):
                await resolver.resolve(Question(f"nobody.{BASE}", None, None))
            await resolver.close()


@pytest.mark.parametrize(("name", "handled"), [("acme", "us1"), ("acme.eu1", "eu1")])
async def test_baresip_calls_by_it(tmp_path: Path, name: str, handled: str) -> None:
    voice = write_wav(tmp_path / "voice.wav", tone(440, 1.0))
    with telephone() as carrier:
        way_out = gateway(host=carrier.host, port=carrier.port)
        async with (
            platform(["eu1", "us1"], relay=STEADY, gateways=[way_out], home=Region.US) as pops,
            serving(tmp_path / "nsd", BASE, zone_of(pops)) as port,
            baresip(
                tmp_path / "baresip",
                port=free_port(),
                voice=voice,
                identity=f"sip:pbx@{name}.{BASE}",
                user="pbx",
                password="",
                proxy=None,
                dns=f"{HOST}:{port}",
            ) as pbx,
        ):
            await pbx.command("dial", f"sip:{NUMBER}@{name}.{BASE}")
            arrived = await carrier.request_of("INVITE")
            carrier.answer(arrived, 200, body=SDP.replace(b"9.9.9.9", b"127.0.0.1"))
            await pbx.event("CALL_ESTABLISHED")
            await carrier.request_of("ACK")
            started = await pops[handled].records.first(CallStarted)
            assert started.destination == NUMBER
            assert len(arrived.vias) == 2, "it came to the right edge at once"
            await pbx.command("hangup")
            carrier.answer(await carrier.request_of("BYE"), 200)
            await pops[handled].records.first(CallEnded)
