"""How much an account, a domain or a SIP account may call, and where to.

An account has calls per second, concurrent calls and a longest duration of its own besides; a call has to
fit all that concern it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class NumberKind(StrEnum):
    """Numbers that cost more than a call to the country they belong to, or that swindlers call."""

    PREMIUM = "premium"
    """Premium rate, international ones too (+979)."""
    SHARED_COST = "shared_cost"
    """Also international ones (+808)."""
    SATELLITE = "satellite"
    """+870, +881 and the networks of +882 and +883."""
    PERSONAL = "personal"
    """Personal numbers, which lead anywhere at the caller's cost, such as +44 70 and +878."""
    UNIVERSAL = "universal"
    """Numbers of companies that no area has, at a rate of their own (UAN)."""
    PAGER = "pager"
    TOLL_FREE = "toll_free"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLimits:
    """Limits of one account, domain or SIP account.  None and empty: nothing is limited.

    Of the rules for destinations the first that says something decides: the longest of the allowed and
    denied prefixes that fits; denied kinds; denied countries; and last, when countries or prefixes are
    allowed, the country has to be one of those.
    """

    calls_per_second: float | None = None
    concurrent_calls: int | None = None
    max_call_seconds: int | None = None
    allowed_prefixes: tuple[str, ...] = ()
    """Digits without ``+``."""
    denied_prefixes: tuple[str, ...] = ()
    denied_kinds: tuple[NumberKind, ...] = ()
    allowed_countries: tuple[str, ...] = ()
    """Two letters of ISO 3166-1; ``001`` for numbers of no country, such as +800 and +882."""
    denied_countries: tuple[str, ...] = ()
    daily_minutes: int | None = None
    """Talked on outgoing legs, in a day of UTC."""
    daily_spend: int | None = None
    """By the account's rates, in a day of UTC, in millionths of the unit of the currency."""
    new_destinations_per_hour: int | None = None
    """Numbers that the account has not called before."""
    new_countries_per_hour: int | None = None

    def contradictions(self) -> tuple[tuple[str, str], ...]:
        """What is allowed and denied at once: the field, and which."""
        pairs = (
            ("denied_prefixes", self.allowed_prefixes, self.denied_prefixes),
            ("denied_countries", self.allowed_countries, self.denied_countries),
        )
        return tuple((field, one) for field, allowed, denied in pairs for one in denied if one in allowed)

    @property
    def for_destinations(self) -> bool:
        """Whether it matters which number is called."""
        return bool(
            self.allowed_prefixes
            or self.denied_prefixes
            or self.denied_kinds
            or self.allowed_countries
            or self.denied_countries
        )

    @property
    def for_new_destinations(self) -> bool:
        """Whether it matters what was called before."""
        return self.new_destinations_per_hour is not None or self.new_countries_per_hour is not None

    def new_per_hour(self, countries: bool) -> int | None:
        return self.new_countries_per_hour if countries else self.new_destinations_per_hour

    @property
    def for_a_day(self) -> bool:
        """Whether it matters what was talked today."""
        return self.daily_minutes is not None or self.daily_spend is not None


UNLIMITED = CallLimits()
MILLIONTHS: Final = 1_000_000
