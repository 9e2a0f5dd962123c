"""The `identity` table of an account in the declarative file."""

from __future__ import annotations

from collections.abc import Callable

from sip_config import bounds, words
from sip_config.identity_policy import E164_ONLY, IdentityPolicy
from sip_config.reading import Section


def read_identity(account: Section) -> IdentityPolicy:
    """The table ``identity`` of an account."""
    section = account.section("identity")
    policy = IdentityPolicy(
        country=section.fitting("country", words.country, None),
        caller_id=section.fitting("caller_id", words.own_number, None),
        verified=_listed(section, "verified", words.own_number, bounds.MOST_VERIFIED_NUMBERS),
        ranges=_listed(section, "ranges", words.number_range, bounds.MOST_NUMBER_RANGES),
        others=section.choice("others", E164_ONLY.others),
    )
    section.reject_unknown()
    return policy


def _listed(section: Section, key: str, read: Callable[[str], str], most: int) -> tuple[str, ...]:
    found = section.each(key, read)
    if len(found) > most:
        section.fault(key, f"There are {len(found)} here.", f"Give at most {most}; a range holds many.")
    return tuple(sorted(found))
