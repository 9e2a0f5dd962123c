"""Which addresses a customer's URL may lead to: the public ones, unless the node's settings say otherwise.

The table is IANA's special-purpose registries (RFC 6890 and its updates) where they say "globally
reachable: no", plus multicast and the transition ranges that carry an IPv4 address inside: Python's
own `is_global` answers differently from one patch release to the next.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_NOT_PUBLIC: dict[IPv4Network | IPv6Network, str] = {
    ip_network(network): what
    for network, what in {
        "0.0.0.0/8": "this host (RFC 791)",
        "10.0.0.0/8": "a private network (RFC 1918)",
        "100.64.0.0/10": "a carrier's shared address space (RFC 6598)",
        "127.0.0.0/8": "loopback",
        "169.254.0.0/16": "link-local, where clouds keep their metadata (RFC 3927)",
        "172.16.0.0/12": "a private network (RFC 1918)",
        "192.0.0.0/24": "reserved for protocols (RFC 6890)",
        "192.0.2.0/24": "documentation (RFC 5737)",
        "192.88.99.0/24": "6to4 relays (RFC 7526)",
        "192.168.0.0/16": "a private network (RFC 1918)",
        "198.18.0.0/15": "benchmarks (RFC 2544)",
        "198.51.100.0/24": "documentation (RFC 5737)",
        "203.0.113.0/24": "documentation (RFC 5737)",
        "224.0.0.0/4": "multicast",
        "240.0.0.0/4": "reserved, or broadcast",
        "::/128": "unspecified",
        "::1/128": "loopback",
        "64:ff9b:1::/48": "a private translation prefix (RFC 8215)",
        "100::/64": "a black hole (RFC 6666)",
        "2001::/23": "reserved for protocols (RFC 2928)",
        "2001:db8::/32": "documentation (RFC 3849)",
        "3fff::/20": "documentation (RFC 9637)",
        "5f00::/16": "segment routing (RFC 9602)",
        "fc00::/7": "a private network (RFC 4193)",
        "fe80::/10": "link-local",
        "fec0::/10": "site-local (RFC 3879)",
        "ff00::/8": "multicast",
    }.items()
}

_WELL_KNOWN_TRANSLATION = IPv6Network("64:ff9b::/96")  # RFC 6052
_IPV4_COMPATIBLE = IPv6Network("::/96")  # RFC 4291 section 2.5.5.1
_SIX_TO_FOUR = IPv6Network("2002::/16")  # RFC 3056


def why_not_public(address: str) -> str | None:
    """What kind of address this is when it is not a public one; None when it is.

    An IPv6 address that carries an IPv4 address is judged by that too.  Other text is not public.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return "not an IP address"
    # The narrow reasons first: ::1 is loopback before it is an IPv4 address in IPv6.
    for network, what in _NOT_PUBLIC.items():
        if parsed.version == network.version and parsed in network:
            return what
    inner = _carried(parsed)
    return None if inner is None else why_not_public(str(inner))


def _carried(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _SIX_TO_FOUR:
        return IPv4Address((int(address) >> 80) & 0xFFFFFFFF)
    if address in _WELL_KNOWN_TRANSLATION or address in _IPV4_COMPATIBLE:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None
