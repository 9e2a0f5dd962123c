"""A consistent, indexed snapshot of the configuration, for the edge to ask on every request.

Built once per change of the store and then never changed, so that a request sees one configuration
from beginning to end.  Its memories of recent answers are bounded and hold nothing but answers.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from ipaddress import IPv6Network
from itertools import islice
from types import MappingProxyType
from typing import Final

from sip_config.admission import DomainGate, admits_any_source, admitting_networks, domain_networks
from sip_config.configuration import Configuration
from sip_config.model import (
    Account,
    AccountId,
    Acl,
    AclId,
    Callflow,
    Domain,
    DomainId,
    Gateway,
    Number,
    Pop,
    Region,
)
from sip_config.networks import Network, NetworkTable, packed, parse_network
from sip_config.preference import in_order, preference
from sip_config.words import host_and_port

DEFAULT_POPS: Final = (
    Pop(name="eu1", region=Region.EU),
    Pop(name="eu2", region=Region.EU),
    Pop(name="us1", region=Region.US),
    Pop(name="us2", region=Region.US),
    Pop(name="apac1", region=Region.APAC),
    Pop(name="apac2", region=Region.APAC),
)

_SOURCES_REMEMBERED: Final = 65_536
"""About 8 MB; the table that every packet meets."""
_STEP: Final = 2_000
"""Networks that are taken in at a time, in about 2 ms."""
_LARGE: Final = 100_000

_ADMITS, _NAMED = 1, 2
"""Bits of the table of sources."""
_NAMES_FROM: Final = {4: 8, 6: 16}
"""IP version -> the shortest prefix that names addresses; a wider network means everybody."""

_GatewayTable = dict[str, tuple[Gateway, ...]]


class Directory:
    """What the edge knows of accounts, domains, numbers and gateways.

    Entries that point at something that is not there are treated as if they did not point: a missing
    access control list admits nobody, a missing callflow answers nothing.
    """

    def __init__(
        self,
        *,
        base_domain: str,
        pop: str,
        accounts: Iterable[Account] = (),
        acls: Iterable[Acl] = (),
        domains: Iterable[Domain] = (),
        numbers: Iterable[Number] = (),
        gateways: Iterable[Gateway] = (),
        pops: Iterable[Pop] = DEFAULT_POPS,
        callflows: Iterable[Callflow] = (),
        version: int = 0,
        compiled: bool = True,
    ) -> None:
        """`compiled`: false leaves the tables of networks to `in_steps`."""
        self.base_domain = base_domain.lower().rstrip(".")
        self.pop = pop
        self.version = version
        """Of the store's configuration that this is a snapshot of."""
        self.pops = MappingProxyType({entry.name.lower(): entry for entry in pops})
        self.accounts = MappingProxyType({entry.id: entry for entry in accounts})
        self.domains = MappingProxyType({entry.id: entry for entry in domains})
        self.gateways = tuple(sorted(gateways, key=preference))
        self._acls = {entry.id: entry for entry in acls}
        self._numbers = {entry.e164: entry for entry in numbers}
        self._callflows = {entry.id: entry for entry in callflows}
        self._default_callflows = {
            entry.account_id: entry for entry in self._callflows.values() if entry.is_default
        }
        self._domains_by_label = {entry.label.lower(): entry for entry in self.domains.values()}
        self._suffix = f".{self.base_domain}"
        self._gates: dict[DomainId, DomainGate] = {}
        self._shared_gateways, self._own_gateways = _gateway_tables(self.gateways)
        self._gateways_by_id = {gateway.id: gateway for gateway in self.gateways}
        self._gateways_by_address = _gateways_by_address(self.gateways)
        self._sources = NetworkTable(remembered=_SOURCES_REMEMBERED)
        self._admits_any_source = False
        self._admits_any_certified = False
        if compiled:
            for _ in self._compile():
                pass

    @classmethod
    def of(cls, configuration: Configuration, *, base_domain: str, pop: str, version: int = 0) -> Directory:
        """The directory of a configuration; the usual POPs when it names none."""
        return _last(cls.in_steps(configuration, base_domain=base_domain, pop=pop, version=version))

    @classmethod
    def in_steps(
        cls, configuration: Configuration, *, base_domain: str, pop: str, version: int = 0
    ) -> Generator[None, None, Directory]:
        """As `of`, but yields again and again, so that a million networks keep nobody else waiting."""
        directory = cls(
            base_domain=base_domain,
            pop=pop,
            accounts=configuration.accounts,
            acls=configuration.acls,
            domains=configuration.domains,
            numbers=configuration.numbers,
            gateways=configuration.gateways,
            pops=configuration.pops or DEFAULT_POPS,
            callflows=configuration.callflows,
            version=version,
            compiled=False,
        )
        yield from directory._compile()
        return directory

    def domain_for_host(self, host: str) -> Domain | None:
        """The domain of a host name, ``<label>.<base>`` or ``<label>.<pop>.<base>``; case does not matter."""
        name = host.lower().rstrip(".")
        if not name.endswith(self._suffix):
            return None
        label, bound, pop = name[: -len(self._suffix)].partition(".")
        if bound and pop not in self.pops:
            return None
        return self._domains_by_label.get(label)

    def domain_for_label(self, label: str) -> Domain | None:
        return self._domains_by_label.get(label.lower())

    def pop_for_host(self, host: str) -> Pop | None:
        """The POP that a host name binds its calls to (``<label>.<pop>.<base>``); None: not bound to one."""
        name = host.lower().rstrip(".")
        if not name.endswith(self._suffix):
            return None
        return self.pops.get(name[: -len(self._suffix)].partition(".")[2])

    def account(self, account_id: str) -> Account | None:
        return self.accounts.get(AccountId(account_id))

    def acls_of(self, domain: Domain) -> tuple[Acl, ...]:
        """The lists attached to a domain, in order; a list of another account never counts."""
        found = (self._acls.get(acl_id) for acl_id in domain.acl_ids)
        return tuple(acl for acl in found if acl is not None and acl.account_id == domain.account_id)

    def gate(self, domain: Domain) -> DomainGate:
        """The compiled access control lists of a domain of this directory."""
        gate = self._gates.get(domain.id)
        if gate is None:
            gate = self._gates[domain.id] = DomainGate(domain, self.acls_of(domain))
        return gate

    def number(self, e164: str) -> Number | None:
        return self._numbers.get(e164)

    def callflow(self, callflow_id: str) -> Callflow | None:
        return self._callflows.get(callflow_id)

    def default_callflow(self, account_id: str) -> Callflow | None:
        """What answers the account's numbers that have neither a callflow nor a URL."""
        return self._default_callflows.get(AccountId(account_id))

    def owns(self, account_id: str, e164: str) -> bool:
        """Whether a normalised number is the account's."""
        number = self._numbers.get(e164)
        return number is not None and number.account_id == account_id

    def may_show(self, account_id: str, e164: str) -> bool:
        """Whether the account may be known by a normalised number: its own, or one that its policy allows."""
        account = self.account(account_id)
        return self.owns(account_id, e164) or (account is not None and account.identity.allows(e164))

    def country_of(self, account_id: str) -> str | None:
        """In whose national format the account writes numbers."""
        account = self.account(account_id)
        return None if account is None else account.identity.country

    def gateways_for(self, account_id: str, e164: str) -> tuple[Gateway, ...]:
        """The gateways to try for a number, in order: longest prefix, then `sip_config.preference.in_order`.

        Gateways with a shorter fitting prefix follow those with a longer one, as in least-cost routing
        elsewhere: a route for one country falls back to the default route when its carrier is down.
        Each gateway appears once, where its longest fitting prefix puts it.
        """
        table = self._own_gateways.get(account_id, self._shared_gateways)
        digits = e164.removeprefix("+")
        found: dict[str, Gateway] = {}
        for length in range(len(digits), -1, -1):
            fitting = table.get(digits[:length])
            if fitting is not None:
                for gateway in in_order(fitting, e164):
                    found.setdefault(gateway.id, gateway)
        return tuple(found.values())

    def gateway(self, gateway_id: str) -> Gateway | None:
        return self._gateways_by_id.get(gateway_id)

    def gateway_for_source(self, address: str, account_id: str | None = None) -> Gateway | None:
        """The gateway whose host is this IP address, and that the account may use when one is given.

        Gateways named by host name are not known by address here: that takes DNS, which is the edge's.
        """
        for gateway in self._gateways_by_address.get(packed(address), ()):
            if account_id is None or gateway.account_id in (None, account_id):
                return gateway
        return None

    def other_pop_at(self, address: str) -> Pop | None:
        """The other POP whose edge has this IP address; not one that is known by name."""
        wanted = packed(address)
        return next((pop for pop, host in self._other_pops() if packed(host) == wanted), None)

    def could_admit(self, address: str, *, certified: bool = False) -> bool:
        """Whether a new request from this source could be let in by anything at all; asked for every packet.

        `certified`: its TLS certificate was verified, or may still be.

        Says nothing about responses, nor about requests inside a call that the edge's own seal vouches
        for: those come from wherever the call went.
        """
        if self._admits_any_source or (certified and self._admits_any_certified):
            return True
        return self._sources.masks(address) & _ADMITS != 0

    def names(self, address: str) -> bool:
        """Whether the configuration names this very source: a gateway, or in a network of an attached list.

        Networks as wide as half the internet name nobody.
        """
        return self._sources.masks(address) & _NAMED != 0

    def names_within(self, network: IPv6Network) -> bool:
        """Whether the configuration names some source in an IPv6 network of 64 bits."""
        return self._sources.holds_part_of(network) or self.names(str(network.network_address))

    @property
    def is_large(self) -> bool:
        """Whether there are so many networks that the collector should not walk over them."""
        return sum(len(acl.networks) for acl in self._acls.values()) > _LARGE

    def _compile(self) -> Iterator[None]:
        """Fills the table of sources, and compiles large gates, which a request should not wait for."""
        yield from _added(self._sources, self._gateway_sources())
        attached: dict[AclId, Acl] = {}
        for domain in self.domains.values():
            acls = self.acls_of(domain)
            attached.update((acl.id, acl) for acl in acls)
            if sum(len(acl.networks) for acl in acls) > _STEP:
                table = NetworkTable()
                yield from _added(table, domain_networks(acls))
                self._gates[domain.id] = DomainGate(domain, acls, table)
        for acl in attached.values():
            if admits_any_source(acl) and acl.certificates:
                self._admits_any_certified = True
            elif admits_any_source(acl):
                self._admits_any_source = True
            admits = _ADMITS if admitting_networks(acl) else 0
            yield from _added(self._sources, ((entry, admits | _naming(entry)) for entry in acl.networks))

    def _gateway_sources(self) -> Iterator[tuple[Network, int]]:
        for gateway in self.gateways:
            if packed(gateway.host) is not None:
                yield parse_network(gateway.host.partition("%")[0]), _ADMITS | _NAMED
        for _, host in self._other_pops():
            # They ask whether this one lives, and relay calls to it.
            yield parse_network(host.partition("%")[0]), _ADMITS | _NAMED

    def _other_pops(self) -> Iterator[tuple[Pop, str]]:
        for name, pop in self.pops.items():
            host = _literal_host(pop)
            if host is not None and name != self.pop.lower():
                yield pop, host


