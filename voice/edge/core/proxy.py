"""The proxy: takes each message that comes to one of the edge's sockets to whoever deals with it.

Sans-IO: `receive` and `handle_timer` leave what is to be sent in `outbox` and what the core cannot do
itself in `wishes`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress

from sip_config.directory import Directory
from voice.edge.core.answers import ALLOW, Answers, reply_flow
from voice.edge.core.best import Final
from voice.edge.core.branch import Branch
from voice.edge.core.call_facts import CallFacts, Kind
from voice.edge.core.calls import Calls
from voice.edge.core.carriers import Carriers
from voice.edge.core.crossing import Crossing
from voice.edge.core.dials import Dials
from voice.edge.core.doors import INSIDE, Doors
from voice.edge.core.errand import Errand
from voice.edge.core.farewell import Bye
from voice.edge.core.gates import Gates, LetIn
from voice.edge.core.invite import Invite
from voice.edge.core.kernel import Kernel
from voice.edge.core.ledger import Ledger
from voice.edge.core.liveness import Liveness, Probe
from voice.edge.core.media_gate import change_refused
from voice.edge.core.nat_keepalives import kept_alive
from voice.edge.core.pop_relay import PopRelay, not_taken_over
from voice.edge.core.pops import HERE, Choice
from voice.edge.core.private_headers import consume_credentials, drop_our_headers
from voice.edge.core.readable import check_readable, unreadable_answer
from voice.edge.core.referrals import refused_referral
from voice.edge.core.relay import Relay, check_dialog, relay_ack
from voice.edge.core.relay_token import NotRelayed, RelayToken
from voice.edge.core.routeset import NotSealed, routes_beyond
from voice.edge.core.scanners import KNOWN_SCANNER, caught
from voice.edge.core.screening import (
    CANCEL_WITHOUT_CALL,
    DRAINING,
    NO_SEALED_ROUTE,
    SIPS_IN_THE_CLEAR,
    method_not_allowed,
    not_sealed,
    screened,
    unreadable,
)
from voice.edge.core.sources import Sources
from voice.edge.core.targets import Hop, Target
from voice.edge.core.tokens import DialogToken
from voice.edge.core.unconnected import CHATTER_AT_ONCE, TOO_MUCH_CHATTER, unconnected
from voice.edge.seal import MIN_TOKEN_CHARS, SealError
from voice.edge.settings import EdgeSettings
from voice.pool.orders import Seat
from voice.records import Gate, Journal
from voice.sip.errors import SipParseError, StreamError
from voice.sip.flow import Flow
from voice.sip.message import Request, Response, parse_message
from voice.sip.respond import make_response
from voice.sip.transactions import (
    Ending,
    RequestArrived,
    ResponseArrived,
    ServerTransaction,
    StrayResponse,
    TransportFailed,
)
from voice.sip.via import stamp_top_via

log = logging.getLogger(__name__)

_CAPABILITIES = (("Allow", ALLOW), ("Accept", "application/sdp"), ("Supported", "100rel, timer, replaces"))


class Proxy:
    """One edge, without its sockets."""

    def __init__(
        self,
        settings: EdgeSettings,
        doors: Doors,
        directory: Callable[[], Directory],
        journal: Journal,
        *,
        release_seat: Callable[[str, str | None], None],
        connected: Callable[[Flow], bool],
        names: Callable[[Flow], tuple[str, ...]],
        ledger: Ledger | None = None,
    ) -> None:
        self.kernel = Kernel(settings, doors, directory, journal, release_seat, connected, names, ledger)
        self._answers = Answers(self.kernel)
        self._gates = Gates(self.kernel, self._answers)
        self._sources = Sources(self.kernel, self._answers, self._gates.was_challenged)
        self.liveness = Liveness(self.kernel)
        self._relay = PopRelay(self.kernel, self._answers, self.liveness)
        self.calls = Calls(self.kernel, self._answers)
        self.dials = Dials(self.kernel)
        self.carriers = Carriers(self.kernel)
        self.draining = False
        self.bugs = 0
        self.received = 0
        self.strays = 0

    def receive(self, data: bytes, source: Flow, now: float) -> bool:
        """One whole message: a datagram, or one cut from a stream.  A fault of ours costs this message only.

        False: nothing from this source is wanted.
        """
        self.received += 1
        if source.local != INSIDE and not self._sources.welcome(data, source, now):
            return False
        try:
            message = parse_message(data)
        except SipParseError as error:
            if not kept_alive(self.kernel, data, source):
                self._unreadable(error, data, source, now)
            return True
        try:
            self._handle(message, data, source, now)
        except SipParseError as error:
            # A header that only some requests need, looked at for the first time.
            if isinstance(message, Request):
                self._answers.refuse(message, source, unreadable(error), now)
        except Exception:
            log.exception("bug: %r from %s could not be handled", message, source)
            self._bug(message, source)
        return True

    def stream_unreadable(self, error: StreamError, source: Flow, now: float) -> None:
        """A stream can no longer be cut into messages."""
        if not self._sources.welcome(b"", source, now):
            return
        parse_error = SipParseError(error.problem, status=error.status, partial=error.partial)
        self._unreadable(parse_error, b"", source, now)

    def get_timer(self) -> float | None:
        """When to call `handle_timer` at the latest."""
        kernel = self.kernel
        times = (
            kernel.layer.get_timer(),
            kernel.alarms.next(),
            kernel.refusals.get_timer(),
            self.calls.get_timer(),
            self.carriers.get_timer(),
        )
        return min((time for time in times if time is not None), default=None)

    def handle_timer(self, now: float) -> None:
        kernel = self.kernel
        for occurrence in kernel.layer.handle_timer(now):
            self._contained(occurrence, now)
        while (alarm := kernel.alarms.due(now)) is not None:
            action = alarm.action
            if action is None:
                continue
            try:
                action(now)
            except Exception:
                self.bugs += 1
                log.exception("bug: a timer could not be handled")
        kernel.refusals.handle_timer(now)
        self.calls.handle_timer(now)
        self.carriers.handle_timer(now)

    def stream_possible(self, source: Flow, now: float) -> bool:
        return self._sources.possible(source, now)

    def stream_refused(self, source: Flow, cause: str, detail: str, now: float) -> None:
        """A connection was not taken, not secured, or cut off."""
        if cause == TOO_MUCH_CHATTER:
            self.kernel.bans.too_fast(source.host, now, proven=True, requests=CHATTER_AT_ONCE)
        self._answers.record(None, source, unconnected(cause, detail, source), now)

    def transport_failed(self, flow: Flow, now: float, problem: str = "") -> None:
        """Sending to this peer failed: an ICMP error, a connection refused or broken."""
        if flow.transport == "TCP":
            self.kernel.large.failed(flow, now)
        for occurrence in self.kernel.layer.transport_failed(flow, now):
            self._contained(occurrence, now, problem)

    def seat_lost(self, seat: Seat, now: float) -> None:
        """The call process at this address is gone."""
        self.transport_failed(self.kernel.inside_flow(seat.host, seat.port), now)
        self.dials.process_lost(seat, now)

    def _contained(self, occurrence: Ending, now: float, problem: str = "") -> None:
        try:
            self._happened(occurrence, now, problem)
        except Exception:
            self.bugs += 1
            log.exception("bug: a transaction could not be followed up")

    def _handle(self, message: Request | Response, data: bytes, source: Flow, now: float) -> None:
        if b"x-trunkflow-" in data.lower():
            drop_our_headers(message)
        occurrence = self.kernel.layer.receive(message, now)
        if occurrence is None:
            return
        if isinstance(occurrence, ResponseArrived):
            self._response(occurrence, source, now)
        elif isinstance(occurrence, RequestArrived):
            self._request(occurrence, source, now)
        elif isinstance(occurrence, StrayResponse):
            self.strays += 1
        else:
            self._happened(occurrence, now)

    def _response(self, arrived: ResponseArrived, source: Flow, now: float) -> None:
        client, response = arrived
        owner = client.owner
        if isinstance(owner, Branch | Relay) and (problem := unreadable_answer(response)) is not None:
            owner.unreadable(client, response, problem, now)
        elif isinstance(owner, Branch):
            # Not so after a challenge: then the branch has another transaction.
            if owner.client is client:
                owner.invite.response(owner, response, source, now)
        elif isinstance(owner, Relay | Bye):
            owner.response(response, source, now)
        elif isinstance(owner, Probe):
            owner.response(response, now)
        elif isinstance(owner, Errand):
            owner.response(client, response, now)

    def _happened(self, occurrence: Ending, now: float, problem: str = "") -> None:
        """A transaction will bring nothing any more."""
        transaction = occurrence.transaction
        owner, transaction.owner = transaction.owner, None
        failed = isinstance(occurrence, TransportFailed)
        if isinstance(transaction, ServerTransaction):
            pass  # No ACK came for a refusal: its sender is gone, and nobody else waits.
        elif isinstance(owner, Branch):
            # Not so after a challenge: then the branch has another transaction.
            if owner.client is transaction:
                owner.invite.branch_lost(owner, transport=failed, now=now, problem=problem)
        elif isinstance(owner, Relay):
            if failed:
                owner.transport_failed(now)
            else:
                owner.timed_out(now)
        elif isinstance(owner, Probe):
            owner.silent("cannot be reached" if failed else "no answer to OPTIONS", now)
        elif isinstance(owner, Errand):
            owner.failed(transaction, now)
        if owner is not None:
            owner.transaction_over()

    def _request(self, arrived: RequestArrived, source: Flow, now: float) -> None:
        """A request that begins something (RFC 3261 section 16.3)."""
        request = arrived.request
        stamp_top_via(request.headers, request.via, source.host, source.port)
        method = request.method
        if method == "CANCEL":
            self._cancel(arrived, source, now)
            return
        uri = request.sip_uri
        if uri.scheme == "tel":
            raise SipParseError("the URI scheme tel is not supported: use sip or sips", status=416)
        if uri.scheme == "sips" and not (source.secure or source.local == INSIDE):
            self._answers.refuse(request, source, SIPS_IN_THE_CLEAR, now)
            return
        token = None
        if uri.user is not None and len(uri.user) >= MIN_TOKEN_CHARS:
            try:
                token = self.kernel.tokens.open_dialog(uri.user, now)
            except SealError:
                token = None
        verdict = None if method == "ACK" else screened(request, self.kernel.doors)
        if token is None and source.local != INSIDE and caught(self.kernel, request, source, now):
            self._answers.record(request, source, KNOWN_SCANNER, now)
        elif verdict is not None:
            self._answers.refuse(request, source, verdict, now)
        elif token is not None:
            self._in_dialog(arrived, token, source, now)
        elif method == "ACK":
            pass  # Of a refusal that was given without a transaction.
        elif request.to.tag is not None:
            self._answers.refuse(request, source, NO_SEALED_ROUTE, now)
        elif method == "INVITE":
            self._new_invite(arrived, source, now)
        elif method == "OPTIONS" and self.draining:
            # Whoever asks whether this edge takes calls is told; its own and other edges go elsewhere.
            self._answers.refuse(request, source, DRAINING, now)
        elif method == "OPTIONS":
            self._answers.send(request, source, 200, None, _CAPABILITIES)
        else:
            if self.kernel.directory().domain_for_host(uri.host) is None:
                self.kernel.bans.unknown_domain(source.host, now, proven=source.transport != "UDP")
            self._answers.refuse(request, source, method_not_allowed(method), now)

    def _new_invite(self, arrived: RequestArrived, source: Flow, now: float) -> None:
        request = arrived.request
        check_readable(request)
        if source.local == INSIDE:
            self.dials.begin(request, self._begin_server(arrived, source, now), source, now)
            return
        if self.draining:
            self._answers.refuse(request, source, DRAINING, now)
            return
        try:
            token = self._relay.taken_over(request, source, now)
            if token is not None:
                self._take_over(arrived, source, token, now)
                return
        except NotRelayed as refused:
            self._answers.refuse(request, source, not_taken_over(refused), now)
            return
        let_in = self._gates.let_in(request, source, now)
        consume_credentials(request, self.kernel.settings.base_domain)
        if let_in is None:
            return
        choice = self._relay.choice(request, let_in)
        if choice is not HERE:
            self._send_elsewhere(arrived, source, let_in, choice, now)
            return
        admission = self._gates.settle(request, source, let_in, now)
        if admission is not None:
            self.calls.begin(request, self._begin_server(arrived, source, now), source, admission, now)

    def _take_over(self, arrived: RequestArrived, source: Flow, token: RelayToken, now: float) -> None:
        """Another POP let the call in, and this one handles it.  Raises NotRelayed when it cannot."""
        request = arrived.request
        let_in = self._gates.let_in_elsewhere(token)
        with self._answers.on_behalf_of(token.caller):
            admission = self._gates.settle(request, source, let_in, now)
        if admission is not None:
            self._relay.begun(request, token, now)
            self.calls.begin(request, self._begin_server(arrived, source, now), source, admission, now)

    def _send_elsewhere(
        self, arrived: RequestArrived, source: Flow, let_in: LetIn, choice: Choice, now: float
    ) -> None:
        """Another POP is to handle the call; if none takes it, and it may be handled here, it is."""
        request = arrived.request
        server = self._begin_server(arrived, source, now)

        def handle_here(later: float) -> None:
            with self._answers.through(server, later):
                admission = self._gates.settle(request, source, let_in, later)
            if admission is not None:
                self.calls.begin(request, server, source, admission, later)

        self._relay.relay(request, server, source, let_in, choice, handle_here, now)

    def _in_dialog(self, arrived: RequestArrived, token: DialogToken, source: Flow, now: float) -> None:
        kernel = self.kernel
        request = arrived.request
        check_readable(request, token.cseq_delta if token.from_caller else 0)
        try:
            check_dialog(token, request)
            routes = routes_beyond(request, kernel.tokens, kernel.doors, now)
            if not token.from_caller:
                routes += token.guise.routes
        except NotSealed as fault:
            self._answers.refuse(request, source, not_sealed(str(fault)), now)
            return
        media = change_refused(
            request, token.sides, from_caller=token.from_caller, host=kernel.settings.base_domain
        )
        if media is not None:
            call = kernel.limits.calls.get(token.call_id)
            verdict = media.verdict(Gate.MEDIA, account_id=None if call is None else call.account_id)
            self._answers.refuse(request, source, verdict, now)
            return
        refused = refused_referral(kernel, token, request) if request.method == "REFER" else None
        if refused is not None:
            self._answers.refuse(request, source, refused, now)
            return
        self.calls.saw(token, request, source)
        consume_credentials(request, kernel.settings.base_domain)
        crossing = Crossing(
            request,
            source,
            kernel.door_of(source),
            ids=token.ids,
            from_caller=token.from_caller,
            trunk=token.trunk,
        )
        if request.method == "ACK":
            relay_ack(kernel, crossing, token, routes, now)
            return
        server = self._begin_server(arrived, source, now)
        if request.method == "INVITE":
            self._reinvite(server, crossing, token, routes, now)
            return
        ended = self.calls.dialog_ended(token) if request.method == "BYE" else None
        Relay(kernel, server, crossing, token, routes, ended).begin(now)

    def _reinvite(
        self, server: ServerTransaction, crossing: Crossing, token: DialogToken, routes: list[str], now: float
    ) -> None:
        facts = CallFacts(
            kind=Kind.IN_DIALOG,
            call_id=token.call_id,
            account_id="",
            source="",
            cseq_delta=token.cseq_delta,
            routes=tuple(routes),
        )
        invite = Invite(self.kernel, server, crossing, facts, _nothing_follows)
        shown = None if token.from_uri is None or token.to_uri is None else (token.from_uri, token.to_uri)
        gateway = self.kernel.gateway_sources.gateway_behind(self.kernel.directory(), token.flow)
        hop = Hop(uri=token.target, token=token, shown=shown, guise=token.guise, gateway=gateway)
        invite.begin([Target(name=token.target, hops=[hop])], now)

    def _cancel(self, arrived: RequestArrived, source: Flow, now: float) -> None:
        """Section 16.10; without its INVITE there is nothing to cancel, and nobody to pass it on to."""
        request = arrived.request
        invite = self.kernel.layer.invite_of(request)
        if invite is None:
            self._answers.refuse(request, source, CANCEL_WITHOUT_CALL, now)
            return
        cancel = self.kernel.layer.begin_server(arrived, reply_flow(request, source))
        cancel.respond(make_response(request, 200, to_tag=self._answers.tag(request)), now)
        if isinstance(invite.owner, Invite):
            invite.owner.cancel(now)

    def _begin_server(self, arrived: RequestArrived, source: Flow, now: float) -> ServerTransaction:
        request = arrived.request
        server = self.kernel.layer.begin_server(arrived, reply_flow(request, source))
        if request.method == "INVITE":
            server.respond(make_response(request, 100), now)
        return server

    def _unreadable(self, error: SipParseError, data: bytes, source: Flow, now: float) -> None:
        partial = error.partial
        if isinstance(partial, Request):
            stamp_top_via(partial.headers, partial.via, source.host, source.port)
            self._answers.refuse(partial, source, unreadable(error), now)
        elif data[:4] == b"SIP/":
            self.strays += 1
        else:
            self._answers.record(None, source, unreadable(error), now)

    def _bug(self, message: Request | Response, source: Flow) -> None:
        self.bugs += 1
        if isinstance(message, Request) and message.method not in ("ACK", "CANCEL"):
            with suppress(SipParseError, ValueError):
                self._answers.send(message, source, 500)


def _nothing_follows(_final: Final, _now: float) -> None:
    """The end of a re-INVITE is not the end of its call."""
