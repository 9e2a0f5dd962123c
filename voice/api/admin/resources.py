"""Every resource of the administration."""

from __future__ import annotations

from voice.api.admin import (
    access_keys,
    accounts,
    acls,
    bans,
    configuration,
    domains,
    gateways,
    history,
    live,
    media,
    numbers,
    pops,
    signing_keys,
)
from voice.api.admin.editing import Editor
from voice.api.operation import Operation
from voice.api.services import Services


def operations(services: Services) -> tuple[Operation, ...]:
    """In the order in which the documentation shows them."""
    editor = Editor(services)
    return (
        *accounts.operations(editor),
        *access_keys.operations(services),
        *signing_keys.operations(services),
        *acls.operations(editor),
        *domains.operations(editor),
        *numbers.operations(editor),
        *gateways.operations(services, editor),
        *pops.operations(editor, services.settings, services.live),
        *media.operations(editor),
        *configuration.operations(services, editor),
        *history.operations(services),
        *bans.operations(services),
        *live.operations(services, editor),
    )
