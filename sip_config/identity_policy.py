"""Which numbers an account may be known by, and what becomes of a call that shows another."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


class OtherCallers(StrEnum):
    """What becomes of a caller id that the account may not show, where its call leaves."""

    PASS = "pass"  # noqa: S105 - a rule, no password
    """From shows it as it came; it is never asserted."""
    REPLACE = "replace"
    """What is asserted of the caller takes its place: a number that the account may show, else nobody."""
    ANONYMISE = "anonymise"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityPolicy:
    """What an account may say of who calls.  Its own numbers may always be shown."""

    country: str | None = None
    """ISO 3166 code of the country whose national formats its numbers may be written in; None: E.164 only."""
    caller_id: str | None = None
    """Asserted of a caller of whom nothing else may be believed."""
    verified: tuple[str, ...] = ()
    """Numbers elsewhere that the account has proven to hold."""
    ranges: tuple[str, ...] = ()
    """``first-last``: E.164 numbers of one length, both included."""
    others: OtherCallers = OtherCallers.PASS

    def allows(self, e164: str) -> bool:
        """Whether a normalised number, which is not the account's own, may be shown."""
        if e164 == self.caller_id or e164 in self.verified:
            return True
        return any(first <= e164 <= last and len(e164) == len(first) for first, last in _ends(self.ranges))


@lru_cache(maxsize=1_024)
def _ends(ranges: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    pairs = (text.split("-") for text in ranges)
    return tuple((first, last) for first, last in pairs)


E164_ONLY = IdentityPolicy()
