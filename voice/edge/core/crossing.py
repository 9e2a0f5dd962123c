"""One request on its way through the edge: what changes in it, and in its responses, on the way.

The two sides of a dialog never see each other's addresses: each gets a Contact that leads to the
edge and a Record-Route of the edge, both with a sealed token.  Names change where a gateway wants
them written differently; the CSeq number changes once a challenge was answered in between.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from ipaddress import ip_address
from typing import Final

from voice.edge.core.doors import Door, Doors
from voice.edge.core.tokens import DialogToken, Tokens, fingerprint
from voice.sip.address import NameAddr
from voice.sip.errors import SipParseError
from voice.sip.flow import Flow
from voice.sip.message import Request, Response
from voice.sip.params import params_text
from voice.sip.uri import parse_uri
from voice.sip.via import MAGIC_COOKIE

DEFAULT_MAX_FORWARDS: Final = 70
OUR_HEADERS: Final = "x-trunkflow-"
LEG_HEADER: Final = "X-Trunkflow-Leg"
TARGET_HEADER: Final = "X-Trunkflow-Target"

# What a caller claims to be is checked by nobody yet, and a gateway's answer is not for the customer:
# none of it crosses (RFC 3325 section 5).
_CLAIMS: Final = ("P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID")


class Crossing:
    """What is known of a request that is being relayed, whichever branch it takes."""

    __slots__ = (
        "call_id",
        "from_caller",
        "legs",
        "loop_hash",
        "record_routes",
        "request",
        "source",
        "trunk",
        "up",
        "vias",
    )

    def __init__(
        self,
        request: Request,
        source: Flow,
        up: Door,
        *,
        call_id: str,
        from_caller: bool,
        trunk: bool,
        legs: tuple[str, ...] = (),
    ) -> None:
        self.request = request
        self.source = source
        self.up = up
        """The door by which the request came."""
        self.call_id = call_id
        self.from_caller = from_caller
        self.trunk = trunk
        self.legs = legs
        self.vias = request.headers.lines("via")
        self.record_routes = [address.uri for address in request.record_routes]
        self.loop_hash = loop_hash(request)


class Passage:
    """A crossing by one branch: the request as it is sent, and how to bring its responses back."""

    __slots__ = ("_crossing", "_record_route", "_tokens", "cseq_delta", "down", "legs", "shown")

    def __init__(
        self,
        crossing: Crossing,
        tokens: Tokens,
        down: Door,
        *,
        legs: tuple[str, ...],
        cseq_delta: int,
        shown: tuple[str, str] | None,
    ) -> None:
        self._crossing = crossing
        self._tokens = tokens
        self.down = down
        """The door by which the request leaves."""
        self.legs = legs
        self.cseq_delta = cseq_delta
        self.shown = shown
        """URIs in From and To as the next hop sees them; None: as they came."""
        self._record_route: str | None = None

    def forward(self, uri: str, routes: list[str], now: float) -> Request:
        """The request for the next hop (RFC 3261 section 16.6, steps 1 to 8)."""
        crossing = self._crossing
        original = crossing.request
        request = original.copy()
        request.uri = uri
        headers = request.headers
        branch = f"{MAGIC_COOKIE}{os.urandom(8).hex()}.{crossing.loop_hash}"
        down = self.down
        if crossing.up.inside and not down.inside:
            headers.set("Via", f"SIP/2.0/{down.transport} {down.sent_by};branch={branch};rport")
        elif down.inside:
            headers.prepend("Via", f"SIP/2.0/UDP {down.sent_by};branch={branch}")
        else:
            headers.prepend("Via", f"SIP/2.0/{down.transport} {down.sent_by};branch={branch};rport")
        hops = original.max_forwards
        headers.set("Max-Forwards", str(DEFAULT_MAX_FORWARDS if hops is None else hops - 1))
        headers.remove("Route")
        for route in routes:
            headers.add("Route", f"<{route}>")
        if self.shown is not None:
            _set_uri(request, "From", original.from_, self.shown[0])
            _set_uri(request, "To", original.to, self.shown[1])
        if self.cseq_delta and crossing.from_caller:
            self._shift_cseq(request)
        contact = _contact_uri(original)
        if contact is not None:
            token = self._token_for_next_hop(contact)
            headers.set("Contact", f"<{down.uri(self._tokens.dialog(token, now))}>")
            if original.method == "INVITE" and original.to.tag is None:
                following = _routes_hash(crossing.record_routes)
                self._record_route = f"<{down.uri(self._tokens.route(following, now), ';lr')}>"
                headers.prepend("Record-Route", self._record_route)
        for claim in _CLAIMS:
            headers.remove(claim)
        return request

    def backward(self, response: Response, source: Flow, now: float) -> Response:
        """The response for whoever sent the request; changes the one that came (section 16.7, steps 3 and 8)."""
        crossing = self._crossing
        original = crossing.request
        headers = response.headers
        headers.remove("Via")
        for via in reversed(crossing.vias):
            headers.prepend("Via", via)
        if self.shown is not None:
            _restore_names(original, response)
        if self.cseq_delta and crossing.from_caller:
            headers.set("CSeq", f"{original.cseq.number} {original.method}")
        if response.status < 300:
            self._mask_contact(response, source, now)
        if self._record_route is not None and "record-route" in headers:
            self._rewrite_record_route(response, now)
        for claim in _CLAIMS:
            headers.remove(claim)
        return response

    def _shift_cseq(self, request: Request) -> None:
        number, method = request.cseq
        delta = self.cseq_delta
        request.headers.set("CSeq", f"{number + delta} {method}")
        acknowledged = request.headers.get("RAck")
        if acknowledged is not None:
            parts = acknowledged.split()
            if len(parts) == 3 and parts[1].isascii() and parts[1].isdigit() and len(parts[1]) <= 10:
                request.headers.set("RAck", f"{parts[0]} {int(parts[1]) + delta} {parts[2]}")

    def _token_for_next_hop(self, contact: str) -> DialogToken:
        crossing = self._crossing
        request = crossing.request
        if crossing.from_caller:
            dialog = fingerprint(request.call_id, request.from_.tag)
        else:
            dialog = fingerprint(request.call_id, request.to.tag, request.from_.tag)
        changed = self.shown is not None
        return DialogToken(
            from_caller=not crossing.from_caller,
            trunk=crossing.trunk,
            cseq_delta=self.cseq_delta,
            call_id=crossing.call_id,
            legs=self.legs,
            dialog=dialog,
            target=contact,
            flow=flow_behind(contact, crossing.source, crossing.up, request),
            from_uri=request.to.uri if changed else None,
            to_uri=request.from_.uri if changed else None,
        )

    def _mask_contact(self, response: Response, source: Flow, now: float) -> None:
        contact = _contact_uri(response)
        if contact is None:
            response.headers.remove("Contact")
            return
        crossing = self._crossing
        request = crossing.request
        if crossing.from_caller:
            dialog = fingerprint(request.call_id, request.from_.tag, response.to.tag)
        else:
            dialog = fingerprint(request.call_id, request.to.tag)
        token = DialogToken(
            from_caller=crossing.from_caller,
            trunk=crossing.trunk,
            cseq_delta=self.cseq_delta,
            call_id=crossing.call_id,
            legs=self.legs,
            dialog=dialog,
            target=contact,
            flow=flow_behind(contact, source, self.down, None),
            from_uri=self.shown[0] if self.shown else None,
            to_uri=self.shown[1] if self.shown else None,
        )
        response.headers.set("Contact", f"<{crossing.up.uri(self._tokens.dialog(token, now))}>")

    def _rewrite_record_route(self, response: Response, now: float) -> None:
        """Puts the upstream side's form of our own entry in its place (section 16.7 step 8)."""
        values = response.headers.values("record-route")
        up = self._crossing.up
        try:
            at = values.index(self._record_route or "")
        except ValueError:
            # Whoever rewrote our entry broke the route for others; the masked Contact still leads here.
            return
        beyond = [address.uri for address in response.record_routes[:at]]
        values[at] = f"<{up.uri(self._tokens.route(_routes_hash(beyond[::-1]), now), ';lr')}>"
        response.headers.set("Record-Route", ", ".join(values))


