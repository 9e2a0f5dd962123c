"""Responses to a request (RFC 3261 section 8.2.6) and the standard reason phrases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from voice.sip.errors import SipParseError
from voice.sip.message import Request, Response

REASONS: Final[dict[int, str]] = {
    100: "Trying",
    180: "Ringing",
    181: "Call Is Being Forwarded",
    182: "Queued",
    183: "Session Progress",
    199: "Early Dialog Terminated",
    200: "OK",
    202: "Accepted",
    204: "No Notification",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    305: "Use Proxy",
    380: "Alternative Service",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    410: "Gone",
    412: "Conditional Request Failed",
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    417: "Unknown Resource-Priority",
    420: "Bad Extension",
    421: "Extension Required",
    422: "Session Interval Too Small",
    423: "Interval Too Brief",
    428: "Use Identity Header",
    429: "Provide Referrer Identity",
    430: "Flow Failed",
    433: "Anonymity Disallowed",
    436: "Bad Identity Info",
    437: "Unsupported Credential",
    438: "Invalid Identity Header",
    439: "First Hop Lacks Outbound Support",
    440: "Max-Breadth Exceeded",
    469: "Bad Info Package",
    470: "Consent Needed",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    484: "Address Incomplete",
    485: "Ambiguous",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",
    491: "Request Pending",
    493: "Undecipherable",
    494: "Security Agreement Required",
    500: "Server Internal Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    513: "Message Too Large",
    555: "Push Notification Service Not Supported",
    580: "Precondition Failure",
    600: "Busy Everywhere",
    603: "Decline",
    604: "Does Not Exist Anywhere",
    606: "Not Acceptable",
    607: "Unwanted",
    608: "Rejected",
}
"""The IANA registry of SIP response codes."""

_CLASSES: Final = {
    1: "Progress",
    2: "Success",
    3: "Redirection",
    4: "Request Failure",
    5: "Server Failure",
    6: "Global Failure",
}

# RFC 3261 section 8.2.6.2.
_COPIED: Final = ("via", "from", "to", "call-id", "cseq")

# Requests whose 18x and 2xx make a dialog along the recorded route (RFC 3261 section 12.1.1, RFC 6665, 3515).
_DIALOG_FORMING: Final = frozenset(("INVITE", "SUBSCRIBE", "REFER"))


def reason_phrase(status: int) -> str:
    """The registered phrase of a status, or the name of its class."""
    return REASONS.get(status) or _CLASSES[status // 100]


def make_response(
    request: Request,
    status: int,
    reason: str | None = None,
    *,
    to_tag: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> Response:
    """The response to a request, or to the `partial` of one that could not be parsed.

    `to_tag` is put into a To that has none; RFC 3261 section 8.2.6.2 wants one in every response but 100.
    Lines are copied as they came.  Raises ValueError for CR, LF or NUL in what is given.
    """
    theirs = request.headers
    ours = theirs.only(_COPIED)
    if to_tag is not None and "to" in ours and not _has_to_tag(request):
        ours.append_to_first("To", f";tag={to_tag}")
    if status == 100:
        ours.copy_from(theirs, "timestamp")
    elif status < 300 and request.method in _DIALOG_FORMING:
        ours.copy_from(theirs, "record-route")
    for name, value in headers:
        ours.add(name, value)
    return Response(status, reason_phrase(status) if reason is None else reason, ours, body)


def _has_to_tag(request: Request) -> bool:
    try:
        return request.to.tag is not None
    except SipParseError:
        return False
