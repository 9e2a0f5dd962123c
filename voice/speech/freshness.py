"""How long a sound from a customer's server is good without asking again (RFC 9111, what of it we need)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

UNSAID_SECONDS = 60.0
"""Of an answer without Cache-Control: a new recording is heard a minute later, and no call asks oftener."""
LONGEST_SECONDS = 86_400.0
"""However long the server allows: who changes a prompt wants to hear it the next day at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    seconds: float
    """From now; 0: ask each time."""
    stale_if_error: bool
    """The old sound may be played when the server cannot be reached."""


def freshness(headers: Mapping[str, str]) -> Freshness:
    """What the headers of an answer allow.  What they say wrong counts as unsaid."""
    directives = _directives(headers.get("Cache-Control", "")[:1000])
    strict = bool({"must-revalidate", "no-cache", "no-store", "proxy-revalidate"} & directives.keys())
    if {"no-cache", "no-store"} & directives.keys():
        return Freshness(seconds=0.0, stale_if_error=False)
    age = _seconds(headers.get("Age", "")) or 0.0
    allowed = _seconds(directives.get("max-age", ""))
    seconds = UNSAID_SECONDS if allowed is None else max(0.0, allowed - age)
    return Freshness(seconds=min(LONGEST_SECONDS, seconds), stale_if_error=not strict)


def _directives(header: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in header.split(","):
        name, _, value = part.partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found


def _seconds(text: str) -> float | None:
    text = text.strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 12 else None
