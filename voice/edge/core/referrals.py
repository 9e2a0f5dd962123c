"""REFER of a caller to a gateway (RFC 3515): the gateway would call another number at the account's cost.

So its rules for destinations hold for that number too, whatever host stands behind it.
"""

from __future__ import annotations

from sip_config.numbers import NumberFault, normalise
from voice.edge.core.answers import Verdict
from voice.edge.core.kernel import Kernel
from voice.edge.core.tokens import DialogToken
from voice.records import RUNNING_CALL, Gate
from voice.sip.address import parse_name_addr
from voice.sip.errors import SipParseError
from voice.sip.message import Request
from voice.sip.uri import parse_uri


def refused_referral(kernel: Kernel, token: DialogToken, request: Request) -> Verdict | None:
    """None: it may pass, or is of a call of which this edge knows nothing."""
    call = kernel.limits.calls.get(token.call_id) if token.trunk and token.from_caller else None
    if call is None:
        return None
    number = _referred_to(request, kernel.directory().country_of(call.account_id))
    over = None if number is None else kernel.limits.denied(call, number)
    if over is None:
        return None
    return Verdict(
        status=over.status,
        gate=Gate.LIMITS,
        cause=over.cause,
        rule=f"{RUNNING_CALL}{over.rule}",
        remedy=over.remedy,
        account_id=call.account_id,
    )


def _referred_to(request: Request, country: str | None) -> str | None:
    """The number; None: there is none."""
    text = request.headers.get("Refer-To")
    if text is None:
        return None
    try:
        uri = parse_name_addr(text).uri
        user = uri[4:] if uri.lower().startswith("tel:") else parse_uri(uri).username
        return normalise(user or "", country)
    except (SipParseError, NumberFault):
        return None
