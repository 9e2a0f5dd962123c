"""What all parts of the core share: transactions, timers, the way out, and the journal."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from ipaddress import IPv6Network, ip_address

from sip_config.directory import Directory
from sip_config.networks import packed
from voice.bans import Ban, ban_key
from voice.edge.core.bans import Bans
from voice.edge.core.crowd import Crowd
from voice.edge.core.doors import INSIDE, Door, Doors, NoDoor
from voice.edge.core.gateway_health import GatewayHealth
from voice.edge.core.gateway_places import GatewayPlaces
from voice.edge.core.gateway_sources import GatewaySources
from voice.edge.core.ledger import Ledger
from voice.edge.core.limits import Limits
from voice.edge.core.peers import Peers
from voice.edge.core.reach import LARGEST_DATAGRAM, LargeRequests, Unreachable, default_port, wanted_transport
from voice.edge.core.refusals import Refusals
from voice.edge.core.tokens import Tokens, uuid_text
from voice.edge.core.wishes import AddressesWanted, Wish
from voice.edge.seal import Seal
from voice.edge.settings import EdgeSettings
from voice.records import Journal
from voice.sip.deadlines import Deadlines
from voice.sip.flow import Flow
from voice.sip.message import Request, Response
from voice.sip.transactions import TransactionLayer
from voice.sip.uri import SipUri

log = logging.getLogger(__name__)

MAX_ADDRESSES = 4
"""Of one host that are tried one after another."""


class Alarm:
    """Calls back once, at the time it was last set to."""

    __slots__ = ("_kernel", "action", "queued", "wanted")

    def __init__(self, kernel: Kernel, action: Callable[[float], None]) -> None:
        self._kernel = kernel
        self.action: Callable[[float], None] | None = action
        self.wanted: float | None = None
        self.queued: float | None = None

    def set(self, when: float) -> None:
        self.wanted = when
        self._kernel.alarms.changed(self)

    def stop(self) -> None:
        """For good: lets go of what it would have called."""
        self.action = None
        self._kernel.alarms.stop(self)


class Kernel:
    """Shared by the parts of one core; has no opinion of its own."""

    def __init__(
        self,
        settings: EdgeSettings,
        doors: Doors,
        directory: Callable[[], Directory],
        journal: Journal,
        release_seat: Callable[[str, str | None], None],
        connected: Callable[[Flow], bool],
        names: Callable[[Flow], tuple[str, ...]],
        ledger: Ledger | None = None,
    ) -> None:
        self.settings = settings
        self.doors = doors
        self.directory = directory
        self.journal = journal
        self.release_seat = release_seat
        self.connected = connected
        """Whether the flow of a stream transport still has its connection."""
        self.names = names
        """What the verified certificate of a flow's peer is for; empty without one."""
        self.large = LargeRequests()
        self.layer = TransactionLayer(settings.timing)
        self.outbox = self.layer.outbox
        self.wishes: list[Wish] = []
        self.tokens = Tokens(Seal(settings.seal_key))
        self.refusals = Refusals(journal, settings.refusal_fold_seconds, self.is_known)
        self.gateway_health = GatewayHealth(journal)
        self.gateway_places = GatewayPlaces()
        self.gateway_sources = GatewaySources(settings.seal_key)
        self.bans = Bans(settings.bans, self.is_named, self.is_peer)
        self.crowd = Crowd()
        self.limits = Limits(ledger)
        self.alarms: Deadlines[Alarm] = Deadlines()
        self.peers = Peers(doors)
        self.pop_hosts: frozenset[str] = frozenset()
        """Addresses of the edges of other POPs."""

    def is_named(self, host: str) -> bool:
        """Whether the configuration names this source: in an access control list, as a gateway or a POP."""
        return self.directory().names(host) or self.gateway_sources.knows(host) or self.is_peer(host)

    def is_peer(self, host: str) -> bool:
        """Whether this is the address of another POP, which nothing but an operator keeps out."""
        return host in self.pop_hosts

    def enforced_bans(self, now: float) -> tuple[Ban, ...]:
        """Bans that keep out whole addresses or networks, so that a firewall may do it.

        There may be tens of thousands, and the edge waits meanwhile.
        """
        directory, knows = self.directory(), self.gateway_sources.knows
        pops = {ban_key(host) for host in self.pop_hosts}
        spares_named = not self.settings.bans.include_named

        def spared(key: str) -> bool:
            if key in pops or not spares_named:
                return key in pops
            if "/" not in key:
                return directory.names(key) or knows(key)
            network = IPv6Network(key)
            return directory.names_within(network) or self.gateway_sources.knows_within(network)

        return tuple(ban for ban in self.bans.in_force(now) if ban.by_operator or not spared(ban.address))

    def is_known(self, host: str, now: float) -> bool:
        """Whether a source is spared what strangers meet: it is named, or proved a password lately."""
        if self.is_peer(host) or self.bans.is_trusted(host, now):
            return True
        return not self.settings.bans.include_named and self.is_named(host)

    def door_of(self, flow: Flow) -> Door:
        return self.doors.all[flow.local]

    def send(self, message: Request | Response, flow: Flow) -> None:
        """Sends outside of any transaction."""
        self.outbox.append((flow, message.to_bytes()))

    def carrier(self, size: int, flow: Flow, now: float) -> Flow:
        """The flow for a request of this size to the peer of a flow: over TCP when it is too long."""
        if size <= LARGEST_DATAGRAM or flow.transport != "UDP" or flow.local == INSIDE:
            return flow
        if not self.settings.large_requests_by_tcp:
            return flow
        return self.large.flow_for(flow, self.doors.flow_to("TCP", flow.host, flow.port), now)

    def inside_flow(self, host: str, port: int) -> Flow:
        return Flow("UDP", INSIDE, host, port)

    def locate(
        self,
        uri: SipUri,
        *,
        trusted: bool,
        found: Callable[[Sequence[Flow], float], None],
        failed: Callable[[str, float], None],
        now: float,
    ) -> None:
        """Finds the flows that lead to a URI, best first, and calls `found`, at once when no DNS is needed.

        `trusted`: the operator said where this goes, so private addresses are right.
        """

        def check(addresses: Sequence[tuple[str, str, int]], later: float) -> None:
            flows = []
            problem = ""
            for transport, address, port in addresses[:MAX_ADDRESSES]:
                try:
                    if not trusted:
                        self.check_public(address, port)
                    door = self.doors.towards(transport, address)
                    name = uri.address if transport == "TLS" else ""
                    flows.append(Flow(transport, door.index, address, port, 0, name))
                except (NoDoor, ForbiddenTarget) as fault:
                    problem = str(fault)
            if flows:
                found(flows, later)
            else:
                failed(problem, later)

        try:
            transport = wanted_transport(uri)
        except Unreachable as fault:
            failed(str(fault), now)
            return
        if packed(uri.address) is not None:
            check([(transport or "UDP", uri.address, uri.port or default_port(transport))], now)
        else:
            self.wishes.append(
                AddressesWanted(
                    host=uri.address,
                    port=uri.port,
                    transport=transport,
                    secure=uri.scheme == "sips",
                    usable=self.doors.transports,
                    found=check,
                    failed=failed,
                )
            )

    def check_public(self, address: str, port: int) -> None:
        """Raises ForbiddenTarget for an address that a customer's dialling must not lead to."""
        if any(door.inside and door.local_host == address and door.port == port for door in self.doors.all):
            raise ForbiddenTarget(f"{address}:{port} is the edge's own inside address")
        literal = ip_address(address.partition("%")[0])
        if literal.is_multicast or literal.is_unspecified or str(literal) == "255.255.255.255":
            raise ForbiddenTarget(f"{address} is no address of one host")
        if not self.settings.allow_private_targets and not literal.is_global:
            raise ForbiddenTarget(
                f"{address} is a loopback or private address: the node's settings do not allow such targets"
            )


class ForbiddenTarget(Exception):
    """What was dialled leads to an address that customers may not reach."""


def new_id() -> str:
    """A random UUID (version 4); in half the time that `uuid.uuid4` and its text take."""
    raw = bytearray(os.urandom(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    return uuid_text(bytes(raw))
