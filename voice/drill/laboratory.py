"""The platform's POPs on one machine: an edge for each on a loopback address, and a wire that can lose one.

The edges, their settings and the way they watch each other are the real ones; what is simulated is the
distance between them.  Nothing leaves the machine, and nothing of the running platform is touched.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from ipaddress import ip_network
from typing import Any, Final

from sip_config.directory import Directory
from sip_config.model import Account, AccountId, Acl, AclId, Domain, DomainId, Gateway, Pop, Region, Transport
from voice.drill.traffic import Callee
from voice.edge.core.liveness import PopState
from voice.edge.server import Edge
from voice.edge.settings import EdgeSettings, Listen, PopRelay
from voice.edge.transports.udp import Received, UdpSocket
from voice.pool.orders import CallOrder, PoolFull, Seat
from voice.records import Record
from voice.sip.flow import Flow

CALLER: Final = "127.0.77.250"
CALLEE: Final = "127.0.77.251"
_EDGES: Final = "127.0.77."
MOST_POPS: Final = 200

Address = tuple[str, int]


def label_of(home: Region) -> str:
    """The domain of the drill whose home is a region."""
    return f"drill{home.lower()}"


def directory_of(
    base_domain: str,
    own: str,
    pops: Sequence[Pop],
    addresses: dict[str, Address],
    caller: str,
    callee: Address,
) -> Directory:
    """What the edge of a POP knows during a drill: one account, a domain for each region, one way out."""
    account = Account(
        id=AccountId("drill"), name="drill", calls_per_second=100_000.0, concurrent_calls=1_000_000
    )
    acl = Acl(id=AclId("drill"), account_id=account.id, name="drill", networks=(ip_network(caller),))
    return Directory(
        base_domain=base_domain,
        pop=own,
        accounts=(account,),
        acls=(acl,),
        domains=[
            Domain(
                id=DomainId(region),
                account_id=account.id,
                label=label_of(region),
                acl_ids=(acl.id,),
                home_region=region,
            )
            for region in Region
        ],
        gateways=(Gateway(id="callee", account_id=None, name="callee", host=callee[0], port=callee[1]),),
        pops=[
            replace(pop, address=None if pop.name not in addresses else "{}:{}".format(*addresses[pop.name]))
            for pop in pops
        ],
    )


def settings_of(base_domain: str, pop: str, address: Address, relay: PopRelay) -> EdgeSettings:
    """Of the edge of a POP during a drill."""
    host, port = address
    return EdgeSettings(
        listen=tuple(
            Listen(transport=Transport(transport), host=host, port=port)
            for transport in dict.fromkeys(("UDP", relay.transport))
        ),
        base_domain=base_domain,
        seal_key=os.urandom(32),
        digest_secret=os.urandom(32),
        node=pop,
        relay=relay,
    )


class NoCallflows:
    """The pool of an edge that has plain trunks alone."""

    async def seat(self, order: CallOrder) -> Seat:
        raise PoolFull(f"no seat for {order.destination}", 5)

    def release(self, call_id: str, failure: str | None = None) -> None:
        """None was given."""


class NoRecords:
    def write(self, record: Record) -> None:
        """Synthetic calls are on nobody's record."""


class Hole:
    """What makes the packets of a POP vanish."""

    def __init__(self) -> None:
        self.open = False


class HoledSocket(UdpSocket):
    """A socket whose packets vanish, both ways, while the hole is open."""

    def __init__(self, host: str, port: int, index: int, *, hole: Hole, **more: Any) -> None:
        super().__init__(host, port, index, **more)
        self._hole = hole

    def read(self, received: Received, *more: Any) -> None:
        def unless_lost(data: bytes, flow: Flow, now: float) -> object:
            return None if self._hole.open else received(data, flow, now)

        super().read(unless_lost, *more)

    def send(self, data: bytes, flow: Flow) -> None:
        if not self._hole.open:
            super().send(data, flow)


class Laboratory:
    """All POPs on this machine."""

    def __init__(self, addresses: dict[str, Address], callee: Callee) -> None:
        self.addresses = addresses
        self.callee = callee
        self.caller_host = CALLER
        self.edges: dict[str, Edge] = {}
        self.holes: dict[str, Hole] = {}

    async def lose(self, pop: str) -> None:
        self.holes[pop].open = True

    async def restore(self, pop: str) -> None:
        self.holes[pop].open = False

    def believes(self, edge: str, pop: str) -> PopState:
        """What the edge of one POP believes of another."""
        reports = self.edges[edge].snapshot().pops
        return next(report.state for report in reports if report.name == pop)


@asynccontextmanager
async def laboratory(base_domain: str, pops: Sequence[Pop], relay: PopRelay) -> AsyncIterator[Laboratory]:
    """Started edges for all POPs.  Raises OSError when loopback addresses cannot be had."""
    hosts = {pop.name: f"{_EDGES}{at}" for at, pop in enumerate(pops, 1)}
    port = _free_port(tuple(hosts.values()))
    addresses = {name: (host, port) for name, host in hosts.items()}
    names = {host: name for name, host in hosts.items()}
    callee = Callee(CALLEE, names.__getitem__)
    made = Laboratory(addresses, callee)
    async with AsyncExitStack() as stack:
        stack.callback(callee.endpoint.close)
        for pop in pops:
            directory = directory_of(
                base_domain, pop.name, pops, addresses, CALLER, (CALLEE, callee.endpoint.port)
            )
            hole = made.holes[pop.name] = Hole()
            edge = Edge(
                settings_of(base_domain, pop.name, addresses[pop.name], relay),
                partial(_same, directory),
                NoCallflows(),
                NoRecords(),
                udp=partial(HoledSocket, hole=hole),
            )
            await edge.start()
            stack.push_async_callback(edge.stop)
            made.edges[pop.name] = edge
        yield made


def _same(directory: Directory) -> Directory:
    return directory


def _free_port(hosts: Sequence[str]) -> int:
    """A port that is free at all addresses: one for all, as on a real platform."""
    for _ in range(100):
        socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in hosts]
        try:
            socks[0].bind((hosts[0], 0))
            port: int = socks[0].getsockname()[1]
            for sock, host in zip(socks[1:], hosts[1:], strict=True):
                sock.bind((host, port))
        except OSError:
            continue
        else:
            return port
        finally:
            for sock in socks:
                sock.close()
    raise OSError("no port is free at all loopback addresses of the drill")
