"""The `limits` tables in the declarative file."""

from __future__ import annotations

from sip_config import bounds
from sip_config.call_limits import CallLimits
from sip_config.reading import Section


def read_limits(owner: Section) -> CallLimits:
    """The table ``limits`` of an account, a domain or a SIP account."""
    section = owner.section("limits")
    limits = CallLimits(
        calls_per_second=section.optional_number("calls_per_second", **bounds.CALLS_PER_SECOND),
        concurrent_calls=section.optional_integer("concurrent_calls", **bounds.CONCURRENT_CALLS),
        max_call_seconds=section.optional_integer("max_call_seconds", **bounds.MAX_CALL_SECONDS),
    )
    section.reject_unknown()
    return limits
