"""BYE to both sides of a plain trunk call, when it is the edge that ends it.

The edge keeps no dialogs, but it notes at the answer how a call that it carries itself could be ended, since
nobody else knows when its time is up.  What an edge did not see answered, it cannot end.
"""

from __future__ import annotations

from collections.abc import Sequence

from voice.edge.core.branch import Branch
from voice.edge.core.crossing import Crossing
from voice.edge.core.gateway_auth import Fields, answered_challenge
from voice.edge.core.kernel import Kernel
from voice.edge.core.orphans import new_branch, own_request, routes_to_callee, told_in
from voice.edge.core.relay import destination
from voice.edge.core.tokens import DialogToken
from voice.sip.flow import Flow
from voice.sip.mandatory import MAX_CSEQ
from voice.sip.message import Request, Response

_CSEQ_AHEAD = 1_000
"""Beyond the highest CSeq seen: other requests of the dialog may have gone by another way."""
_CHALLENGES = 8
"""More than are answered for one request; each counts one further."""


class _Side:
    """One of the two dialogs: what a request to its far end says."""

    __slots__ = ("call_id", "cseq", "from_", "routes", "to", "token", "told")

    def __init__(
        self,
        token: DialogToken,
        routes: Sequence[str],
        from_: str,
        to: str,
        call_id: str,
        cseq: int,
        told: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.token = token
        """Leads to the far end."""
        self.routes = routes
        self.from_ = from_
        self.to = to
        self.call_id = call_id
        self.cseq = cseq
        self.told = told
        """Who calls, if the far end is told."""


class Farewell:
    """How one answered call can be ended."""

    __slots__ = ("_callee", "_caller", "_kernel")

    def __init__(
        self, kernel: Kernel, crossing: Crossing, branch: Branch, answer: Response, source: Flow
    ) -> None:
        assert branch.client is not None
        assert branch.passage is not None
        self._kernel = kernel
        sent, passage = branch.client.request, branch.passage
        contact = answer.contact.uri if answer.contact is not None else sent.uri
        flow, named = kernel.peers.way_to(contact, source, passage.down, behind_nat=False)
        self._callee = _Side(
            _leading_to(contact, flow, named, from_caller=True),
            routes_to_callee(kernel, branch.client, answer),
            sent.headers.get("From") or "",
            answer.headers.get("To") or "",
            sent.call_id,
            sent.cseq.number,
            told_in(sent),
        )
        target = crossing.contact or crossing.from_.uri
        flow, named = kernel.peers.way_to(target, crossing.source, crossing.up, behind_nat=crossing.nat)
        self._caller = _Side(
            _leading_to(target, flow, named, from_caller=False),
            crossing.record_routes,
            f"{crossing.to_text};tag={answer.to.tag}",
            crossing.from_text,
            crossing.sip_call_id,
            0,
        )

    def saw(self, token: DialogToken, request: Request, source: Flow) -> None:
        """A request of the call passed: its sender counts from there, and may have moved."""
        kernel = self._kernel
        ahead, back = (self._callee, self._caller) if token.from_caller else (self._caller, self._callee)
        ahead.cseq = max(ahead.cseq, request.cseq.number + token.cseq_delta)
        contact = request.contact if request.method in ("INVITE", "UPDATE") else None
        if contact is not None and contact.uri != back.token.target:
            door = kernel.door_of(source)
            flow, named = kernel.peers.way_to(contact.uri, source, door, behind_nat=False)
            back.token = back.token._replace(target=contact.uri, flow=flow, named_host=named)

    def say(self, now: float) -> None:
        """Sends a BYE each way."""
        for side in (self._caller, self._callee):
            Bye(self._kernel, side, now)


class Bye:
    """A BYE of our own; answers the challenge of a gateway that wants to know who hangs up."""

    __slots__ = ("_answered", "_credentials", "_cseq", "_kernel", "_side")

    def __init__(self, kernel: Kernel, side: _Side, now: float) -> None:
        self._kernel = kernel
        self._side = side
        self._cseq = min(side.cseq + _CSEQ_AHEAD, MAX_CSEQ - _CHALLENGES)
        self._answered = 0
        self._credentials: Fields = ()
        destination(kernel, side.token, side.routes, self._found, _given_up, now)

    def transaction_over(self) -> None:
        """Nothing refers back to it."""

    def response(self, response: Response, source: Flow, now: float) -> None:
        if response.status not in (401, 407):
            return
        kernel, side = self._kernel, self._side
        gateway = kernel.gateway_sources.gateway_behind(kernel.directory(), source)
        sent = self._request(source, new_branch(), *self._credentials)
        credentials = gateway and answered_challenge(gateway, sent, response, self._answered)
        if credentials:
            self._answered += 1
            self._cseq += 1
            self._credentials = credentials
            self._send(side.token.flow if side.token.flow.host == source.host else source, now)

    def _found(self, flows: Sequence[Flow], now: float) -> None:
        self._send(flows[0], now)

    def _send(self, flow: Flow, now: float) -> None:
        branch = new_branch()
        request = self._request(flow, branch, *self._credentials)
        self._kernel.layer.begin_client(request, branch, flow, now).owner = self

    def _request(self, flow: Flow, branch: str, *credentials: tuple[str, str]) -> Request:
        side = self._side
        return own_request(
            self._kernel.door_of(flow),
            "BYE",
            side.token.target,
            branch,
            routes=side.routes,
            from_=side.from_,
            to=side.to,
            call_id=side.call_id,
            cseq=self._cseq,
            more=(*side.told, *credentials),
        )


def _leading_to(target: str, flow: Flow, named_host: bool, *, from_caller: bool) -> DialogToken:
    return DialogToken(from_caller, True, 0, b"", b"", target, flow, named_host, None, None)


def _given_up(_problem: str, _now: float) -> None:
    """Whoever cannot be reached will notice by itself that nobody talks any more."""
