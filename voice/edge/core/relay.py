"""Requests inside a dialog: relayed to where their sealed token says, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from voice.edge.core.crossing import Crossing, Passage
from voice.edge.core.doors import INSIDE
from voice.edge.core.gateway_auth import answered_challenge
from voice.edge.core.kernel import Kernel
from voice.edge.core.routeset import NotSealed
from voice.edge.core.tokens import DialogToken, fingerprint
from voice.sip.errors import SipParseError
from voice.sip.flow import Flow
from voice.sip.message import Request, Response
from voice.sip.respond import make_response
from voice.sip.transactions import ClientTransaction, ServerTransaction
from voice.sip.uri import parse_uri


def check_dialog(token: DialogToken, request: Request) -> None:
    """Raises NotSealed unless the request is in the dialog that the token was made for."""
    if token.from_caller:
        dialog = fingerprint(request.call_id, request.from_.tag, request.to.tag)
    else:
        dialog = fingerprint(request.call_id, request.to.tag)
    if token.dialog != dialog:
        raise NotSealed("the sealed route belongs to another dialog")


def destination(
    kernel: Kernel,
    token: DialogToken,
    routes: Sequence[str],
    found: Callable[[Sequence[Flow], float], None],
    failed: Callable[[str, float], None],
    now: float,
) -> None:
    """Finds where the token leads."""
    flow = token.flow
    if flow.local >= len(kernel.doors.all):
        failed("the edge no longer has the socket that the call came by", now)
        return
    if not flow.can_connect and not kernel.connected(flow):
        failed("the connection of the WebSocket client is gone", now)
        return
    if flow.name:
        # A TLS peer that we connected to and verified: by the same name again, whatever its Contact says.
        found((flow if kernel.connected(flow) else flow._replace(connection=0),), now)
        return
    direct = not routes and not token.named_host
    if flow.local == INSIDE or (kernel.connected(flow) if flow.reliable and flow.connection else direct):
        found((flow,), now)
        return
    try:
        uri = parse_uri(routes[0] if routes else token.target)
    except SipParseError as fault:
        failed(str(fault), now)
        return

    def by_flow(_problem: str, later: float) -> None:
        found((flow,), later)

    # An address that the peer itself sent from is its own, whatever network it is in; any other may not lead
    # into somebody's inside.
    kernel.locate(uri, trusted=uri.address == flow.host, found=found, failed=by_flow, now=now)


class Relay:
    """A request other than INVITE and ACK, until its final response."""

    __slots__ = (
        "_challenged",
        "_client",
        "_crossing",
        "_datagram",
        "_ended",
        "_kernel",
        "_passage",
        "_routes",
        "_server",
        "_token",
    )

    def __init__(
        self,
        kernel: Kernel,
        server: ServerTransaction,
        crossing: Crossing,
        token: DialogToken,
        routes: list[str],
        ended: Callable[[float], None] | None,
    ) -> None:
        self._kernel = kernel
        self._server = server
        self._crossing = crossing
        self._token = token
        self._routes = routes
        self._ended = ended
        """Called once a final response shows that the dialog is over; for BYE."""
        self._passage: Passage | None = None
        self._client: ClientTransaction | None = None
        self._datagram: Flow | None = None
        """Where the request goes if the peer takes no TCP, to which it was moved for its length."""
        self._challenged = 0
        server.owner = self

    def transaction_over(self) -> None:
        """Nothing refers back to it: it goes with its transactions."""

    def begin(self, now: float) -> None:
        destination(self._kernel, self._token, self._routes, self._found, self._unreachable, now)

    def response(self, response: Response, source: Flow, now: float) -> None:
        passage, client = self._passage, self._client
        assert passage is not None
        assert client is not None
        if response.status == 100:
            return
        if response.status in (401, 407) and not self._server.answered:
            gateway = self._kernel.gateway_sources.gateway_behind(self._kernel.directory(), client.flow)
            credentials = gateway and answered_challenge(gateway, client.request, response, self._challenged)
            if credentials:
                self._challenged += 1
                self._send(client.flow, passage.cseq_delta + 1, now, *credentials)
                return
        if not self._server.over and not self._server.answered:
            self._server.respond(passage.backward(response, source, now), now)
        if response.status >= 200:
            self._server.owner = client.owner = None
            client.let_go()
        if response.status >= 200 and response.status not in (401, 407):
            self._end(now)

    def timed_out(self, now: float) -> None:
        """No 408 for a request other than INVITE: its sender has timed out too (RFC 4320 section 4.2)."""
        if not self._server.over:
            self._server.forget()
        self._end(now)

    def transport_failed(self, now: float) -> None:
        datagram, self._datagram = self._datagram, None
        if datagram is not None and not self._server.over and not self._server.answered:
            self._send(datagram, self._token.cseq_delta, now)
            return
        if self._token.flow.local == INSIDE:
            self._fail(481, "The call is over, and so is its process", now)
        else:
            self._unreachable("the next hop cannot be reached", now)

    def unreadable(self, client: ClientTransaction, response: Response, problem: str, now: float) -> None:
        """What the next hop answered cannot be passed on, and nothing else will come."""
        if response.status >= 200 and client is self._client:
            self._unreachable(problem, now)

    def _found(self, flows: Sequence[Flow], now: float) -> None:
        self._send(flows[0], self._token.cseq_delta, now)

    def _send(self, flow: Flow, cseq_delta: int, now: float, *credentials: tuple[str, str]) -> None:
        kernel = self._kernel
        passage = passage_for(kernel, self._crossing, self._token, flow, cseq_delta)
        request, branch = passage.forward(self._token.target, self._routes, now, credentials)
        data = request.to_bytes()
        carrier = kernel.carrier(len(data), flow, now)
        if carrier != flow:
            self._datagram = flow
            self._send(carrier, cseq_delta, now, *credentials)
            return
        self._passage = passage
        self._client = kernel.layer.begin_client(request, branch, flow, now, data)
        self._client.owner = self

    def _unreachable(self, problem: str, now: float) -> None:
        self._fail(500, problem, now)

    def _fail(self, status: int, reason: str, now: float) -> None:
        if not self._server.over and not self._server.answered:
            request = self._crossing.request
            assert request is not None
            self._server.respond(make_response(request, status, reason), now)
        self._end(now)

    def _end(self, now: float) -> None:
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended(now)


def relay_ack(kernel: Kernel, crossing: Crossing, token: DialogToken, routes: list[str], now: float) -> None:
    """The ACK of a 2xx: no transaction, no answer (RFC 3261 section 16.11)."""
    if crossing.request is not None and crossing.request.max_forwards == 0:
        return  # It has passed as many proxies as it may, and nobody can be told.

    def found(flows: Sequence[Flow], later: float) -> None:
        passage = passage_for(kernel, crossing, token, flows[0], token.cseq_delta)
        request, _ = passage.forward(token.target, routes, later)
        kernel.send(request, flows[0])

    def failed(_problem: str, _later: float) -> None:
        pass  # Nobody is waiting: whoever answered will send its 2xx again, and give up in the end.

    destination(kernel, token, routes, found, failed, now)


def passage_for(
    kernel: Kernel, crossing: Crossing, token: DialogToken, flow: Flow, cseq_delta: int
) -> Passage:
    """The passage of a request that a token sends on its way."""
    shown = None if token.from_uri is None or token.to_uri is None else (token.from_uri, token.to_uri)
    return Passage(
        crossing,
        kernel.tokens,
        kernel.peers,
        kernel.door_of(flow),
        ids=token.ids,
        cseq_delta=cseq_delta,
        shown=shown,
        guise=token.guise,
        sides=token.sides,
    )
