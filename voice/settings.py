"""The settings of a node, with the defaults and the reasons for them.

`voice.settings_file` reads them, once, from a file and the environment.  ``docs/configuration.md``
lists every key; a test holds the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from sip_config.networks import Network
from voice.edge.settings import BanRules


class Secret:
    """A text that does not show itself in logs and tracebacks; `reveal` it where it is used."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketAddress:
    host: str
    """An IP address."""
    port: int
    """0: one that is free."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class TlsVersion(StrEnum):
    TLS_1_2 = "1.2"
    TLS_1_3 = "1.3"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateSettings:
    """Who the edge is to TLS peers, and whom it believes.  PEM, from the folder of the settings; watched."""

    certificate: Path | None = None
    """Of the edge, and those between it and its authority.  Needed for `tls` and `wss`."""
    private_key: Path | None = None
    """None: it is in the file of the certificate."""
    folder: Path | None = None
    """Further certificates: a client gets the one that is for the name it asks for (SNI)."""
    client_authorities: Path | None = None
    """Whose client certificates are believed; None: clients are not asked for any."""
    gateway_authorities: Path | None = None
    """Whose certificates of gateways are believed, beside those that the system believes."""
    minimum_version: TlsVersion = TlsVersion.TLS_1_2
    ciphers: str = "ECDHE+AESGCM:ECDHE+CHACHA20"
    """Of TLS 1.2, as OpenSSL writes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """Bounds of connections to the edge: TCP, TLS, WebSocket."""

    total: int = 4_096
    per_source: int = 64
    idle_seconds: float = 300.0
    """Without a message a connection is closed.  Longer than PBXs wait between keep-alives."""
    first_message_seconds: float = 10.0
    """For a message to arrive whole, the first one from the moment the connection was made."""
    handshake_seconds: float = 5.0
    """For a peer to agree on TLS."""
    handshakes: int = 128
    """TLS handshakes at once; less of it for addresses that nothing names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SipSettings:
    """Where the edge takes SIP, and what it shows of itself."""

    udp: tuple[SocketAddress, ...] = (SocketAddress(host="0.0.0.0", port=5060),)  # noqa: S104 - the front door
    tcp: tuple[SocketAddress, ...] = (SocketAddress(host="0.0.0.0", port=5060),)  # noqa: S104
    tls: tuple[SocketAddress, ...] = ()
    """The usual port is 5061."""
    ws: tuple[SocketAddress, ...] = ()
    """WebSocket without TLS, for a reverse proxy of the same machine."""
    wss: tuple[SocketAddress, ...] = ()
    """Secure WebSocket, for browsers."""
    websocket_proxies: tuple[Network, ...] = ()
    websocket_origins: tuple[str, ...] = ()
    """Networks of reverse proxies whose X-Forwarded-For says where a WebSocket client is."""
    public_address: str | None = None
    """Host name or IP address in Via, Record-Route and Contact; None: that of the socket."""
    inside: SocketAddress = SocketAddress(host="127.0.0.1", port=5066)
    """Where call processes reach the edge.  A fixed port, so that they still do after a restart."""
    allow_private_targets: bool = False
    """Whether callflows may dial SIP URIs that lead to loopback or private networks."""
    large_requests_by_tcp: bool = True
    """Whether requests of more than 1,300 bytes go over TCP to peers that take it (RFC 3261, 18.1.1)."""
    name_servers: tuple[SocketAddress, ...] = ()
    """DNS servers to ask; none: the system's."""
    certificates: CertificateSettings = field(default_factory=CertificateSettings)
    connections: ConnectionSettings = field(default_factory=ConnectionSettings)


