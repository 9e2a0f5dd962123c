"""Reads out of the stack's messages what somebody else needs to end a dialog."""

from __future__ import annotations

from voice.media.seam import DialogFacts
from voice.sip.message import Request, parse_message

OUR_HEADERS = "x-trunkflow-"


def facts_as_callee(invite: str, ack: str) -> DialogFacts:
    """From the INVITE that came in and the ACK that confirmed it (RFC 3261 section 12.1.1)."""
    request, acknowledged = _request(invite), _request(ack)
    return DialogFacts(
        call_id=request.call_id,
        local=acknowledged.headers.get("To") or "",
        remote=request.headers.get("From") or "",
        target=request.contacts[0].uri,
        routes=tuple(request.headers.values("Record-Route")),
    )


def facts_as_caller(ack: str) -> DialogFacts:
    """From the ACK that we sent: it already is a request within the dialog."""
    request = _request(ack)
    return DialogFacts(
        call_id=request.call_id,
        local=request.headers.get("From") or "",
        remote=request.headers.get("To") or "",
        target=request.uri,
        routes=tuple(request.headers.values("Route")),
    )


def our_headers(message: str) -> dict[str, str]:
    """The ``X-Trunkflow-`` headers that the edge added, by lower-case name."""
    headers = parse_message(message.encode("utf-8", "surrogateescape")).headers
    return {name.lower(): value for name, value in headers if name.lower().startswith(OUR_HEADERS)}


def request_user(message: str) -> str:
    """The user part of a request's Request-URI, as written."""
    uri = message.split(" ", 2)[1]
    return uri.partition(":")[2].partition("@")[0]


def _request(message: str) -> Request:
    parsed = parse_message(message.encode("utf-8", "surrogateescape"))
    if not isinstance(parsed, Request):
        raise TypeError("the stack handed over a response where a request was due")
    return parsed
