"""The `identity` table of an account in the declarative file."""

from __future__ import annotations

from sip_config import words
from sip_config.identity_policy import IdentityPolicy
from sip_config.reading import Section


def read_identity(account: Section) -> IdentityPolicy:
    """The table ``identity`` of an account."""
    section = account.section("identity")
    policy = IdentityPolicy(country=section.fitting("country", words.country, None))
    section.reject_unknown()
    return policy
