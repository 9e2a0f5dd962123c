"""Whether an account may call a number at all, for requests that would only fail later."""

from __future__ import annotations

from sip_config.call_limits import CallLimits
from sip_config.destinations import denied


def out_of_reach(limits: CallLimits, number: str) -> str | None:
    """Why the account's limits let nobody call this; None: they do.  SIP URIs are judged where they lead."""
    found = denied(limits, number) if number.startswith("+") else None
    if found is None:
        return None
    return f"The account may not call {found.what} ({found.rule}): the operator can {found.remedy}."
