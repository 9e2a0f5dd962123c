"""What the edge needs to be told, once, before it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sip_config.model import Transport
from sip_config.networks import Network
from voice.sip.transaction_timing import Timing

TIMER_C_SECONDS: Final = 185.0
"""RFC 3261 section 16.6 step 11: more than three minutes."""


ANY_ORIGIN: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """One address on which the edge takes SIP."""

    transport: Transport
    host: str
    """An IP address; ``0.0.0.0`` or ``::`` for all of its family."""
    port: int = 5060
    """0: one that is free."""
    advertise: str | None = None
    """Host name or address that others reach it by; None: the edge's `public_host`, else `host`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimits:
    """Bounds of connections: TCP, and what runs on it."""

    total: int = 4_096
    per_source: int = 64
    idle_seconds: float = 300.0
    """Without a message a connection is closed.  Longer than PBXs wait between keep-alives."""
    first_message_seconds: float = 10.0
    """A connection on which nothing was understood by then is closed."""
    send_buffer_bytes: int = 262_144
    """A peer that reads so slowly that more waits for it is cut off."""
    connect_seconds: float = 4.0
    """Until a connection that we open carries messages, its TLS handshake included."""
    handshake_seconds: float = 5.0
    """For a peer to agree on TLS."""
    handshakes: int = 128
    """TLS handshakes at once; less of it for addresses that nothing names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """Who we are to TLS peers, and whom we believe.  Files are PEM."""

    certificate: Path
    """Our certificate and those between it and its authority."""
    private_key: Path | None = None
    """None: it is in the file of the certificate."""
    folder: Path | None = None
    """Further certificates, ``NAME.pem`` with its key, or ``NAME.crt`` beside ``NAME.key``: a client gets the
    one that is for the name it asks for (SNI)."""
    minimum_version: str = "1.2"
    """``1.2`` or ``1.3``."""
    ciphers: str = "ECDHE+AESGCM:ECDHE+CHACHA20"
    """Of TLS 1.2, as OpenSSL writes them; those of 1.3 are all good."""
    client_authorities: Path | None = None
    """Authorities of client certificates; None: clients are not asked for any."""
    gateway_authorities: Path | None = None
    """Authorities believed of peers that we connect to, beside those of the system."""
    watch_seconds: float = 5.0
    """How often to look whether the files have changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BanRules:
    """How fast strangers may come, when they are banned, and for how long.

    Strangers are sources that are no gateway, in no network of an access control list, and have not logged
    in within the last hour.
    """

    enabled: bool = True
    """False: nobody is banned but by an operator."""
    include_named: bool = False
    """Whether gateways and addresses in access control lists are banned, and slowed down, as well."""
    first_seconds: float = 60.0
    """Of the first ban; each one after it is four times as long."""
    longest_seconds: float = 86_400.0
    unknown_domains: int = 10
    """Requests for domains that do not exist, within a minute, that lead to a ban."""
    wrong_users: int = 10
    """User names with a wrong password, within ten minutes."""
    wrong_passwords: int = 100
    """Wrong passwords of any user names, within ten minutes."""
    flood_requests: int = 1_000
    """Requests beyond the pace, within ten seconds."""
    requests_per_second: float = 50.0
    """The pace: requests of one source that begin something; more are dropped before they are parsed."""
    request_burst: int = 200
    domain_requests_per_second: float = 10_000.0
    """Calls of strangers to one domain; more are answered 503 before their digest is looked at."""
    domain_request_burst: int = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PopRelay:
    """Relaying calls to the edges of other POPs, and knowing which of them live."""

    key: bytes | None = None
    """32 secret bytes, the same for all POPs; None: nothing is relayed."""
    second_key: bytes | None = None
    """Believed as well, and sealed with by nobody who knows `key`: while the key is being changed."""
    transport: str = "UDP"
    """By which POPs speak to one another: ``UDP``, ``TCP`` or ``TLS``."""
    tls_port: int = 5061
    """Where all of them take TLS."""
    interval_seconds: float = 1.0
    """Between two OPTIONS to a POP."""
    misses_until_down: int = 2
    """OPTIONS in a row without an answer after which a POP gets no new calls."""
    answers_until_up: int = 3
    """Answers in a row after which it gets calls again."""
    silence_seconds: float = 1.0
    """Without a response to a relayed INVITE for so long, the next POP is tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSettings:
    """Settings of one edge.  Seconds, unless a name says otherwise."""

    listen: tuple[Listen, ...]
    base_domain: str
    """Customers' domains are labels below it; also the realm of the digest."""
    seal_key: bytes
    """32 secret bytes that seal what routes carry.  The same across restarts and for all edges of a POP."""
    digest_secret: bytes
    """Secret bytes from which nonces are made."""
    node: str = ""
    """Name of the node whose call pool the edge seats calls in."""
    public_host: str | None = None
    """Host name or address that the outside reaches the edge by."""
    inside_host: str = "127.0.0.1"
    """Loopback address for call processes."""
    inside_port: int = 0
    """0: one that is free."""
    timing: Timing = field(default_factory=Timing)
    timer_c: float = TIMER_C_SECONDS
    allow_private_targets: bool = False
    """Whether callflows may dial SIP URIs that lead to loopback or private networks."""
    ticket_seconds: float = 30.0
    """How long a filed dial plan waits for its INVITE."""
    refusal_fold_seconds: float = 5.0
    """Equal refusals within this time become one record with a count."""
    receive_buffer_bytes: int = 4_194_304
    """Asked of the system for UDP sockets; it may grant less (``net.core.rmem_max``)."""
    streams: StreamLimits = field(default_factory=StreamLimits)
    bans: BanRules = field(default_factory=BanRules)
    relay: PopRelay = field(default_factory=PopRelay)
    tls: TlsSettings | None = None
    """Needed where anything listens with TLS."""
    large_requests_by_tcp: bool = True
    """Whether requests too long for a datagram go over TCP to peers that take it (RFC 3261, 18.1.1)."""
    websocket_proxies: tuple[Network, ...] = ()
    """Reverse proxies that are believed when they say for whom they open a WebSocket (X-Forwarded-For)."""
    websocket_origins: tuple[str, ...] = ()
    """Of web pages that may open WebSockets: else any page that somebody looks at in a customer's network
    could call with the customer's address.  `ANY_ORIGIN`: all may."""
    name_servers: tuple[tuple[str, int], ...] = ()
    """Addresses and ports of the DNS servers to ask; empty: the system's."""
