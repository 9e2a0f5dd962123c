"""How a gateway is used beyond where it is and which numbers it carries."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayOptions:
    """Options of one gateway; each has a default that suits a plain carrier."""

    weight: int = 1
    """Its share of the calls among gateways of equal priority."""
    trusted: bool = False
    """Whether it belongs to the trusted realm, so that it is told who calls (RFC 3325 section 2.3)."""


PLAIN_CARRIER = GatewayOptions()
