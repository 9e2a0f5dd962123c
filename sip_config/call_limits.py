"""How much an account, a domain or a SIP account may call, beyond what its account has as a whole."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLimits:
    """Limits of one account, domain or SIP account; a call has to fit all that concern it."""

    calls_per_second: float | None = None
    """None: only the account's own limit holds."""
    concurrent_calls: int | None = None
    max_call_seconds: int | None = None


UNLIMITED = CallLimits()
