"""Requests that the transaction of an INVITE sends by itself, to its own next hop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from voice.sip.headers import Headers
from voice.sip.message import Request, Response

INITIAL_MAX_FORWARDS: Final = "70"
"""RFC 3261 section 8.1.1.6."""


def make_ack(invite: Request, response: Response) -> Request:
    """The ACK for a final response of 300 to 699 to the INVITE as it was sent (RFC 3261 section 17.1.1.3)."""
    return _same_hop(invite, "ACK", response.headers)


def make_cancel(invite: Request, headers: Iterable[tuple[str, str]] = ()) -> Request:
    """The CANCEL of the INVITE as it was sent (RFC 3261 section 9.1); `headers` for a Reason (RFC 3326)."""
    cancel = _same_hop(invite, "CANCEL", invite.headers)
    for name, value in headers:
        cancel.headers.add(name, value)
    return cancel


def _same_hop(invite: Request, method: str, source_of_to: Headers) -> Request:
    """A request of the INVITE's transaction: its URI, its one topmost Via, its route and its CSeq number."""
    headers = Headers((("Via", invite.headers.values("via")[0]), ("Max-Forwards", INITIAL_MAX_FORWARDS)))
    headers.copy_from(invite.headers, "route")
    headers.copy_from(invite.headers, "from")
    headers.copy_from(source_of_to, "to")
    headers.copy_from(invite.headers, "call-id")
    headers.add("CSeq", f"{invite.cseq.number} {method}")
    return Request(method, invite.uri, headers)
