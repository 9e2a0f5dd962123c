"""The DNS zone by which PBXs find the POPs: NAPTR, SRV, A and AAAA for every name of every domain (RFC 3263).

Each POP's edge has a host, ``edge-<pop>``: the dash keeps it apart from customers' labels, which have none.
A domain's plain name leads to its home region, with the other regions behind it; a name with a POP's label to
that POP, with the others of its region behind it.  So a PBX that knows SRV passes a lost POP by itself.

Records stand at every name instead of aliases: some PBXs' resolvers do not follow a CNAME at an SRV name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from sip_config.faults import Unfit, quoted
from sip_config.model import Domain, Pop
from sip_config.networks import packed
from sip_config.words import host_and_port, host_name

_FIRST, _LATER = 10, 20
"""SRV priorities: where a name belongs, and where it fails over to."""
_WEIGHT: Final = 10
_SIP_PORT: Final = 5060
_LONGEST_LABEL: Final = 63
_LONGEST_NAME: Final = 253
"""As it is written, without the final dot (RFC 1035 section 2.3.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One way to speak SIP, as NAPTR and SRV name it."""

    naptr: str
    srv: str
    order: int


UDP: Final = Service(naptr="SIP+D2U", srv="_sip._udp", order=10)
TCP: Final = Service(naptr="SIP+D2T", srv="_sip._tcp", order=20)
TLS: Final = Service(naptr="SIPS+D2T", srv="_sips._tcp", order=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class NameServer:
    """One that serves the zone."""

    name: str
    addresses: tuple[str, ...] = ()
    """Glue, for a name inside the zone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneOptions:
    """What the configuration does not say."""

    name_servers: tuple[NameServer, ...]
    """At least one."""
    serial: int
    """Must grow with every change (RFC 1912 section 2.2)."""
    contact: str = "hostmaster"
    """Mailbox, as DNS writes it; relative to the zone unless it ends in a dot."""
    ttl: int = 300
    """Seconds.  How long PBXs believe in a POP that has moved."""
    services: tuple[Service, ...] = (UDP, TCP, TLS)
    tls_port: int = 5061


@dataclass(frozen=True, slots=True)
class _Place:
    """A POP as the zone names it."""

    pop: Pop
    target: str
    port: int
    address: str | None
    """None: known by a name that is somebody else's to resolve."""


def name_server(text: str) -> NameServer:
    """``ns1.example.net``, or with its address ``ns1.sip.example.com=192.0.2.53``, several with commas.

    Raises Unfit.
    """
    name, given, addresses = text.partition("=")
    found = tuple(addresses.split(",")) if given else ()
    for address in found:
        if packed(address) is None:
            raise Unfit(
                f"{quoted(address)} is not an IP address.",
                "Write ns1.example.net=192.0.2.53, or the name alone.",
            )
    return NameServer(name=host_name(name), addresses=found)


def without_address(pops: Sequence[Pop]) -> tuple[str, ...]:
    """POPs that the zone cannot name."""
    return tuple(pop.name for pop in pops if pop.address is None)


def zone(
    base_domain: str, domains: Sequence[Domain], pops: Sequence[Pop], options: ZoneOptions
) -> Iterator[str]:
    """The lines of the zone, in the form of RFC 1035 section 5.

    Raises Unfit for what no name server would take, or would take and lead callers nowhere.
    """
    places = [place for pop in pops if (place := _place(pop)) is not None]
    if not places:
        raise Unfit("No POP has an address, so no name leads anywhere.", "Give the POPs addresses.")
    _check(base_domain, domains, places, pops, options)
    yield from _head(base_domain, options)
    yield "; the edges"
    for place in places:
        yield from _addresses(place.target, [place])
    for domain in sorted(domains, key=lambda domain: domain.label):
        yield f"; {domain.label}, home {domain.home_region}"
        home = [place for place in places if place.pop.region is domain.home_region]
        others = [place for place in places if place.pop.region is not domain.home_region]
        yield from _name(domain.label, home, others, options)
        for pop in pops:
            region = [place for place in places if place.pop.region is pop.region]
            bound = [place for place in region if place.pop is pop]
            yield from _name(
                f"{domain.label}.{pop.name}", bound, [one for one in region if one.pop is not pop], options
            )


def _check(
    base_domain: str,
    domains: Sequence[Domain],
    places: Sequence[_Place],
    pops: Sequence[Pop],
    options: ZoneOptions,
) -> None:
    """Raises Unfit: zone files are believed by name servers, which say little of what is wrong with them."""
    suffix = f".{base_domain}"
    bound = [f".{pop.name}" for pop in pops]
    customers = {f"{domain.label}{pop}{suffix}" for domain in domains for pop in ("", *bound)}
    edges = {f"{place.target}{suffix}" for place in places if place.address is not None}
    for server in options.name_servers:
        if server.name in customers | edges:
            whose = "a customer's domain" if server.name in customers else "the host of an edge"
            raise Unfit(
                f"{server.name} is {whose}, and cannot be a name server as well.",
                "Call the name server by a name with a dash, such as ns-1, which no customer can have.",
            )
        if server.name.endswith(suffix) and not server.addresses:
            raise Unfit(
                f"The name server {server.name} is inside the zone, and has no address.",
                f"Write --ns {server.name}=192.0.2.53, with its address.",
            )
    for place in places:
        if place.address is None and f".{place.target}".endswith(f"{suffix}."):
            raise Unfit(
                f"POP {place.pop.name} has the host {place.target[:-1]}, which is inside the zone and "
                "has no address there.",
                f"Write its IP address into [pops.{place.pop.name}]: the zone then names it.",
            )
        if place.address is not None and len(place.target) > _LONGEST_LABEL:
            raise Unfit(
                f"POP {place.pop.name} has too long a name for a host {quoted(place.target)}.",
                f"A label in DNS has {_LONGEST_LABEL} characters at most: give the POP a shorter name.",
            )
    longest = max((f"{TLS.srv}.{name}" for name in customers), key=len, default="")
    if len(longest) > _LONGEST_NAME:
        raise Unfit(
            f"{quoted(longest)} has {len(longest)} characters.",
            f"A name in DNS has {_LONGEST_NAME} at most: give the domain or the POP a shorter label.",
        )


def _head(base_domain: str, options: ZoneOptions) -> Iterator[str]:
    first = options.name_servers[0].name
    yield f"$ORIGIN {base_domain}."
    yield f"$TTL {options.ttl}"
    # Refresh, retry, expire, and how long it is believed that a name is not there.
    yield f"@ IN SOA {first}. {options.contact} {options.serial} 3600 600 1209600 {min(options.ttl, 60)}"
    for server in options.name_servers:
        yield f"@ IN NS {server.name}."
    for server in options.name_servers:
        for address in server.addresses:
            yield f"{server.name}. IN {_kind(address)} {address}"


def _name(
    owner: str, first: Sequence[_Place], later: Sequence[_Place], options: ZoneOptions
) -> Iterator[str]:
    """All records of one name; none when it leads nowhere."""
    if not first and not later:
        return
    for service in options.services:
        yield f'{owner} IN NAPTR {service.order} 10 "s" "{service.naptr}" "" {service.srv}.{owner}'
    for service in options.services:
        # A region without any POP is served by the others.
        for priority, places in ((_FIRST, first), (_LATER, later)):
            for place in places:
                port = options.tls_port if service is TLS else place.port
                yield f"{service.srv}.{owner} IN SRV {priority} {_WEIGHT} {port} {place.target}"
    # For PBXs that know neither NAPTR nor SRV: where those lead that are known by name, only DNS knows.
    yield from list(_addresses(owner, first)) or _addresses(owner, later)


def _addresses(owner: str, places: Sequence[_Place]) -> Iterator[str]:
    for place in places:
        if place.address is not None:
            yield f"{owner} IN {_kind(place.address)} {place.address}"


def _place(pop: Pop) -> _Place | None:
    if pop.address is None:
        return None
    host, port = host_and_port(pop.address)
    bare = host.partition("%")[0]
    if packed(bare) is None:
        return _Place(pop, f"{host}.", port or _SIP_PORT, None)
    return _Place(pop, f"edge-{pop.name}", port or _SIP_PORT, bare)


def _kind(address: str) -> str:
    return "AAAA" if ip_address(address).version == 6 else "A"
