"""An edge, a carrier behind it, and an aim at the edge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_network

from sip_config.credentials import ha1_for_all
from sip_config.directory import Directory
from sip_config.model import Acl, AclId, Domain, DomainId, SipAccount, Transport
from tests.edge.sockets import PATIENCE_SECONDS, Records, running, settings
from tests.edge.world import ACCOUNT, BASE, DOMAIN, NUMBER, an_account, gateway
from tests.gauntlet.carrier import Carrier, carrier
from tests.ports import free_port
from voice.edge.server import Edge
from voice.edge.settings import Listen, TlsSettings
from voice.gauntlet.aim import Aim
from voice.gauntlet.attack import Attack, Result, Verdict
from voice.gauntlet.runner import run

USER, PASSWORD = "pbx", "long and secret"
GUARDED = f"guarded.{BASE}"
"""A domain that only `ADMITTED` may call."""
ADMITTED = "127.0.0.9"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    edge: Edge
    carrier: Carrier
    records: Records
    aim: Aim

    async def attacked(self, attacks: Sequence[Attack]) -> list[Result]:
        """Makes the attacks; afterwards nothing may be left of them."""
        results = await run(self.aim, attacks)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.carrier.running or self.edge.snapshot().calls:
                await asyncio.sleep(0.05)
        return results


@asynccontextmanager
async def ground(
    transport: str = "UDP",
    tls: TlsSettings | None = None,
    *,
    call_seconds: int = 600,
    from_anywhere: bool = False,
    **more: object,
) -> AsyncIterator[Ground]:
    """The edge takes UDP and TCP at one port, and with `tls` TLS at another; `more` changes the aim.

    `from_anywhere`: a login is enough, so that no address of an attacker is named, and each may be banned.
    """
    port, secure = free_port(), free_port()
    ports = {Transport.UDP: port, Transport.TCP: port, **({Transport.TLS: secure} if tls else {})}
    listen = tuple(Listen(transport=one, host="127.0.0.1", port=its_port) for one, its_port in ports.items())
    async with carrier() as far_end:
        config = _configured(far_end.port, call_seconds, from_anywhere)
        chosen = replace(settings(), listen=listen, tls=tls)
        async with running(config, chosen) as (edge, records):
            port = ports[Transport(transport)]
            aim = Aim(
                host="127.0.0.1",
                port=port,
                transport=transport,
                domain=DOMAIN,
                number=NUMBER,
                user=USER,
                password=PASSWORD,
                claims=(ADMITTED,),
                patience=1.0,
                grace=0.02,
                flood_seconds=0.4,
            )
            yield Ground(edge=edge, carrier=far_end, records=records, aim=replace(aim, **more))  # type: ignore[arg-type]


def _configured(carrier_port: int, call_seconds: int, from_anywhere: bool) -> Directory:
    """A domain that a login opens, and one that an address opens."""
    login = SipAccount(id=USER, username=USER, ha1=ha1_for_all(username=USER, realm=BASE, password=PASSWORD))
    acls = (
        _acl("office", () if from_anywhere else ("127.0.0.0/8",), login),
        _acl("guarded", (f"{ADMITTED}/32",)),
    )
    labels = {"acme": acls[0], "guarded": acls[1]}
    return Directory(
        base_domain=BASE,
        pop="eu1",
        accounts=(
            an_account(calls_per_second=1_000, concurrent_calls=10_000, max_call_seconds=call_seconds),
        ),
        acls=acls,
        domains=(
            Domain(id=DomainId(label), account_id=ACCOUNT, label=label, acl_ids=(acl.id,))
            for label, acl in labels.items()
        ),
        gateways=(gateway(host="127.0.0.1", port=carrier_port),),
    )


def _acl(name: str, networks: Sequence[str], *logins: SipAccount) -> Acl:
    return Acl(
        id=AclId(name),
        account_id=ACCOUNT,
        name=name,
        networks=tuple(ip_network(network) for network in networks),
        sip_accounts=logins,
    )


def not_passed(results: Sequence[Result], *, may_skip: str = "") -> list[str]:
    """What did not pass, to be shown; skips for a reason that begins with `may_skip` are left out."""
    return [
        f"{result.verdict}: {result.family}, {result.attack}: {result.came}; {result.reason}"
        for result in results
        if result.verdict is Verdict.FAIL
        or (result.verdict is Verdict.SKIP and not (may_skip and result.reason.startswith(may_skip)))
    ]