class RelayTransport(StrEnum):
    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """How the edges of several POPs know and believe one another."""

    key: Secret | None = None
    """The same at all POPs: with it they vouch for calls.  Needed as soon as other POPs have addresses."""
    second_key: Secret | None = None
    """Believed as well: the next key, and later the last one, while `key` is being changed at all POPs."""
    transport: RelayTransport = RelayTransport.UDP
    """By which POPs speak to one another; TLS where what is between them is not private."""
    tls_port: int = 5061
    """Where the edges of all POPs take TLS; the port in a POP's address is that of UDP and TCP."""
    interval_seconds: float = 1.0
    """Between two OPTIONS to a POP."""
    misses_until_down: int = 2
    """OPTIONS in a row without an answer after which a POP gets no new calls."""
    answers_until_up: int = 3
    """Answers in a row after which it gets calls again."""
    silence_seconds: float = 1.0
    """Without a response to a relayed INVITE for so long, the next POP is tried; three at most are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSettings:
    """Where sound flows."""

    address: str = "0.0.0.0"  # noqa: S104 - callers are anywhere
    """Local IP address that RTP is bound to."""
    public_address: str | None = None
    """IP address that SDP shows; None: the one that the system would send from."""
    rtp_first: int = 10_000
    rtp_last: int = 60_000
    """UDP ports of RTP and RTCP, both included: the range that firewalls of trunk customers expect."""
    clock_rate: int = 8_000
    """Of the bridge, in Hz: 16,000 costs four times as much when nobody negotiated wideband."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """How many call processes there are, and how long they live."""

    warm_reserve: int = 4
    """Idle processes kept ready; more are kept when calls arrive faster.  5 MB each."""
    max_processes: int = 256
    """The pool answers 503 beyond it.  A process with a call takes up to 12 MB and 0.4 % of a core."""
    calls_per_process: int = 1
    """1: a crash costs one call.  2 keeps a callee leg for each, 4 is for pure IVR."""
    calls_before_recycling: int = 200
    """Calls after which a process is replaced, so that nothing can pile up in native code."""
    drain_seconds: float = 30.0
    """How long running calls may go on after SIGTERM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechSettings:
    """Bounds on making one sound, from text or from a customer's file."""

    job_seconds: float = 20.0
    """Speaking or decoding that takes longer is given up."""
    queue_limit: int = 64
    """Sounds that may wait to be spoken, and to be decoded."""
    max_seconds: float = 600.0
    """Length of one sound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchSettings:
    """Bounds on requests to customers' URLs."""

    total_seconds: float = 10.0
    """For a callflow: from the look-up to the last byte.  The caller hears ringing meanwhile."""
    connect_seconds: float = 4.0
    max_redirects: int = 3
    allow_private_networks: bool = False
    """Whether customers' URLs may lead to private addresses: for nodes that serve their own company."""
    max_sound_bytes: int = 20_971_520
    """Of a sound to play: 20 MiB."""
    sound_seconds: float = 15.0
    """For a sound: from the look-up to the last byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    sound_bytes: int = 536_870_912
    """Speech and fetched sounds on disk: 512 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSettings:
    """How long refusals and events are kept.  Strangers cause them, so both have bounds."""

    refusals: int = 200_000
    refusal_days: float = 30.0
    events: int = 200_000
    event_days: float = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BanSettings(BanRules):
    """What the edge goes by, and whether the kernel is told of bans."""

    nftables: bool = False
    """Whether the kernel drops packets of the banned.  Needs the program nft and CAP_NET_ADMIN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """Where the HTTP API is, and what one client may ask of it."""

    enabled: bool = True
    listen: tuple[SocketAddress, ...] = (SocketAddress(host="0.0.0.0", port=8080),)  # noqa: S104
    public_url: str | None = None
    """What absolute links in answers start with; None: the host that the request named."""
    requests_per_second: float = 50.0
    """Of one access key, on average; more are answered 429."""
    burst: int = 100
    """Requests that one access key may make at once after a while of silence."""
    max_connections: int = 1_024
    """Beyond it, the connection that has waited longest without a request is closed."""
    body_seconds: float = 10.0
    """For the body of a request to arrive whole."""
    answer_seconds: float = 30.0
    """For an answer to be made; longer is 503."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a node is told before it starts."""

    base_domain: str
    """Customers' domains are labels below it; also the realm of the digest."""
    pop: str = "eu1"
    """The point of presence that this node belongs to."""
    data_directory: Path = Path("data")
    """Database, recordings, media, cache.  Relative to the file; mode 0700 when it is made."""
    database_url: Secret | None = None
    """None: SQLite in the data directory."""
    limits_file: Path | None = None
    """What limits count, for all nodes of a machine that share a database.  None: beside the database, when
    that is a file, else in the data directory."""
    log_level: LogLevel = LogLevel.INFO
    sip: SipSettings = field(default_factory=SipSettings)
    relay: RelaySettings = field(default_factory=RelaySettings)
    media: MediaSettings = field(default_factory=MediaSettings)
    pool: PoolSettings = field(default_factory=PoolSettings)
    speech: SpeechSettings = field(default_factory=SpeechSettings)
    fetch: FetchSettings = field(default_factory=FetchSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)
    records: RecordSettings = field(default_factory=RecordSettings)
    bans: BanSettings = field(default_factory=BanSettings)
    api: ApiSettings = field(default_factory=ApiSettings)

    @property
    def recordings_directory(self) -> Path:
        return self.data_directory / "recordings"

    @property
    def media_directory(self) -> Path:
        """Uploaded files: a directory for each account, by its id."""
        return self.data_directory / "media"

    @property
    def cache_directory(self) -> Path:
        return self.data_directory / "cache"

    @property
    def database_file(self) -> Path:
        """The SQLite database, unless `database_url` names another."""
        return self.data_directory / "trunkflow.db"
