"""The `limits` tables in the declarative file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sip_config import bounds, words
from sip_config.call_limits import MILLIONTHS, CallLimits, NumberKind
from sip_config.destinations import country_word
from sip_config.faults import quoted
from sip_config.reading import Section, word_of

_ONE_OF_THE_TWO: Final = "Keep it in one of the two lists."


def read_limits(owner: Section) -> CallLimits:
    """The table ``limits`` of an account, a domain or a SIP account."""
    section = owner.section("limits")
    spend = section.optional_number("daily_spend", **bounds.DAILY_SPEND)
    limits = CallLimits(
        calls_per_second=section.optional_number("calls_per_second", **bounds.CALLS_PER_SECOND),
        concurrent_calls=section.optional_integer("concurrent_calls", **bounds.CONCURRENT_CALLS),
        max_call_seconds=section.optional_integer("max_call_seconds", **bounds.MAX_CALL_SECONDS),
        allowed_prefixes=_list(section, "allowed_prefixes", words.prefix),
        denied_prefixes=_list(section, "denied_prefixes", words.prefix),
        denied_kinds=section.each("denied_kinds", lambda word: word_of(NumberKind, word)),
        allowed_countries=_list(section, "allowed_countries", country_word),
        denied_countries=_list(section, "denied_countries", country_word),
        daily_minutes=section.optional_integer("daily_minutes", **bounds.DAILY_MINUTES),
        daily_spend=None if spend is None else round(spend * MILLIONTHS),
        new_destinations_per_hour=section.optional_integer(
            "new_destinations_per_hour", **bounds.NEW_PER_HOUR
        ),
        new_countries_per_hour=section.optional_integer("new_countries_per_hour", **bounds.NEW_PER_HOUR),
    )
    for key, one in limits.contradictions():
        section.fault(key, f"{quoted(one)} is allowed and denied.", _ONE_OF_THE_TWO)
    section.reject_unknown()
    return limits


def _list(section: Section, key: str, read: Callable[[str], str]) -> tuple[str, ...]:
    found = section.each(key, read)
    if len(found) > bounds.MOST_DESTINATIONS:
        section.fault(key, f"There are {len(found)} entries.", f"List at most {bounds.MOST_DESTINATIONS}.")
    return found