def loop_hash(request: Request) -> str:
    """What a request that came round unchanged has in common with itself (RFC 5393 section 4.2.1)."""
    parts = (
        request.uri,
        request.call_id,
        request.from_.tag or "",
        request.to.tag or "",
        str(request.cseq.number),
        *request.headers.lines("route"),
    )
    return blake2b("\0".join(parts).encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()


def has_looped(request: Request, doors: Doors) -> bool:
    """Whether the request has been here before and nothing that decides its way has changed (section 16.3)."""
    lines = request.headers.lines("via")
    if len(lines) == 1 and "," not in lines[0]:
        return False
    ours = [via for via in request.vias[1:] if via.sent_by in doors.own_addresses]
    return bool(ours) and any((via.branch or "").endswith("." + loop_hash(request)) for via in ours)


def flow_behind(contact: str, source: Flow, door: Door, request: Request | None) -> Flow | None:
    """The flow by which to reach a peer instead of the address in its Contact; None: the Contact will do.

    Connections are used again (RFC 3261 section 18), call processes are reached inside, and a peer
    whose Contact or Via shows that it is behind NAT is reached where its message came from.
    """
    if door.inside or source.reliable:
        return source
    try:
        uri = parse_uri(contact)
    except SipParseError:
        return source
    address = uri.address
    if address == source.host and (uri.port or 5060) == source.port:
        return None
    try:
        literal = ip_address(address)
    except ValueError:
        # Kept beside a name, in case the name leads nowhere.
        return source
    if address != source.host and not literal.is_global:
        return source
    if request is not None:
        via = request.via
        if via.wants_rport and via.host == uri.host and via.sent_by != (source.host, source.port):
            return source
    return None


def following_routes_fit(routes: list[str], sealed: bytes) -> bool:
    """Whether the routes that follow ours are those that were there when ours was made."""
    return _routes_hash(routes) == sealed


def _routes_hash(routes: list[str]) -> bytes:
    if not routes:
        return b""
    return blake2b("\n".join(routes).encode("utf-8", "surrogateescape"), digest_size=8).digest()


def _contact_uri(message: Request | Response) -> str | None:
    if "contact" not in message.headers:
        return None
    contact = message.contact
    return None if contact is None or contact.uri == "*" else contact.uri


def _set_uri(request: Request, name: str, old: NameAddr, uri: str) -> None:
    """Another URI, the same tag; the display name goes with the URI that it described."""
    request.headers.set(name, f"<{uri}>{params_text(old.params)}")


def _restore_names(original: Request, response: Response) -> None:
    """From and To as the sender of the request wrote them, with the tag that the response brought."""
    tag = response.to.tag
    sent = original.to
    response.headers.set("From", original.headers.get("From") or "")
    to = original.headers.get("To") or ""
    if sent.tag is None and tag is not None:
        to = str(NameAddr(sent.display, sent.uri, {**sent.params, "tag": tag}))
    response.headers.set("To", to)
