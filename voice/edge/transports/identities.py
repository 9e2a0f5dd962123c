"""Who a certificate is for, as SIP reads it (RFC 5922 section 7)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any


@dataclass(frozen=True, slots=True)
class Identities:
    """The names of a verified certificate, in lower case."""

    sip: tuple[str, ...] = ()
    """Domains of its SIP URIs without user part."""
    dns: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Whom it lets its holder be: with a SIP URI those, else the DNS names (section 7.1)."""
        return (self.sip or self.dns) + self.addresses

    def fit(self, host: str) -> bool:
        """Whether it is for the host that was to be reached.

        A first label ``*`` fits one label: RFC 5922 forbids it, and carriers have such certificates
        all the same, which for every other protocol are good.
        """
        try:
            return str(ip_address(host)) in self.addresses
        except ValueError:
            pass
        wanted = host.lower().rstrip(".")
        parent = wanted.partition(".")[2]
        names = self.sip or self.dns
        return wanted in names or ("." in parent and f"*.{parent}" in names)


def identities_of(certificate: dict[str, Any] | None) -> Identities:
    """Reads what `ssl` says of the peer's certificate; nobody's when it showed none that was verified.

    Raises ValueError when an address in it is none.
    """
    sip, dns, addresses = [], [], []
    for kind, value in (certificate or {}).get("subjectAltName", ()):
        if kind == "URI":
            domain = _sip_domain(value)
            if domain:
                sip.append(domain)
        elif kind == "DNS":
            dns.append(value.lower().rstrip("."))
        elif kind == "IP Address":
            addresses.append(str(ip_address(value.strip())))
    return Identities(tuple(sip), tuple(dns), tuple(addresses))


def _sip_domain(uri: str) -> str | None:
    """The domain that a SIP URI of a certificate stands for; one with a user part stands for the user."""
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme.lower() != "sip" or "@" in rest:
        return None
    host = rest.partition(";")[0].partition("?")[0].lower().rstrip(".")
    return host or None
