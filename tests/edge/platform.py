"""Several POPs on real sockets of loopback: an edge for each, which know one another."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from ipaddress import ip_network

from sip_config.credentials import ha1_for_all
from sip_config.directory import Directory
from sip_config.model import (
    Account,
    Acl,
    AclId,
    Callflow,
    Domain,
    DomainId,
    Gateway,
    Pop,
    Region,
    SipAccount,
    Transport,
)
from tests.edge.sockets import PATIENCE_SECONDS, NoSeats, Records
from tests.edge.world import ACCOUNT, BASE, an_account
from tests.ports import free_port
from voice.edge.core.liveness import PopState
from voice.edge.server import Edge
from voice.edge.settings import EdgeSettings, Listen, PopRelay, TlsSettings
from voice.sip.transaction_timing import Timing

KEY = bytes(range(32))
REGIONS = {"eu1": Region.EU, "eu2": Region.EU, "us1": Region.US, "us2": Region.US, "apac1": Region.APAC}
"""POPs, and where each is."""
QUICK = PopRelay(key=KEY, interval_seconds=0.2, silence_seconds=0.3)
"""Knows soon who is down, on a machine that does not stand still for long."""
STEADY = PopRelay(key=KEY, interval_seconds=600.0, silence_seconds=5.0)
"""Never finds anybody down."""


def hosts_of(names: Sequence[str]) -> dict[str, str]:
    """Each POP has a loopback address of its own, as each has a public one."""
    return {name: f"127.0.7.{at}" for at, name in enumerate(names, 1)}


def configuration(
    own: str,
    addresses: dict[str, str | None],
    *,
    gateways: Sequence[Gateway] = (),
    home: Region = Region.EU,
    networks: Sequence[str] = ("127.0.0.1/32",),
    users: dict[str, str] | None = None,
    account: Account | None = None,
    callflows: Sequence[Callflow] = (),
    callflow_id: str | None = None,
) -> Directory:
    """What the edge of the POP `own` knows; `addresses`: POP -> ``host:port``."""
    acl = Acl(
        id=AclId("acl"),
        account_id=ACCOUNT,
        name="office",
        networks=tuple(ip_network(network) for network in networks),
        sip_accounts=tuple(
            SipAccount(id=name, username=name, ha1=ha1_for_all(username=name, realm=BASE, password=password))
            for name, password in (users or {}).items()
        ),
    )
    domain = Domain(
        id=DomainId("d"),
        account_id=ACCOUNT,
        label="acme",
        acl_ids=(acl.id,),
        home_region=home,
        callflow_id=callflow_id,
    )
    return Directory(
        base_domain=BASE,
        pop=own,
        accounts=(account or an_account(),),
        acls=(acl,),
        domains=(domain,),
        gateways=gateways,
        callflows=callflows,
        pops=[Pop(name=name, region=REGIONS[name], address=address) for name, address in addresses.items()],
    )


class PopEdge:
    """The edge of one POP."""

    def __init__(self, name: str, edge: Edge, records: Records) -> None:
        self.name = name
        self.edge = edge
        self.records = records

    @property
    def address(self) -> tuple[str, int]:
        door = self.edge.addresses[0]
        return door.local_host, door.port

    def state(self, pop: str) -> PopState:
        """What it believes of a POP."""
        return next(report.state for report in self.edge.snapshot().pops if report.name == pop)

    async def believes(self, pop: str, state: PopState) -> None:
        """Waits until it believes this of a POP."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.state(pop) is not state:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def platform(
    names: Sequence[str],
    *,
    relay: PopRelay = QUICK,
    keys: dict[str, bytes] | None = None,
    absent: Sequence[str] = (),
    tls: dict[str, TlsSettings] | None = None,
    **config: object,
) -> AsyncIterator[dict[str, PopEdge]]:
    """Started edges by POP; `absent`: POPs at whose address everything vanishes.

    `keys`: POPs whose relay key is another.  `tls`: they speak TLS to one another.  `config`: for
    `configuration`.
    """
    hosts = hosts_of(names)
    port = free_port()
    addresses: dict[str, str | None] = {name: f"{host}:{port}" for name, host in hosts.items()}
    async with AsyncExitStack() as stack:
        found = {}
        for name, host in hosts.items():
            if name in absent:
                hole = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                hole.bind((host, port))
                continue
            secure = (Listen(transport=Transport.TLS, host=host, port=port + 1),) if tls else ()
            settings = EdgeSettings(
                listen=(Listen(transport=Transport.UDP, host=host, port=port), *secure),
                tls=tls[name] if tls else None,
                base_domain=BASE,
                seal_key=name.encode().ljust(32, b"."),
                digest_secret=b"s" * 32,
                timing=Timing(),
                relay=replace(
                    relay,
                    key=(keys or {}).get(name, relay.key),
                    transport="TLS" if tls else relay.transport,
                    tls_port=port + 1,
                ),
            )
            directory = configuration(name, addresses, **config)  # type: ignore[arg-type]
            records = Records()
            edge = Edge(settings, lambda directory=directory: directory, NoSeats(), records)  # type: ignore[misc]
            await edge.start()
            stack.push_async_callback(edge.stop)
            found[name] = PopEdge(name, edge, records)
        yield found
        for pop in found.values():
            assert pop.edge.snapshot().bugs == 0, "an edge met a bug of its own: see the log"
