"""Our edge stands every attack of the gauntlet, by UDP and by TCP."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.edge.authority import Authority
from tests.edge.world import BASE, DOMAIN
from tests.gauntlet.ground import ADMITTED, GUARDED, ground, not_passed
from voice.gauntlet.attack import Verdict
from voice.gauntlet.runner import ATTACKS, FAMILIES

pytestmark = pytest.mark.long

ONLY_UDP = "needs UDP"
TOO_LARGE = "100"
"""The attack with more than 64 kB of headers, which no datagram carries."""


@pytest.mark.parametrize("family", FAMILIES)
async def test_udp(family: str) -> None:
    async with ground("UDP") as stage:
        results = await stage.attacked([attack for attack in ATTACKS if attack.family == family])
    assert results
    assert not_passed(results, may_skip=TOO_LARGE) == []


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "digest vectors"])
async def test_tcp(family: str) -> None:
    async with ground("TCP") as stage:
        results = await stage.attacked([attack for attack in ATTACKS if attack.family == family])
    assert results
    assert not_passed(results, may_skip=ONLY_UDP) == []


@pytest.mark.parametrize("family", ["streams", "cancel", "connections"])
async def test_tls(family: str, tmp_path: Path) -> None:
    """Those that meet a connection; below it all is as by TCP."""
    authority = Authority(tmp_path / "tls")
    async with ground("TLS", authority.settings(authority.issue("edge.pem", DOMAIN))) as stage:
        results = await stage.attacked(
            [attack for attack in ATTACKS if family in (attack.family, attack.name)]
        )
    assert results
    assert not_passed(results, may_skip=ONLY_UDP) == []


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
async def test_a_domain_that_only_an_address_opens(transport: str) -> None:
    """The claims name the very address that would be let in."""
    async with ground(transport, domain=GUARDED, number=None, user=None, password=None) as stage:
        results = await stage.attacked([attack for attack in ATTACKS if attack.family == "acl"])
    assert not_passed(results) == []
    assert {result.came for result in results} == {"403 (2 times)"}
    assert stage.carrier.begun == 0


async def test_where_there_is_nobody_to_call_no_claim_proves_anything() -> None:
    async with ground(domain=f"nobody.{BASE}", number=None, user=None, password=None) as stage:
        results = await stage.attacked([attack for attack in ATTACKS if attack.family == "acl"][:1])
    assert [result.verdict for result in results] == [Verdict.SKIP]
    assert results[0].reason.endswith("is 404 there, claim or no claim: say --domain or --number")


async def test_an_attack_from_an_address_that_is_let_in_proves_nothing_and_says_so() -> None:
    async with ground(
        domain=GUARDED, user=None, password=None, source=ADMITTED, probe_source=ADMITTED
    ) as stage:
        results = await stage.attacked([attack for attack in ATTACKS if attack.family == "acl"])
    assert {result.verdict for result in results} == {Verdict.SKIP}
    assert "is let in as it is" in results[0].reason
