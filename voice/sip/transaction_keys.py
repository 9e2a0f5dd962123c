"""By what a message finds its transaction (RFC 3261 sections 17.1.3 and 17.2.3)."""

from __future__ import annotations

from voice.sip.message import Request, Response
from voice.sip.via import MAGIC_COOKIE

Key = tuple[str | int | None, ...]


def server_key(request: Request, method: str | None = None) -> Key:
    """The key of the server transaction that a request belongs to; `method` overrides the request's own.

    An ACK belongs to its INVITE.  Without the magic cookie of RFC 3261 the key is made of what
    RFC 2543 compares; the tag in To counts for requests inside a dialog other than ACK, because the ACK
    carries the tag that the response brought.
    """
    method = method or request.method
    if method == "ACK":
        method = "INVITE"
    via = request.via
    branch = via.branch
    if branch is not None and branch.startswith(MAGIC_COOKIE):
        return branch, via.host, via.port, method
    to_tag = None if method == "INVITE" else request.to.tag
    identity = (request.call_id, request.cseq.number, request.from_.tag, to_tag)
    return branch, via.host, via.port, method, request.uri, *identity


def response_key(response: Response) -> Key:
    """The key of the client transaction that a response belongs to: our branch, and the request's method."""
    return response.via.branch, response.cseq.method
