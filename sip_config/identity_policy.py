"""Which numbers an account's calls may show as the caller's, and what becomes of others."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityPolicy:
    """What an account may say of who calls."""

    country: str | None = None
    """ISO 3166 code of the country whose national formats its numbers may be written in; None: E.164 only."""


E164_ONLY = IdentityPolicy()
