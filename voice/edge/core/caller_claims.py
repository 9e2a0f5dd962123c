"""How a gateway is told who calls, beside From."""

from __future__ import annotations

from sip_config.gateway_options import CallerIdFormat
from sip_config.model import Gateway


def claims_for(gateway: Gateway, shown: str) -> tuple[tuple[str, str], ...]:
    """The header fields for a caller who is shown by this URI."""
    match gateway.options.caller_id_format:
        case CallerIdFormat.PAI:
            return (("P-Asserted-Identity", f"<{shown}>"),)
        case CallerIdFormat.RPID:
            return (("Remote-Party-ID", f"<{shown}>;party=calling;screen=yes;privacy=off"),)
        case _:
            return ()
