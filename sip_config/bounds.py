"""The least and the most that numbers of a configuration may be, wherever they are written.

Unpacked into a reader's arguments: ``section.integer("port", 5060, **bounds.PORT)``.
"""

from __future__ import annotations

from typing import Final, TypedDict


class Whole(TypedDict):
    least: int
    most: int


class Real(TypedDict):
    least: float
    most: float


CALLS_PER_SECOND: Final = Real(least=0.01, most=10_000)
CONCURRENT_CALLS: Final = Whole(least=0, most=1_000_000)
MAX_CALL_SECONDS: Final = Whole(least=1, most=604_800)
DAILY_MINUTES: Final = Whole(least=0, most=10_000_000)
DAILY_SPEND: Final = Real(least=0, most=1_000_000_000)
"""In units of the account's currency."""
NEW_PER_HOUR: Final = Whole(least=0, most=100_000)
MOST_DESTINATIONS: Final = 1_000
"""Prefixes, or countries, in one list of limits."""
PORT: Final = Whole(least=1, most=65_535)
PRIORITY: Final = Whole(least=0, most=1_000_000)
ATTEMPT_SECONDS: Final = Real(least=0.5, most=32)
KEEPALIVE_SECONDS: Final = Real(least=5, most=3_600)
COOLDOWN_SECONDS: Final = Real(least=1, most=3_600)
COOLDOWN_AFTER: Final = Whole(least=1, most=100)
WAIT_SECONDS: Final = Real(least=1, most=180)
REGISTER_SECONDS: Final = Whole(least=30, most=86_400)
WEIGHT: Final = Whole(least=0, most=65_535)

LONGEST_WEB_ADDRESS: Final = 2_000
"""Characters."""

MOST_VERIFIED_NUMBERS: Final = 1_000
MOST_NUMBER_RANGES: Final = 100
"""Of one account, both asked for every call."""
