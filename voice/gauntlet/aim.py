"""What is attacked, from where, and with which permission."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from voice.sip.errors import SipParseError
from voice.sip.uri import parse_uri

TRANSPORTS: Final = ("udp", "tcp", "tls")
_DEFAULT_PORTS: Final = {"udp": 5060, "tcp": 5060, "tls": 5061}
CLAIMS: Final = ("127.0.0.1", "10.0.0.1", "192.168.1.1")


class BadAim(Exception):
    """The target cannot be attacked, or must not be; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """The server, and all that is known about it."""

    host: str
    """An IP address."""
    port: int
    transport: str
    """``UDP``, ``TCP`` or ``TLS``."""
    domain: str
    """What stands behind the @ of the Request-URIs."""
    number: str | None = None
    """What a good call dials; None: no calls are placed."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    claims: tuple[str, ...] = CLAIMS
    """Addresses that an access list might hold, for headers to claim."""
    source: str | None = None
    """Local address that attacks come from; None: on loopback each from one of its own, else the system's."""
    probe_source: str | None = None
    """Local address of the good caller; another one than `source`, if attackers may be banned."""
    patience: float = 2.0
    """Seconds that an answer is waited for."""
    busy_seconds: float = 1.0
    """A server that is full says to come back; a limit on calls per second is over by then."""
    at_most: float = 3_600.0
    """Seconds after which no further attack begins."""
    grace: float = 0.15
    """Seconds after the answer to a later question, in which an earlier one may still be answered."""
    flood_rate: int = 300
    """Messages per second of a flood."""
    flood_seconds: float = 2.0

    @property
    def loopback(self) -> bool:
        return ip_address(self.host).is_loopback

    @property
    def ipv6(self) -> bool:
        return ":" in self.host

    @property
    def server(self) -> str:
        """Host and port as they stand in a URI."""
        return f"[{self.host}]:{self.port}" if self.ipv6 else f"{self.host}:{self.port}"

    def source_of(self, number: int) -> str | None:
        """Where attack `number` comes from: a ban for one must not hide what the next would show."""
        if self.source is not None or not self.loopback or self.ipv6:
            return self.source
        return f"127.77.{number // 200}.{number % 200 + 10}"


def check(aim: Aim) -> None:
    """Raises BadAim when requests cannot be made of it."""
    for option, text in (("--domain", f"sip:{aim.domain}"), ("--number", f"sip:{aim.number}@example.com")):
        try:
            parse_uri(text)
        except SipParseError as fault:
            raise BadAim(f"{option} does not fit into a SIP URI: {fault}. Correct it.") from None
    for claim in aim.claims:
        try:
            ip_address(claim)
        except ValueError:
            raise BadAim(f"--claim {claim!r} is no IP address. Correct it.") from None
    family = socket.AF_INET6 if aim.ipv6 else socket.AF_INET
    for option, address in (("--source", aim.source), ("--probe-source", aim.probe_source)):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((address or "", 0))
            except OSError as fault:
                raise BadAim(
                    f"{option} {address!r} cannot be sent from: {fault.strerror}. "
                    "Name an address of this machine."
                ) from None


def located(target: str, transport: str, *, permitted: bool) -> tuple[str, str, int]:
    """Of ``HOST[:PORT]`` the host as a URI has it, its address, and the port.  Raises BadAim.

    `permitted`: the user says that the target may be attacked wherever it is.
    """
    host, port = _split(target, _DEFAULT_PORTS[transport])
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError as fault:
        raise BadAim(f"{host} has no address: {fault.strerror}. Name another host.") from None
    addresses = [str(entry[4][0]) for entry in found]
    strangers = [address for address in addresses if not _is_near(ip_address(address.partition("%")[0]))]
    if strangers and not permitted:
        raise BadAim(
            f"{strangers[0]} is neither loopback nor a private address. If the server is yours, or its owner "
            "has agreed, say --i-may-attack-this."
        )
    return f"[{host}]" if ":" in host else host, addresses[0], port


def _is_near(address: IPv4Address | IPv6Address) -> bool:
    return (address.is_private or address.is_loopback or address.is_link_local) and not address.is_multicast


def _split(target: str, default: int) -> tuple[str, int]:
    host, port = target, ""
    if target.startswith("["):
        host, _, rest = target[1:].partition("]")
        port = rest.removeprefix(":")
    elif target.count(":") == 1:
        host, _, port = target.partition(":")
    if not host:
        raise BadAim(f"{target!r} names no host. Write HOST or HOST:PORT.")
    if not port:
        return host, default
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise BadAim(f"{port!r} is no port. Write HOST:PORT with a port of 1 to 65535.")
    return host, int(port)
