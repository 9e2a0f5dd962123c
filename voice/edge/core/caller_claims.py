"""How a gateway is told who calls, beside From and what the trusted realm is told anyway."""

from __future__ import annotations

from sip_config.gateway_options import CallerIdFormat
from sip_config.model import Gateway
from voice.edge.core.identity import Caller


def claims_for(
    gateway: Gateway, caller: Caller, shown: str, asserted: str | None
) -> tuple[tuple[str, str], ...]:
    """The header fields of an INVITE for a caller whom the gateway is shown by one URI, and who is another.

    A gateway that is not trusted is told nothing of a caller
    who is withheld; one that is has P-Asserted-Identity from the call's guise, in every message.
    """
    trusted = gateway.options.trusted
    if caller.shown is None and not trusted:
        return ()
    match gateway.options.caller_id_format:
        case CallerIdFormat.PAI if not trusted and not caller.privacy.public:
            return (("P-Asserted-Identity", f"<{shown}>"),)
        case CallerIdFormat.RPID:
            if caller.shown is None and asserted is None:
                return ()
            uri = asserted if trusted and asserted is not None else shown
            screened = "no" if asserted is None else "yes"
            privacy = "full" if caller.shown is None else "off"
            return (("Remote-Party-ID", f"<{uri}>;party=calling;screen={screened};privacy={privacy}"),)
        case _:
            return ()
