"""What access keys can be allowed: one word for each family of resources, ``:read`` after it for GET only."""

from __future__ import annotations

from typing import Final, NewType

from sip_config.faults import Unfit, meant, quoted

Scope = NewType("Scope", str)

SCOPES: Final = (
    "access-keys",
    "accounts",
    "acls",
    "balance",
    "bans",
    "call-flows",
    "calls",
    "configuration",
    "deliveries",
    "domains",
    "events",
    "gateways",
    "live",
    "media",
    "numbers",
    "pops",
    "rates",
    "recordings",
    "refusals",
    "signing-keys",
    "transcriptions",
    "verify",
    "voicemessages",
    "webhooks",
)
EVERYTHING: Final = "*"
_READ: Final = ":read"


def read_scope(text: str) -> Scope:
    """Raises Unfit for a scope that no resource asks for."""
    family = text.removesuffix(_READ)
    if family != EVERYTHING and family not in SCOPES:
        raise Unfit(f"{quoted(text)} is no scope.", meant(family, (EVERYTHING, *SCOPES), "scopes"))
    return Scope(text)
