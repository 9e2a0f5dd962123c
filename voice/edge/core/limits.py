"""How many calls an account may begin per second and have at a time, and which calls there are.

A call takes one place of its account when it is let in and gives it back exactly once, whoever says
first that it has ended: leaving the table is what gives the place back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sip_config.model import Account

MAX_IDLE_BUCKETS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OverLimit:
    """The limit that stands in the way."""

    cause: str
    rule: str
    remedy: str
    retry_after: int | None
    """Seconds; None when nobody can know."""


class LiveCall:
    """A call that holds a place.  `wanted` and `queued` are for `Deadlines`: its longest duration."""

    __slots__ = ("account_id", "call_id", "queued", "since", "trunk", "wanted")

    def __init__(self, call_id: str, account_id: str, *, trunk: bool, since: float) -> None:
        self.call_id = call_id
        self.account_id = account_id
        self.trunk = trunk
        self.since = since
        self.wanted: float | None = None
        self.queued: float | None = None


class Limits:
    """Rates and places of all accounts."""

    def __init__(self) -> None:
        self._calls: dict[str, LiveCall] = {}
        self._places: dict[str, int] = {}
        self._buckets: dict[str, tuple[float, float]] = {}
        """Account -> (tokens, when)."""

    @property
    def calls(self) -> dict[str, LiveCall]:
        """Live calls by id, to look at."""
        return self._calls

    def taken(self, account_id: str) -> int:
        """Calls that the account has now."""
        return self._places.get(account_id, 0)

    def admit(self, account: Account, now: float) -> OverLimit | None:
        """Counts one call attempt; None: it may go on to `take` a place."""
        if self.taken(account.id) >= account.concurrent_calls:
            return OverLimit(
                cause="account-concurrent-calls",
                rule=f"account {account.name}: {account.concurrent_calls} calls at a time",
                remedy=f"Account {account.name} has as many calls as it may ({account.concurrent_calls}): "
                "wait until one ends, or raise its concurrent calls.",
                retry_after=None,
            )
        rate = account.calls_per_second
        # A second's worth may come at once; less than one call a second still allows one.
        most = max(1.0, rate)
        tokens, when = self._buckets.get(account.id, (most, now))
        tokens = min(most, tokens + (now - when) * rate)
        if tokens < 1.0:
            self._buckets[account.id] = (tokens, now)
            return OverLimit(
                cause="account-calls-per-second",
                rule=f"account {account.name}: {rate:g} calls per second",
                remedy=f"Account {account.name} began more than {rate:g} calls per second: "
                "let the PBX place them more slowly, or raise its calls per second.",
                retry_after=max(1, round((1.0 - tokens) / rate)) if rate > 0 else None,
            )
        if len(self._buckets) >= MAX_IDLE_BUCKETS:
            self._buckets.clear()
        self._buckets[account.id] = (tokens - 1.0, now)
        return None

    def take(self, call: LiveCall) -> None:
        """Gives the call a place."""
        self._calls[call.call_id] = call
        self._places[call.account_id] = self._places.get(call.account_id, 0) + 1

    def release(self, call_id: str) -> LiveCall | None:
        """Gives the place of a call back; None: it was given back before, or began before a restart."""
        call = self._calls.pop(call_id, None)
        if call is None:
            return None
        left = self._places[call.account_id] - 1
        if left:
            self._places[call.account_id] = left
        else:
            del self._places[call.account_id]
        return call
