"""The nouns of a trunk, as immutable values.

They mirror what the store holds; `sip_config.directory.Directory` indexes a consistent snapshot of
them for the edge.  Ids are UUIDs in text form.  Numbers are E.164 with a leading ``+``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import NewType

from sip_config.call_limits import UNLIMITED, CallLimits
from sip_config.gateway_options import PLAIN_CARRIER, GatewayOptions
from sip_config.identity_policy import E164_ONLY, IdentityPolicy

AccountId = NewType("AccountId", str)
DomainId = NewType("DomainId", str)
AclId = NewType("AclId", str)


class DigestAlgorithm(StrEnum):
    """Digest algorithms of RFC 7616 and RFC 8760, by the token a challenge carries."""

    MD5 = "MD5"
    SHA_256 = "SHA-256"
    SHA_512_256 = "SHA-512-256"


class Transport(StrEnum):
    """SIP transports, by the token a Via carries (RFC 3261 section 20.42)."""

    UDP = "UDP"
    TCP = "TCP"
    TLS = "TLS"
    WS = "WS"
    WSS = "WSS"

    @property
    def usual_port(self) -> int:
        """Where a peer is when nothing else is said (RFC 3261 section 19.1.2)."""
        return 5061 if self is Transport.TLS else 5060


class SrtpPolicy(StrEnum):
    """Whether the sound of a call is encrypted (RFC 3711), with keys in the SDP (RFC 4568)."""

    FORBIDDEN = "forbidden"
    OPTIONAL = "optional"
    """As the caller offers it."""
    REQUIRED = "required"


class Origin(StrEnum):
    """Who manages an entry: `trunkflow apply` removes what its file no longer names, and only that."""

    FILE = "file"
    API = "api"


class Region(StrEnum):
    EU = "EU"
    US = "US"
    APAC = "APAC"


class CallerIdRule(StrEnum):
    """What a gateway is shown as the caller's number."""

    PASS = "pass"  # noqa: S105 - a rule, no password
    """The caller id of the call, whatever it is."""
    OWN = "own"
    """The caller id when the account may be known by that number; else the gateway's `caller_id`."""
    FIXED = "fixed"
    """Always the gateway's `caller_id`."""


class NumberFormat(StrEnum):
    """How a gateway wants E.164 numbers written in the Request-URI, To and From."""

    PLUS = "plus"
    PLAIN = "plain"
    INTERNATIONAL = "00"
    NATIONAL = "national"
    """As people write it in the gateway's country; numbers of other countries with 00."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A customer."""

    id: AccountId
    name: str
    """Unique; what `trunkflow apply` and the listings call it."""
    calls_per_second: float = 10.0
    concurrent_calls: int = 10
    max_call_seconds: int = 14_400
    fallback_callflow_id: str | None = None
    """Run when a dynamic callflow cannot be had."""
    limits: CallLimits = UNLIMITED
    identity: IdentityPolicy = E164_ONLY
    origin: Origin = Origin.FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class SipAccount:
    """A user name of an ACL, with one HA1 per algorithm (hex; RFC 7616 section 3.4.2), never the password."""

    id: str
    username: str
    ha1: dict[DigestAlgorithm, str] = field(repr=False)
    limits: CallLimits = UNLIMITED


@dataclass(frozen=True, slots=True, kw_only=True)
class Acl:
    """An access control list.  With both networks and SIP accounts, both must fit; empty admits nobody.

    Entries that cannot be read are kept by their text: they fit nobody, and a list whose networks are all
    unreadable still asks for a network, so that a fault in it never lets in more than was meant.
    """

    id: AclId
    account_id: AccountId
    name: str
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    sip_accounts: tuple[SipAccount, ...] = ()
    invalid_networks: tuple[str, ...] = ()
    invalid_sip_accounts: tuple[str, ...] = ()
    """User names without a usable HA1."""
    certificates: tuple[str, ...] = ()
    """Names, one of which the caller's TLS certificate must be for; empty: no certificate is asked for."""
    origin: Origin = Origin.FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """A customer's name inside the base domain: label `acme` answers to ``acme.<base domain>``."""

    id: DomainId
    account_id: AccountId
    label: str
    """1 or more of 0-9, a-z, A-Z; compared without case, stored in lower case."""
    acl_ids: tuple[AclId, ...] = ()
    """A request is let in if at least one of these admits it."""
    algorithms: tuple[DigestAlgorithm, ...] = (DigestAlgorithm.MD5,)
    """Offered in this order, most preferred first."""
    home_region: Region = Region.EU
    callflow_id: str | None = None
    callflow_url: str | None = None
    """At most one of the two; with neither, the domain is a plain trunk."""
    srtp: SrtpPolicy = SrtpPolicy.OPTIONAL
    limits: CallLimits = UNLIMITED
    origin: Origin = Origin.FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """An E.164 number that an account owns, and what answers it.  At most one of flow id and URL."""

    id: str
    account_id: AccountId
    e164: str
    callflow_id: str | None = None
    callflow_url: str | None = None
    origin: Origin = Origin.FILE
    created_at: float | None = None
    updated_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A carrier or PBX to which calls can be sent."""

    id: str
    account_id: AccountId | None
    """None: every account may use it."""
    name: str
    host: str
    port: int = 5060
    transport: Transport = Transport.UDP
    prefixes: tuple[str, ...] = ("",)
    """Digits without ``+``; the empty prefix fits every number."""
    priority: int = 100
    """Lower is tried first among gateways with equally long prefixes."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    """What the carrier's challenge is answered with: a client needs the secret itself."""
    caller_id_rule: CallerIdRule = CallerIdRule.PASS
    caller_id: str | None = None
    number_format: NumberFormat = NumberFormat.PLUS
    attempt_seconds: float = 6.0
    """Without any response for this long, the next gateway is tried."""
    srtp: SrtpPolicy = SrtpPolicy.OPTIONAL
    options: GatewayOptions = PLAIN_CARRIER
    origin: Origin = Origin.FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class Pop:
    """A point of presence."""

    name: str
    region: Region
    address: str | None = None
    """SIP address ``host[:port]`` of its edge; None: not reachable from here."""
    origin: Origin = Origin.FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class Callflow:
    """A stored callflow document in canonical XML."""

    id: str
    account_id: AccountId
    title: str
    document: str
    origin: Origin = Origin.FILE
    created_at: float | None = None
    updated_at: float | None = None
    shown_title: str | None = None
    """What the API calls it, where that is not `title`; need not be unique."""
    is_default: bool = False
    """Answers the account's numbers that have neither flow nor URL; one for an account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFile:
    """A sound that an account uploaded; `play` names it."""

    id: str
    account_id: AccountId
    name: str
    path: str
    """Of the stored copy: the account's folder, then `name`."""
    sha256: str
    """Of its content, in hexadecimal: files are told apart by it."""
    size: int
    """In bytes."""
    origin: Origin = Origin.FILE
