"""What a ban is, for the edge that imposes it, the store that keeps it, and whoever lists and lifts it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final

from sip_config.faults import Unfit, quoted
from sip_config.networks import packed

LONGEST_SECONDS: Final = 31_536_000.0
"""Of a ban by an operator: a year."""


class BanReason(StrEnum):
    SCANNER = "scanner"
    UNKNOWN_DOMAINS = "unknown-domains"
    WRONG_PASSWORDS = "wrong-passwords"
    FLOOD = "flood"
    OPERATOR = "operator"


MEANING: Final = {
    BanReason.SCANNER: "it calls itself a known scanner",
    BanReason.UNKNOWN_DOMAINS: "it tried domains that do not exist",
    BanReason.WRONG_PASSWORDS: "it tried wrong passwords",
    BanReason.FLOOD: "it kept sending faster than allowed",
    BanReason.OPERATOR: "an operator banned it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ban:
    address: str
    """An IPv4 address, or an IPv6 network of 64 bits."""
    since: float
    until: float
    reason: BanReason
    level: int
    """How many bans in a row this is."""
    proven: bool
    """False: datagrams alone say so, and datagrams alone are kept out."""

    @property
    def by_operator(self) -> bool:
        return self.reason is BanReason.OPERATOR

    @property
    def remembered_until(self) -> float:
        """Until when the next ban would be longer."""
        return self.until + max(3_600.0, self.until - self.since)


def ban_key(host: str) -> str:
    """What is banned when this source is: the IPv4 address itself, the /64 of an IPv6 address.

    Each owner of a /64 has 2**64 addresses to spend.
    """
    return host if ":" not in host else _network_of(host)


@lru_cache(maxsize=4_096)
def _network_of(host: str) -> str:
    parts = packed(host)
    if parts is None:
        return host
    width, value = parts
    if width == 32:
        return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))
    return f"{IPv6Address(value >> 64 << 64)}/64"


def released(ban: Ban, now: float) -> Ban:
    """The ban as it is when it has been lifted: the next offence is a first one."""
    return replace(ban, since=now, until=now, level=0)


def read_ban_key(text: str) -> str:
    """What is banned when an operator writes this: an address, or the /64 of one.  Raises Unfit."""
    address, slash, length = text.strip().partition("/")
    if packed(address) is None or (slash and (":" not in address or length != "64")):
        raise Unfit(
            f"{quoted(text)} is no IP address.",
            "Write an address, such as 192.0.2.10 or 2001:db8::10, which stands for its /64.",
        )
    return ban_key(address)


def by_operator(address: str, seconds: float, now: float) -> Ban:
    """A ban that an operator imposes; `address` as `read_ban_key` gives it."""
    return Ban(
        address=address, since=now, until=now + seconds, reason=BanReason.OPERATOR, level=1, proven=True
    )
