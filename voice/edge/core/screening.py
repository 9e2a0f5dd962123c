"""What the proxy itself refuses, whoever sent it: no configuration is asked (RFC 3261 section 16.3)."""

from __future__ import annotations

from typing import Final

from voice.edge.core.answers import ALLOW, Verdict
from voice.edge.core.doors import Doors
from voice.edge.core.loops import has_looped
from voice.edge.core.pops import ELSEWHERE
from voice.records import Gate
from voice.sip.errors import SipParseError
from voice.sip.message import Request

_PARSE_CAUSES: Final = {414: "uri-too-long", 416: "uri-scheme", 505: "sip-version", 513: "too-large"}
_PROVIDED: Final = frozenset(("privacy",))
"""Option tags that a proxy may be required to know: the edge honours Privacy (RFC 3323 section 4.2)."""
_MAX_OPTIONS: Final = 16
"""Option tags of a Proxy-Require that are repeated in Unsupported."""

DRAINING: Final = Verdict(
    status=503,
    gate=Gate.REQUEST,
    cause="draining",
    rule="draining",
    remedy="The node is being stopped: call again in a moment, or by another POP.",
    headers=(("Retry-After", ELSEWHERE),),
)
NO_SEALED_ROUTE: Final = Verdict(
    status=481,
    gate=Gate.REQUEST,
    cause="no-sealed-route",
    rule="no sealed route",
    remedy="The request belongs to no call of this edge: send it to the Contact and along the Record-Route "
    "that the call was answered with.",
)
CANCEL_WITHOUT_CALL: Final = Verdict(
    status=481,
    gate=Gate.REQUEST,
    cause="cancel-without-call",
    rule="no INVITE to cancel",
    remedy="The CANCEL is for no call that rings: it was answered or refused meanwhile, or the CANCEL has "
    "another branch in its Via than the INVITE.",
)
SIPS_IN_THE_CLEAR: Final = Verdict(
    status=403,
    gate=Gate.REQUEST,
    cause="sips-without-tls",
    rule="sips without TLS",
    remedy="A sips URI promises TLS on the whole way, and this request came without: "
    "let the PBX use TLS, or call a sip URI.",
    reason="SIPS Requires TLS",
)
_TOO_MANY_HOPS: Final = Verdict(
    status=483,
    gate=Gate.REQUEST,
    cause="max-forwards",
    rule="Max-Forwards 0",
    remedy="The request has passed as many proxies as it may: look for a loop on its way here.",
)
_LOOP: Final = Verdict(
    status=482,
    gate=Gate.REQUEST,
    cause="loop",
    rule="loop",
    remedy="The request came back unchanged to an edge it had left: a gateway or PBX sends it here again.",
)


def screened(request: Request, doors: Doors) -> Verdict | None:
    """Why a request must not travel on; None: it may."""
    headers = request.headers
    if request.method != "OPTIONS" and "max-forwards" in headers and request.max_forwards == 0:
        return _TOO_MANY_HOPS
    if has_looped(request, doors):
        return _LOOP
    if "proxy-require" in headers:
        demanded = [option for option in headers.values("proxy-require") if option.lower() not in _PROVIDED]
    else:
        demanded = []
    if demanded:
        return Verdict(
            status=420,
            gate=Gate.REQUEST,
            cause="proxy-require",
            rule="Proxy-Require",
            remedy=f"The edge does not have what Proxy-Require demands ({', '.join(demanded)[:100]}): "
            "turn it off in the PBX.",
            headers=tuple(("Unsupported", option) for option in demanded[:_MAX_OPTIONS]),
        )
    return None


def method_not_allowed(method: str) -> Verdict:
    """A request out of a call that is no INVITE and no OPTIONS."""
    return Verdict(
        status=405,
        gate=Gate.REQUEST,
        cause="method-not-allowed",
        rule=f"method {method[:32]}",
        remedy=f"The edge takes calls, so it refuses {method[:32]}: turn it off in the PBX; "
        "calls need no registration here.",
        headers=(("Allow", ALLOW),),
    )


def not_sealed(why: str) -> Verdict:
    """A request in a dialog that has a token of ours, and still is not on its route."""
    return Verdict(
        status=481,
        gate=Gate.REQUEST,
        cause="dialog-mismatch",
        rule=why,
        remedy="A request of a call has to keep the call's Call-ID, tags and routes as they were.",
    )


def unreadable(error: SipParseError) -> Verdict:
    """A message that does not follow its grammar."""
    said = str(error).encode("ascii", "replace").decode()
    return Verdict(
        status=error.status,
        gate=Gate.PARSE,
        cause=_PARSE_CAUSES.get(error.status, "malformed"),
        rule=error.header or "message",
        remedy=f"The request does not follow RFC 3261: {said[:200]}. Correct what sends it.",
        reason=said[:80] if error.status == 400 else None,
    )
