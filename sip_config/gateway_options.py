"""How a gateway is used beyond where it is and which numbers it carries."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from sip_config.rate_table import NO_RATES, RateTable


class CallerIdFormat(StrEnum):
    """In which header a gateway is told the caller's number."""

    FROM = "from"
    PAI = "pai"
    """From and P-Asserted-Identity (RFC 3325)."""
    RPID = "rpid"
    """From and Remote-Party-ID, as older equipment wants it."""
    NONE = "none"
    """Nowhere: From is anonymous."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderRules:
    """What changes in the header fields of an INVITE that leaves by the gateway, in this order."""

    remove: tuple[str, ...] = ()
    """Names of fields that are taken out."""
    replace: tuple[tuple[str, str], ...] = ()
    """Name and value: all fields of the name become this one, where there is any."""
    add: tuple[tuple[str, str], ...] = ()
    """Name and value of fields that are put at the end, whatever there is."""

    def __bool__(self) -> bool:
        return bool(self.remove or self.replace or self.add)

    def __str__(self) -> str:
        parts = [f"-{name}" for name in self.remove]
        parts += [f"{name}={value}" for name, value in self.replace]
        parts += [f"+{name}: {value}" for name, value in self.add]
        return ", ".join(parts) or "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayOptions:
    """Options of one gateway; each has a default that suits a plain carrier."""

    weight: int = 1
    """Its share of the calls among gateways of equal priority; 0: only after the others."""
    trusted: bool = False
    """Whether it belongs to the trusted realm, so that it is told who calls (RFC 3325 section 2.3)."""
    ringing_seconds: float | None = None
    """Without ringing, early media or an answer for this long, the next gateway is tried."""
    total_seconds: float | None = None
    """Without an answer for this long, the next gateway is tried."""
    failover: tuple[str, ...] = ("5xx",)
    """Responses after which the next gateway is tried: codes such as ``503``, classes such as ``5xx``."""
    keepalive_seconds: float | None = None
    """Between two OPTIONS; None: none are sent."""
    cooldown_seconds: float = 30.0
    """For how long a gateway that fails is tried after all others."""
    cooldown_after: int = 3
    """Failures in a row after which a gateway counts as one that fails."""
    concurrent_calls: int | None = None
    calls_per_second: float | None = None
    country: str | None = None
    """ISO 3166 code of the country whose national number format it speaks."""
    strip_prefix: str = ""
    """Taken off the front of a number in the gateway's format, where it is there."""
    add_prefix: str = ""
    """Put in front of a number in the gateway's format."""
    caller_id_format: CallerIdFormat = CallerIdFormat.FROM
    headers: HeaderRules = field(default_factory=HeaderRules)
    register: bool = False
    """Whether the edge registers there (RFC 3261 section 10), so that calls to us find it."""
    register_seconds: int = 3_600
    """How long a registration is asked to last."""
    register_user: str | None = None
    """User part of the address of record and of the Contact; None: the user name."""
    register_domain: str | None = None
    """Host part of the address of record; None: the gateway's host."""
    rates: RateTable = NO_RATES

    def fails_over(self, status: int) -> bool:
        """Whether the next gateway is to be tried after this final response."""
        return f"{status // 100}xx" in self.failover or str(status) in self.failover


PLAIN_CARRIER = GatewayOptions()
