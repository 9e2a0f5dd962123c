"""One request on its way through the edge: what changes in it, and in its responses, on the way.

The two sides of a dialog never see each other's addresses: each gets a Contact that leads to the
edge and a Record-Route of the edge, both with a sealed token.  Names change where a gateway wants
them written differently; the CSeq number changes once a challenge was answered in between.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from voice.edge.core.doors import Door
from voice.edge.core.guise import Guise, dressed
from voice.edge.core.loops import loop_hash
from voice.edge.core.nameless_sdp import nameless
from voice.edge.core.peers import Peers
from voice.edge.core.routeset import routes_hash
from voice.edge.core.sdp_exchange import Exchange, exchange
from voice.edge.core.sdp_policy import Sides
from voice.edge.core.tokens import DialogToken, Tokens, fingerprint
from voice.sip.address import NameAddr
from voice.sip.flow import Flow
from voice.sip.message import Request, Response
from voice.sip.params import params_text
from voice.sip.via import MAGIC_COOKIE

DEFAULT_MAX_FORWARDS: Final = 70
LEG_HEADER: Final = "X-Trunkflow-Leg"
TARGET_HEADER: Final = "X-Trunkflow-Target"

_NO_LOOPS: Final = "0"
_TARGET_REFRESH: Final = frozenset(("INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"))
"""Methods whose Contact says where their sender is from now on (RFC 6141 section 1, RFC 6665)."""


class Crossing:
    """What is known of a request that is being relayed, whichever branch it takes.

    Everything that its responses need is read once; `request` itself is let go when it will not be
    forwarded any more.
    """

    __slots__ = (
        "contact",
        "cseq",
        "from_",
        "from_caller",
        "from_text",
        "ids",
        "initial",
        "loop_hash",
        "method",
        "nat",
        "record_routes",
        "request",
        "scheme",
        "sip_call_id",
        "source",
        "to",
        "to_text",
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
        ids: bytes,
        from_caller: bool,
        trunk: bool,
    ) -> None:
        headers = request.headers
        self.request: Request | None = request
        self.source = source
        self.up = up
        """The door by which the request came."""
        self.from_caller = from_caller
        self.trunk = trunk
        self.ids = ids
        """Of the call and its incoming leg, as tokens carry them."""
        self.method = request.method
        self.scheme = request.sip_uri.scheme
        """What the sender is shown of us: who calls by sips is promised TLS for the whole call."""
        self.from_ = request.from_
        self.to = request.to
        self.from_text = headers.get("from") or ""
        self.to_text = headers.get("to") or ""
        self.cseq = request.cseq.number
        self.sip_call_id = request.call_id
        self.vias = headers.lines("via")
        self.contact = _contact_uri(request) if "contact" in headers else None
        self.initial = self.method == "INVITE" and self.to.tag is None
        self.record_routes = [one.uri for one in request.record_routes] if "record-route" in headers else []
        self.loop_hash = loop_hash(request) if self.initial else _NO_LOOPS
        via = request.via
        self.nat = via.wants_rport and (via.address, via.sent_by[1]) != (source.host, source.port)
        """The sender asked to be answered where it sent from, and that is not where it says it is."""

    def let_go(self) -> None:
        """The request will not be forwarded any more: most of its memory is its own text."""
        self.request = None


class Passage:
    """A crossing by one branch: the request as it is sent, and how to bring its responses back."""

    __slots__ = (
        "_crossing",
        "_masked",
        "_peers",
        "_record_route",
        "_tokens",
        "_upstream",
        "cseq_delta",
        "down",
        "exchange",
        "guise",
        "ids",
        "shown",
        "sides",
    )

    def __init__(
        self,
        crossing: Crossing,
        tokens: Tokens,
        peers: Peers,
        down: Door,
        *,
        ids: bytes,
        cseq_delta: int,
        shown: tuple[str, str] | None,
        guise: Guise,
        sides: Sides,
    ) -> None:
        self._crossing = crossing
        self._tokens = tokens
        self._peers = peers
        self.down = down
        """The door by which the request leaves."""
        self.ids = ids
        self.cseq_delta = cseq_delta
        self.shown = shown
        """URIs in From and To as the next hop sees them; None: as they came."""
        self.guise = guise.behind(crossing.record_routes) if crossing.initial else guise
        self.sides = sides
        """What each side of the call says of SRTP."""
        self.exchange: Exchange | None = None
        """Of the request's description; None: nothing is to be seen to."""
        self._record_route: str | None = None
        self._masked: tuple[str, str | None, Flow, str] | None = None
        """Contact, tag and source of the last response, and what its Contact became."""
        self._upstream: tuple[list[str], str] | None = None
        """Record-Route of the last response, and what it became."""

    def forward(
        self, uri: str, routes: Sequence[str], now: float, credentials: Sequence[tuple[str, str]] = ()
    ) -> tuple[Request, str]:
        """The request for the next hop and the branch of its Via (RFC 3261 section 16.6, steps 1 to 8)."""
        crossing = self._crossing
        original = crossing.request
        assert original is not None, "the request has been let go"
        down = self.down
        branch = f"{MAGIC_COOKIE}{os.urandom(8).hex()}.{crossing.loop_hash}"
        rport = "" if down.inside else ";rport;alias" if down.transport == "TLS" else ";rport"
        first = [("via", f"SIP/2.0/{down.transport} {down.sent_by};branch={branch}{rport}")]
        hops = original.max_forwards
        changes, added = dressed(
            original.headers,
            self.guise,
            from_caller=crossing.from_caller,
            from_inside=crossing.up.inside,
            to_inside=down.inside,
            host=down.host,
        )
        first += added
        changes["route"] = None
        if self.guise.renames:
            changes["call-id"] = self._call_id_below
        if hops is None:
            first.append(("max-forwards", str(DEFAULT_MAX_FORWARDS)))
        else:
            changes["max-forwards"] = str(hops - 1)
        if not down.inside and (crossing.up.inside or self._hides_caller):
            changes["via"] = None
        if self.shown is not None:
            changes["from"] = _with_uri(crossing.from_, self.shown[0])
            changes["to"] = _with_uri(crossing.to, self.shown[1])
        if self.cseq_delta and crossing.from_caller:
            changes["cseq"] = f"{crossing.cseq + self.cseq_delta} {crossing.method}"
            if "rack" in original.headers:
                changes["rack"] = self._shifted_rack(original.headers.get("rack") or "")
        if crossing.contact is not None:
            token = self._token_for_next_hop(crossing.contact)
            scheme = "sips" if uri.startswith("sips:") else "sip"
            changes["contact"] = f"<{down.uri(self._tokens.dialog(token, now), scheme=scheme)}>"
            if crossing.initial:
                if self.guise.routes:
                    changes["record-route"] = None
                following = b"" if self.guise.routes else routes_hash(crossing.record_routes)
                ours = down.uri(self._tokens.route(following, now), ";lr", scheme=scheme)
                self._record_route = f"<{ours}>"
                first.append(("record-route", self._record_route))
        headers = original.headers.rewritten(first, changes)
        for route in routes:
            headers.add("route", f"<{route}>")
        for name, value in credentials:
            headers.add(name, value)
        self.exchange = exchange(original, self.sides, from_caller=crossing.from_caller)
        body = original.body if self.exchange is None else self.exchange.body
        if self.guise.nameless and crossing.from_caller:
            body = nameless(body)
        return Request(crossing.method, uri, headers, body), branch

    def backward(self, response: Response, source: Flow, now: float) -> Response:
        """The response for whoever sent the request (section 16.7, steps 3 and 8)."""
        crossing = self._crossing
        changes, added = dressed(
            response.headers,
            self.guise,
            from_caller=not crossing.from_caller,
            from_inside=self.down.inside,
            to_inside=crossing.up.inside,
            host=crossing.up.host,
        )
        changes["via"] = None
        if self.guise.renames:
            changes["call-id"] = crossing.sip_call_id
        if self.shown is not None:
            changes["from"] = crossing.from_text
            tag = None if crossing.to.tag is not None else response.to.tag
            changes["to"] = crossing.to_text if tag is None else f"{crossing.to_text};tag={tag}"
        if self.cseq_delta and crossing.from_caller:
            changes["cseq"] = f"{crossing.cseq} {crossing.method}"
        headers = response.headers
        if response.status < 300 and "contact" in headers:
            changes["contact"] = self._masked_contact(response, source, now)
        if self._record_route is not None and "record-route" in headers:
            changes["record-route"] = self._upstream_record_route(response, now)
        rewritten = headers.rewritten([*(("via", via) for via in crossing.vias), *added], changes)
        body = response.body if self.exchange is None else self.exchange.backward(response)
        if self.guise.nameless and not crossing.from_caller:
            body = nameless(body)
        return Response(response.status, response.reason, rewritten, body)

    @property
    def _call_id_below(self) -> str:
        """The Call-ID as the next hop knows it."""
        crossing, hidden = self._crossing, self.guise.call_id
        if not hidden:
            return crossing.sip_call_id
        return self._tokens.alias(crossing.sip_call_id) if crossing.from_caller else hidden

    @property
    def _hides_caller(self) -> bool:
        """Whether the request is that of a caller who leaves no traces."""
        return self.guise.masked and self._crossing.from_caller

    def _shifted_rack(self, text: str) -> str:
        """RAck names the INVITE by its CSeq number (RFC 3262 section 7.2)."""
        parts = text.split()
        if len(parts) != 3 or not (parts[1].isascii() and parts[1].isdigit()) or len(parts[1]) > 10:
            return text
        return f"{parts[0]} {int(parts[1]) + self.cseq_delta} {parts[2]}"

    def _token_for_next_hop(self, contact: str) -> DialogToken:
        crossing = self._crossing
        if crossing.from_caller:
            dialog = fingerprint(self._call_id_below, crossing.from_.tag)
        else:
            dialog = fingerprint(self._call_id_below, crossing.to.tag, crossing.from_.tag)
        flow, named_host = self._peers.way_to(contact, crossing.source, crossing.up, behind_nat=crossing.nat)
        changed = self.shown is not None
        return DialogToken(
            not crossing.from_caller,
            crossing.trunk,
            self.cseq_delta,
            self.ids,
            dialog,
            contact,
            flow,
            named_host,
            crossing.to.uri if changed else None,
            crossing.from_.uri if changed else None,
            self.guise,
            self.sides,
        )

    def _masked_contact(self, response: Response, source: Flow, now: float) -> str | None:
        crossing = self._crossing
        contact = _contact_uri(response) if crossing.method in _TARGET_REFRESH else None
        if contact is None:
            return None
        tag = response.to.tag
        if self._masked is not None and self._masked[:3] == (contact, tag, source):
            return self._masked[3]
        if crossing.from_caller:
            dialog = fingerprint(crossing.sip_call_id, crossing.from_.tag, tag)
        else:
            dialog = fingerprint(crossing.sip_call_id, crossing.to.tag)
        flow, named_host = self._peers.way_to(contact, source, self.down, behind_nat=False)
        token = DialogToken(
            crossing.from_caller,
            crossing.trunk,
            self.cseq_delta,
            self.ids,
            dialog,
            contact,
            flow,
            named_host,
            self.shown[0] if self.shown else None,
            self.shown[1] if self.shown else None,
            self.guise,
            self.sides,
        )
        masked = f"<{crossing.up.uri(self._tokens.dialog(token, now), scheme=crossing.scheme)}>"
        self._masked = contact, tag, source, masked
        return masked

    def _upstream_record_route(self, response: Response, now: float) -> str:
        """Our own entry as the upstream side can reach it, the others as they are (section 16.7 step 8)."""
        values = response.headers.values("record-route")
        if self._upstream is not None and self._upstream[0] == values:
            return self._upstream[1]
        if self._record_route not in values:
            # Whoever rewrote our entry broke the route for others; the masked Contact still leads here.
            return ", ".join(values)
        at = values.index(self._record_route)
        beyond = [address.uri for address in response.record_routes[:at]] if at else []
        token = self._tokens.route(routes_hash(beyond[::-1]), now)
        ours = f"<{self._crossing.up.uri(token, ';lr', scheme=self._crossing.scheme)}>"
        hidden = [f"<{route}>" for route in self.guise.routes]
        changed = ", ".join([*values[:at], ours, *values[at + 1 :], *hidden])
        self._upstream = values, changed
        return changed


def _contact_uri(message: Request | Response) -> str | None:
    contact = message.contact
    return None if contact is None or contact.uri == "*" else contact.uri


def _with_uri(old: NameAddr, uri: str) -> str:
    """Another URI, the same tag; all else goes with the URI that it described."""
    tag = old.tag
    return f"<{uri}>" if tag is None else f"<{uri}>{params_text({'tag': tag})}"
