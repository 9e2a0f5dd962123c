"""The routes of a request inside a dialog: our own, and those that may follow."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from voice.edge.core.doors import Doors
from voice.edge.core.reach import port_of
from voice.edge.core.tokens import Tokens
from voice.edge.seal import SealError
from voice.sip.errors import SipParseError
from voice.sip.message import Request
from voice.sip.uri import parse_uri


class NotSealed(Exception):
    """The request is not on a route that the edge made for its dialog."""


def routes_hash(routes: Sequence[str]) -> bytes:
    """Identifies the routes that follow one of ours; empty when none do."""
    if not routes:
        return b""
    return blake2b("\n".join(routes).encode("utf-8", "surrogateescape"), digest_size=8).digest()


def routes_beyond(request: Request, tokens: Tokens, doors: Doors, now: float) -> list[str]:
    """The routes that follow our own ones.

    Raises NotSealed unless they are those that were there when the dialog began: a request may not
    choose by itself where the edge sends it.
    """
    if "route" not in request.headers:
        return []
    routes = [address.uri for address in request.routes]
    if len(routes) == 1 and _leads_here(routes[0], doors):
        # Nothing follows, so there is nothing to be vouched for.
        return []
    sealed = b""
    ours = 0
    for route in routes:
        if not _leads_here(route, doors):
            break
        ours += 1
        try:
            sealed = tokens.open_route(parse_uri(route).user or "", now)
        except SealError:
            sealed = b""
    if routes_hash(routes[ours:]) != sealed:
        raise NotSealed("the routes after the edge are not those of the dialog")
    return routes[ours:]


def _leads_here(route: str, doors: Doors) -> bool:
    try:
        uri = parse_uri(route)
    except SipParseError:
        return False
    return (uri.address.lower(), port_of(uri)) in doors.own_addresses
