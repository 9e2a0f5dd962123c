"""POPs that speak TLS to one another, with certificates for the hosts in their addresses."""

from __future__ import annotations

from pathlib import Path

import pytest

from sip_config.model import Region
from tests.edge.authority import Authority
from tests.edge.platform import KEY, QUICK, STEADY, configuration, hosts_of, platform
from tests.edge.telephone import talk, telephone
from tests.edge.world import BASE, EDGE, NUMBER, SDP, World, gateway
from voice.edge.core.liveness import PopState
from voice.edge.settings import PopRelay
from voice.records import CallEnded, CallStarted, Gate, Refusal
from voice.sip.message import Request

US1 = "4.4.4.4"
PLAIN = f"{NUMBER}@acme.{BASE}"


async def test_a_call_is_relayed_by_tls_and_everything_of_it_follows(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    names = ["us1", "eu1"]
    tls = {
        name: authority.settings(authority.issue(f"{name}.pem", host))
        for name, host in hosts_of(names).items()
    }
    with telephone() as pbx, telephone() as carrier:
        way_out = gateway(host=carrier.host, port=carrier.port)
        async with platform(names, relay=STEADY, tls=tls, gateways=[way_out]) as pops:
            us1, eu1 = pops["us1"], pops["eu1"]
            near, far, arrived = await talk(
                pbx, carrier, us1.address, pbx.request("INVITE", f"sip:{PLAIN}", body=SDP)
            )
            assert [via.transport for via in arrived.vias] == ["UDP", "TLS", "UDP"]
            near.send("INFO")
            carrier.answer(await carrier.request_of("INFO"), 200)
            await pbx.response_of(200)
            far.send("BYE")
            pbx.answer(await pbx.request_of("BYE"), 200)
            await carrier.response_of(200)
            await eu1.records.first(CallStarted)
            await eu1.records.first(CallEnded)


async def test_a_pop_with_the_certificate_of_another_is_down(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    tls = {name: authority.settings(authority.issue(f"{name}.pem", "127.0.7.99")) for name in ("us1", "eu1")}
    async with platform(["us1", "eu1"], relay=QUICK, tls=tls) as pops:
        await pops["us1"].believes("eu1", PopState.DOWN)


@pytest.mark.parametrize(
    ("host", "gate", "cause"),
    [(f"acme.{BASE}", Gate.ROUTE, "no-secure-gateway"), (f"acme.us1.{BASE}", Gate.POP, "pop-not-secure")],
)
def test_a_sips_call_is_not_relayed_in_the_clear(host: str, gate: Gate, cause: str) -> None:
    """The plain name is handled here, far from its home; one that is bound elsewhere has to be refused."""
    world = World(
        configuration(
            "eu1",
            {"eu1": f"{EDGE}:5060", "us1": f"{US1}:5060"},
            gateways=[gateway()],
            networks=["9.9.9.9/32"],
            home=Region.US,
        ),
        relay=PopRelay(key=KEY, interval_seconds=1_000.0),
    )
    world.proxy.liveness.begin(world.now)
    us1, pbx = world.agent(US1), world.agent("9.9.9.9", transport="TLS")
    pbx.send(pbx.request("INVITE", f"sips:{NUMBER}@{host}", body=SDP))
    [refusal] = world.said(Refusal)
    assert (refusal.gate, refusal.cause) == (gate, cause)
    assert [one for one in us1.inbox if isinstance(one, Request) and one.method == "INVITE"] == []
