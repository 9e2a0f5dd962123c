"""Headers that are between the edge and one other: they go no further, and nobody else may write them."""

from __future__ import annotations

from voice.edge.core.relay_token import HEADER
from voice.sip.digest import parse_credentials
from voice.sip.errors import SipParseError
from voice.sip.message import Request, Response
from voice.sip.params import unquote

_OUR_PREFIX = "x-trunkflow-"
_RELAY_TOKEN = HEADER.lower()


def drop_our_headers(message: Request | Response) -> None:
    """Drops what nobody but the edge may say to a call process.

    The token of a relayed call is taken out where it is read (`PopRelay.taken_over`).
    """
    first = isinstance(message, Request) and message.method == "INVITE" and message.to.tag is None
    for name in {name for name, _ in message.headers}:
        if first and name.lower() == _RELAY_TOKEN:
            continue
        if name.lower().startswith(_OUR_PREFIX):
            message.headers.remove(name)


def consume_credentials(request: Request, realm: str) -> None:
    """Takes out what was said to us alone: nobody beyond may try its luck on it (RFC 3261 section 22.3)."""
    if "proxy-authorization" not in request.headers:
        return
    lines = request.headers.lines("proxy-authorization")
    request.headers.remove("proxy-authorization")
    if len(lines) == 1 and f'realm="{realm}"' in lines[0]:
        return  # The usual case.
    for line in lines:
        try:
            given = parse_credentials(line)
        except SipParseError:
            continue
        if given is not None and unquote(given.realm).lower() != realm:
            request.headers.add("proxy-authorization", line)
