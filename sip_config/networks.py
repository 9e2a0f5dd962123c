"""Which networks hold an address, quickly.

The edge asks this for every packet before it looks at the packet, so an address costs one `inet_pton` and
a few dictionary lookups, and addresses seen lately cost one.  IPv4-mapped IPv6 addresses
(``::ffff:192.0.2.1``, what a dual-stack socket reports) are the IPv4 addresses they stand for, in networks as
in addresses.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Final

from sip_config.faults import Unfit, quoted

Network = IPv4Network | IPv6Network

_MAPPED_PREFIX: Final = b"\x00" * 10 + b"\xff\xff"
_MAPPED_BITS: Final = 96

_BLOCK_SHIFT: Final = {32: 16, 128: 96}
"""Width of the address -> bits right of a block."""
_COMBINATIONS: Final = 65_536
"""Of lengths that occur together in a block; real tables have some hundred."""

REMEMBERED: Final = 1_024
"""Addresses a table remembers unless told otherwise.  A flood from more addresses only costs time."""


def packed(address: str) -> tuple[int, int] | None:
    """An address as (width in bits, value); None when it is not an IP address.

    An IPv6 zone (``%eth0``) is left out: access control lists speak of addresses, not of interfaces.
    """
    try:
        if ":" not in address:
            return 32, int.from_bytes(inet_pton(AF_INET, address), "big")
        raw = inet_pton(AF_INET6, address.partition("%")[0])
    except (OSError, ValueError):  # ValueError: an embedded NUL, or text that is not ASCII
        return None
    if raw.startswith(_MAPPED_PREFIX):
        return 32, int.from_bytes(raw[12:], "big")
    return 128, int.from_bytes(raw, "big")


def as_sockets_say(address: str) -> str:
    """An IPv6 address, which may be written in many ways, as sockets write it; any other text as it is."""
    if ":" not in address:
        return address
    bare, percent, zone = address.partition("%")
    try:
        return f"{inet_ntop(AF_INET6, inet_pton(AF_INET6, bare))}{percent}{zone}"
    except (OSError, ValueError):
        return address


def parse_network(text: str) -> Network:
    """A network or single address in CIDR notation.

    Raises Unfit, also when bits are set right of the prefix: a network must not silently become wider
    than what was written.
    """
    try:
        return unmapped(ip_network(text.strip()))
    except ValueError as fault:
        if "has host bits set" not in str(fault):
            raise Unfit(
                f"{quoted(text)} is not an IP network.",
                "Write an address, such as 192.0.2.10 or 2001:db8::10, or a network, such as 192.0.2.0/24.",
            ) from None
    whole = ip_network(text.strip(), strict=False)
    address = text.strip().partition("/")[0]
    raise Unfit(
        f"{quoted(text)} has bits set right of its prefix.",
        f"Write {whole} for the whole network, or {address} for the one address.",
    )


def unmapped(network: Network) -> Network:
    """The IPv4 network that an IPv4-mapped IPv6 network stands for; any other network as it is."""
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        raw = network.network_address.packed
        if raw.startswith(_MAPPED_PREFIX):
            return IPv4Network((raw[12:], network.prefixlen - _MAPPED_BITS))
    return network


def network_order(network: Network) -> tuple[int, int, int]:
    """A key to sort networks by: IPv4 first, then by address."""
    return network.version, int(network.network_address), network.prefixlen


class NetworkTable:
    """Networks that each carry a bit mask; an address yields the or-ed masks of all that hold it.

    For each prefix length there is a dictionary by prefix.  Which lengths there are is known for each block
    of addresses (a /16, for IPv6 a /32): most blocks have one or two, and those without any cost one look-up.
    """

    __slots__ = ("_blocks", "_parts", "_remembered", "_seen", "_tables", "_to_search", "_wide")

    def __init__(self, entries: Iterable[tuple[Network, int]] = (), *, remembered: int = REMEMBERED) -> None:
        self._tables: dict[int, dict[int, dict[int, int]]] = {32: {}, 128: {}}
        """Width of the address -> bits right of the prefix -> prefix -> mask."""
        self._blocks: dict[int, dict[int, int]] = {32: {}, 128: {}}
        """Width -> block -> the lengths in it, as bits."""
        self._wide = {32: 0, 128: 0}
        """Width -> the lengths of networks wider than a block."""
        self._to_search: dict[tuple[int, int], tuple[tuple[int, dict[int, int]], ...]] = {}
        """Width and lengths as bits -> what that means."""
        self._parts: set[int] = set()
        """Upper halves of IPv6 addresses of which networks hold a part only."""
        self._remembered = remembered
        self._seen: dict[str, int] = {}
        self.add(entries)

    def add(self, entries: Iterable[tuple[Network, int]]) -> None:
        """Takes in more networks, so that a large table can be made in steps."""
        tables, blocks = self._tables, self._blocks
        for entry, mask in entries:
            network = unmapped(entry)
            width = network.max_prefixlen
            shift = width - network.prefixlen
            values = tables[width].setdefault(shift, {})
            value = int(network.network_address) >> shift
            values[value] = values.get(value, 0) | mask
            above = _BLOCK_SHIFT[width] - shift
            if above < 0:
                self._wide[width] |= 1 << shift
            else:
                block = value >> above
                blocks[width][block] = blocks[width].get(block, 0) | 1 << shift
            if width == 128 and shift < 64:
                self._parts.add(value >> 64 - shift)
        self._to_search.clear()
        self._seen.clear()

    def masks(self, address: str) -> int:
        """The or-ed masks of every network that holds the address; 0 for none, or for no IP address."""
        seen = self._seen
        known = seen.get(address)
        if known is not None:
            return known
        found = self._search(address)
        if len(seen) >= self._remembered:
            seen.clear()
        seen[address] = found
        return found

    def holds_part_of(self, network: IPv6Network) -> bool:
        """Whether a network of the table is a part, and not the whole, of this one of 64 bits."""
        return int(network.network_address) >> 64 in self._parts

    def _search(self, address: str) -> int:
        parts = packed(address)
        if parts is None:
            return 0
        width, value = parts
        lengths = self._blocks[width].get(value >> _BLOCK_SHIFT[width], 0) | self._wide[width]
        found = 0
        if lengths:
            for shift, values in self._to_search.get((width, lengths)) or self._lengths(width, lengths):
                found |= values.get(value >> shift, 0)
        return found

    def _lengths(self, width: int, bits: int) -> tuple[tuple[int, dict[int, int]], ...]:
        tables = self._tables[width]
        found = tuple((shift, values) for shift, values in tables.items() if bits >> shift & 1)
        if len(self._to_search) >= _COMBINATIONS:
            self._to_search.clear()
        self._to_search[width, bits] = found
        return found
