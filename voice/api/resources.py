"""Every resource of the API, and the document that describes them."""

from __future__ import annotations

from voice.api import (
    balance,
    call_flows,
    calls,
    deliveries,
    legs,
    openapi,
    rates,
    recordings,
    transcriptions,
    verify,
    voice_messages,
    webhooks,
)
from voice.api.admin import resources as admin
from voice.api.operation import Operation
from voice.api.services import Services

_RESOURCES = (
    call_flows,
    calls,
    legs,
    recordings,
    transcriptions,
    webhooks,
    deliveries,
    voice_messages,
    verify,
    balance,
    rates,
    admin,
)


def operations(services: Services) -> tuple[Operation, ...]:
    """In the order in which the documentation shows them."""
    found = tuple(one for resource in _RESOURCES for one in resource.operations(services))
    return (*found, *openapi.operations(found))
