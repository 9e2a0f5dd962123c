"""Transactions (RFC 3261 section 17, RFC 6026): retransmissions, timeouts, and what belongs to what.

Sans-IO: messages and `now` go in, `Occurrence`s come out, and what is to be sent collects in `outbox`
until its owner takes it.  What a transaction does in which state stands in
`voice.sip.transaction_tables`.

A request that `receive` reports as arrived has no transaction yet: its receiver begins one with
`begin_server`, or answers without (a refusal that a flood repeats should cost no memory).  An ACK for a
2xx, and a CANCEL whose INVITE is not here, arrive like that too.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from voice.sip.builders import make_ack
from voice.sip.deadlines import Deadlines
from voice.sip.flow import Flow
from voice.sip.message import Request, Response
from voice.sip.transaction_keys import Key, response_key, server_key
from voice.sip.transaction_tables import FIRST_STATE, ROWS, TIMERS, Action, Event, Machine, Row, State
from voice.sip.transaction_timing import Timing

_RETRANSMITTERS: Final = frozenset((Event.TIMER_A, Event.TIMER_E, Event.TIMER_G))


class RequestArrived(NamedTuple):
    """A request that belongs to no transaction."""

    request: Request
    key: Key
    """For `begin_server`."""


class ResponseArrived(NamedTuple):
    transaction: ClientTransaction
    response: Response


class StrayResponse(NamedTuple):
    """A response that belongs to no transaction."""

    response: Response


class TimedOut(NamedTuple):
    """No final response came (client), or no ACK for a failure (server)."""

    transaction: ClientTransaction | ServerTransaction


class TransportFailed(NamedTuple):
    transaction: ClientTransaction | ServerTransaction


Ending = TimedOut | TransportFailed
Occurrence = RequestArrived | ResponseArrived | StrayResponse | Ending


_PLANS: Final[dict[Machine, tuple[dict[State, Row], dict[State, tuple[Event, ...]], State]]] = {
    machine: (ROWS[machine], TIMERS[machine], FIRST_STATE[machine]) for machine in Machine
}


class Owner(Protocol):
    """Whoever keeps something for a transaction."""

    def transaction_over(self) -> None:
        """One of its transactions has ended, and there is nothing more to hear of it."""
        ...


class _Transaction:
    """What all four machines have."""

    __slots__ = (
        "_interval",
        "_layer",
        "_rows",
        "_timers",
        "_timers_of",
        "flow",
        "key",
        "machine",
        "owner",
        "queued",
        "state",
        "wanted",
    )

    def __init__(self, layer: TransactionLayer, machine: Machine, key: Key, flow: Flow) -> None:
        self._layer = layer
        self.machine = machine
        self._rows, self._timers_of, self.state = _PLANS[machine]
        self.key = key
        self.flow = flow
        """Where its messages go."""
        self.owner: Owner | None = None
        """Let go, and told so, at the end, unless the end is reported as an `Ending`."""
        self._timers: dict[Event, float] = {}
        self._interval = 0.0
        self.wanted: float | None = None
        self.queued: float | None = None

    @property
    def over(self) -> bool:
        return self.state is State.TERMINATED

    def __repr__(self) -> str:
        return f"<{self.machine.value} transaction {self.key[0]} {self.state.name}>"


class ServerTransaction(_Transaction):
    """A request that came, until its final response is safely out."""

    __slots__ = ("last",)

    def __init__(self, layer: TransactionLayer, machine: Machine, key: Key, flow: Flow) -> None:
        super().__init__(layer, machine, key, flow)
        self.last: bytes | None = None
        """The last response as it went out, as long as it may have to go out again."""

    @property
    def answered(self) -> bool:
        """Whether a final response has been sent."""
        return self.state > State.PROCEEDING

    def respond(self, response: Response, now: float) -> None:
        """Sends a response.  After a final one only a 2xx to an INVITE that had a 2xx may follow."""
        self._layer.respond(self, response, now)

    def forget(self) -> None:
        """Ends a non-INVITE transaction that will not be answered (RFC 4320 section 4.2)."""
        self._layer.forget(self)


class ClientTransaction(_Transaction):
    """A request that we sent, until its final response has surely been heard."""

    __slots__ = ("_ack", "_data", "_request")

    def __init__(
        self, layer: TransactionLayer, machine: Machine, key: Key, flow: Flow, request: Request, data: bytes
    ) -> None:
        super().__init__(layer, machine, key, flow)
        self._request: Request | None = request
        self._data: bytes | None = data
        """The same, as long as it may have to be sent again."""
        self._ack: bytes | None = None
        """Of a failure, for retransmissions of the response."""

    @property
    def request(self) -> Request:
        """As it was sent."""
        assert self._request is not None, "the request has been let go"
        return self._request

    def let_go(self) -> None:
        """Its user has no further need of the request, which is most of the memory of a transaction."""
        self._request = None

    @property
    def waiting(self) -> bool:
        """Whether the final response is still to come."""
        return self.state <= State.PROCEEDING

    @property
    def heard_provisional(self) -> bool:
        """Whether it is known that the other side works on it, and nothing final has come."""
        return self.state is State.PROCEEDING

    def abandon(self, now: float) -> None:
        """Stops retransmitting; what comes all the same is still delivered."""
        self._layer.abandon(self, now)

    def forget(self, now: float) -> None:
        """Ends a transaction whose final response will not come, or is not waited for."""
        self._layer.forget_client(self, now)


class TransactionLayer:
    """All transactions of an element.  `now`: seconds of any clock that never goes back."""

    def __init__(self, timing: Timing) -> None:
        self.outbox: list[tuple[Flow, bytes]] = []
        """What is to be sent, in order; whoever owns the layer sends it and clears the list."""
        self._timing = timing
        self._durations = (timing.durations(False), timing.durations(True))
        self._servers: dict[Key, ServerTransaction] = {}
        self._clients: dict[Key, ClientTransaction] = {}
        self._waiting: dict[tuple[str, int], dict[Key, ClientTransaction]] = {}
        """Clients without a final response, by the peer: what an ICMP error concerns."""
        self._peers: dict[str, int] = {}
        """Addresses to which there are client transactions, and how many."""
        self._deadlines: Deadlines[ServerTransaction | ClientTransaction] = Deadlines()

    @property
    def sizes(self) -> tuple[int, int]:
        """How many server and client transactions there are."""
        return len(self._servers), len(self._clients)

    def talks_to(self, host: str) -> bool:
        """Whether a response from this address could belong to anything."""
        return host in self._peers

    def receive(self, message: Request | Response, now: float) -> Occurrence | None:
        """Takes a message that came; None: a transaction absorbed it."""
        if isinstance(message, Response):
            client = self._clients.get(response_key(message))
            if client is None:
                return StrayResponse(message)
            status = message.status
            if status < 200:
                return self._run(client, Event.PROVISIONAL, now, message)
            return self._run(client, Event.SUCCESS if status < 300 else Event.FAILURE, now, message)
        key = server_key(message)
        server = self._servers.get(key)
        if server is None:
            return RequestArrived(message, key)
        return self._run(server, Event.ACK if message.method == "ACK" else Event.REQUEST, now)

    def begin_server(self, arrived: RequestArrived, reply_to: Flow) -> ServerTransaction:
        """A transaction for a request that arrived; responses go to `reply_to` (RFC 3261 section 18.2.2)."""
        invite = arrived.request.method == "INVITE"
        machine = Machine.INVITE_SERVER if invite else Machine.NON_INVITE_SERVER
        server = ServerTransaction(self, machine, arrived.key, reply_to)
        self._servers[server.key] = server
        return server

    def begin_client(
        self, request: Request, branch: str, flow: Flow, now: float, data: bytes | None = None
    ) -> ClientTransaction:
        """Sends a request, and begins to wait for its answer.

        `branch`: our own, in its topmost Via; `data`: the request's bytes, where they were made already.
        """
        method = request.method
        machine = Machine.INVITE_CLIENT if method == "INVITE" else Machine.NON_INVITE_CLIENT
        if data is None:
            data = request.to_bytes()
        client = ClientTransaction(self, machine, (branch, method), flow, request, data)
        self._clients[client.key] = client
        self._waiting.setdefault((flow.host, flow.port), {})[client.key] = client
        self._peers[flow.host] = self._peers.get(flow.host, 0) + 1
        self.outbox.append((flow, data))
        self._start_timers(client, (), now)
        return client

    def invite_of(self, cancel: Request) -> ServerTransaction | None:
        """The INVITE transaction that a CANCEL is about (RFC 3261 section 9.2)."""
        return self._servers.get(server_key(cancel, method="INVITE"))

    def respond(self, server: ServerTransaction, response: Response, now: float) -> None:
        status = response.status
        event = Event.PROVISIONAL if status < 200 else Event.SUCCESS if status < 300 else Event.FAILURE
        self._run(server, event, now, response)

    def forget(self, server: ServerTransaction) -> None:
        self._run(server, Event.FORGET, 0.0)

    def forget_client(self, client: ClientTransaction, now: float) -> None:
        if not client.over:
            self._run(client, Event.FORGET, now)

    def abandon(self, client: ClientTransaction, now: float) -> None:
        if not client.over:
            self._run(client, Event.ABANDON, now)

    def transport_failed(self, flow: Flow, now: float) -> list[Ending]:
        """What comes of a send that failed, or of an ICMP error or a broken stream for this peer."""
        found: list[Ending] = []
        for client in list(self._waiting.get((flow.host, flow.port), {}).values()):
            if client.flow.transport == flow.transport and not client.over:
                occurrence = self._run(client, Event.TRANSPORT_ERROR, now)
                if isinstance(occurrence, TransportFailed):
                    found.append(occurrence)
        return found

    def get_timer(self) -> float | None:
        """When to call `handle_timer` at the latest; None: nothing is waiting."""
        return self._deadlines.next()

    def handle_timer(self, now: float) -> list[Ending]:
        """Fires what is due."""
        found: list[Ending] = []
        while (transaction := self._deadlines.due(now)) is not None:
            for timer in [timer for timer, when in transaction._timers.items() if when <= now]:
                if timer in transaction._timers:  # A timer before it may have changed the state.
                    del transaction._timers[timer]
                    occurrence = self._run(transaction, timer, now)
                    if isinstance(occurrence, TimedOut):
                        found.append(occurrence)
            self._wake(transaction)
        return found

    def _run(
        self,
        transaction: ServerTransaction | ClientTransaction,
        event: Event,
        now: float,
        response: Response | None = None,
    ) -> Occurrence | None:
        """One event: the row's actions, then its state."""
        old = transaction.state
        try:
            row = transaction._rows[old][event]
        except KeyError:
            raise LookupError(
                f"{transaction.machine.value} transaction in state {old.name}: no row for {event.name}"
            ) from None
        occurrence: Occurrence | None = None
        for action in row.actions:
            if isinstance(transaction, ClientTransaction):
                occurrence = self._act_as_client(transaction, action, response) or occurrence
            else:
                occurrence = self._act_as_server(transaction, action, response) or occurrence
        state = row.state
        if state is not old:
            self._enter(transaction, old, state, now)
            if occurrence is None and transaction.over and transaction.owner is not None:
                owner, transaction.owner = transaction.owner, None
                owner.transaction_over()
        elif event in _RETRANSMITTERS:
            transaction._interval = self._timing.following(
                event, transaction._interval, proceeding=old is State.PROCEEDING
            )
            transaction._timers[event] = now + transaction._interval
            self._wake(transaction)
        return occurrence

    def _act_as_client(
        self, client: ClientTransaction, action: Action, response: Response | None
    ) -> Occurrence | None:
        if action is Action.DELIVER:
            assert response is not None
            return ResponseArrived(client, response)
        if action is Action.SEND_REQUEST:
            assert client._data is not None
            self.outbox.append((client.flow, client._data))
        elif action is Action.SEND_ACK:
            if client._ack is None:
                assert response is not None
                client._ack = make_ack(client.request, response).to_bytes()
            self.outbox.append((client.flow, client._ack))
        elif action is Action.STOP_RESENDING:
            for timer in _RETRANSMITTERS:
                client._timers.pop(timer, None)
        elif action is Action.REPORT_TIMEOUT:
            return TimedOut(client)
        elif action is Action.REPORT_TRANSPORT_ERROR:
            return TransportFailed(client)
        return None

    def _act_as_server(
        self, server: ServerTransaction, action: Action, response: Response | None
    ) -> Occurrence | None:
        if action is Action.SEND_RESPONSE:
            assert response is not None
            server.last = response.to_bytes()
            self.outbox.append((server.flow, server.last))
        elif action is Action.RESEND_RESPONSE:
            if server.last is not None:
                self.outbox.append((server.flow, server.last))
        elif action is Action.REPORT_TIMEOUT:
            return TimedOut(server)
        elif action is Action.REPORT_TRANSPORT_ERROR:
            return TransportFailed(server)
        return None

    def _enter(
        self, transaction: ServerTransaction | ClientTransaction, old: State, state: State, now: float
    ) -> None:
        transaction.state = state
        if state > State.PROCEEDING:
            # Most of its life a transaction only waits for stragglers: it keeps no more than those need.
            if isinstance(transaction, ClientTransaction):
                if old <= State.PROCEEDING:
                    transaction._data = None
                    self._no_longer_waiting(transaction)
            elif state is State.ACCEPTED or state is State.CONFIRMED:
                transaction.last = None
        if state is State.TERMINATED:
            self._end(transaction)
            return
        timers = transaction._timers_of
        running = timers.get(old, ())
        if running:
            staying = timers.get(state, ())
            for timer in running:
                if timer not in staying:
                    transaction._timers.pop(timer, None)
        self._start_timers(transaction, running, now)

    def _start_timers(
        self, transaction: ServerTransaction | ClientTransaction, running: tuple[Event, ...], now: float
    ) -> None:
        durations = self._durations[transaction.flow.transport != "UDP"]
        for timer in transaction._timers_of.get(transaction.state, ()):
            if timer in running:
                continue
            duration = durations.get(timer)
            if duration is None:
                continue
            if duration == 0:
                # Nothing is left to wait for over a reliable transport; such a timer only changes the state.
                state = transaction.state
                self._enter(transaction, state, transaction._rows[state][timer].state, now)
                return
            transaction._timers[timer] = now + duration
            if timer in _RETRANSMITTERS:
                transaction._interval = duration
        self._wake(transaction)

    def _wake(self, transaction: ServerTransaction | ClientTransaction) -> None:
        timers = transaction._timers
        if timers:
            transaction.wanted = min(timers.values())
            self._deadlines.changed(transaction)
        else:
            transaction.wanted = None

    def _no_longer_waiting(self, client: ClientTransaction) -> None:
        peer = (client.flow.host, client.flow.port)
        clients = self._waiting[peer]
        del clients[client.key]
        if not clients:
            del self._waiting[peer]

    def _end(self, transaction: ServerTransaction | ClientTransaction) -> None:
        transaction._timers.clear()
        transaction.wanted = None
        if isinstance(transaction, ClientTransaction):
            del self._clients[transaction.key]
            host = transaction.flow.host
            if self._peers[host] == 1:
                del self._peers[host]
            else:
                self._peers[host] -= 1
        else:
            del self._servers[transaction.key]
