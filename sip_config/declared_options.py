"""The options of a gateway in the declarative file, which stand in the gateway's own table."""

from __future__ import annotations

from sip_config import bounds
from sip_config.gateway_options import GatewayOptions
from sip_config.reading import Section


def read_options(gateway: Section) -> GatewayOptions:
    """Leaves it to the caller to refuse what nobody knows."""
    usual = GatewayOptions()
    return GatewayOptions(
        weight=gateway.integer("weight", usual.weight, **bounds.WEIGHT),
        trusted=gateway.boolean("trusted", usual.trusted),
    )