def _naming(network: Network) -> int:
    return _NAMED if network.prefixlen >= _NAMES_FROM[network.version] else 0


def _added(table: NetworkTable, entries: Iterator[tuple[Network, int]]) -> Iterator[None]:
    """Fills a table in steps."""
    while some := list(islice(entries, _STEP)):
        table.add(some)
        yield


def _last(steps: Generator[None, None, Directory]) -> Directory:
    while True:
        try:
            next(steps)
        except StopIteration as done:
            found: Directory = done.value
            return found


def _literal_host(pop: Pop) -> str | None:
    """The IP address of a POP's edge; None: it has none, or is known by name."""
    if pop.address is None:
        return None
    host, _ = host_and_port(pop.address)
    return None if packed(host) is None else host


def _gateway_tables(gateways: tuple[Gateway, ...]) -> tuple[_GatewayTable, dict[str, _GatewayTable]]:
    """By prefix, the gateways open to all, and for each account that has its own, those it may use."""
    shared: list[Gateway] = []
    own: dict[str, list[Gateway]] = {}
    for gateway in gateways:
        if gateway.account_id is None:
            shared.append(gateway)
        else:
            own.setdefault(gateway.account_id, []).append(gateway)
    usable = {owner: sorted([*mine, *shared], key=preference) for owner, mine in own.items()}
    return _by_prefix(shared), {owner: _by_prefix(entries) for owner, entries in usable.items()}


def _by_prefix(gateways: Iterable[Gateway]) -> _GatewayTable:
    table: _GatewayTable = {}
    for gateway in gateways:
        for prefix in dict.fromkeys(gateway.prefixes):
            table[prefix] = (*table.get(prefix, ()), gateway)
    return table


def _gateways_by_address(
    gateways: tuple[Gateway, ...],
) -> dict[tuple[int, int] | None, tuple[Gateway, ...]]:
    table: dict[tuple[int, int] | None, tuple[Gateway, ...]] = {}
    for gateway in gateways:
        address = packed(gateway.host)
        if address is not None:
            table[address] = (*table.get(address, ()), gateway)
    return table
