"""A SIP user agent of the least kind on one UDP socket: transactions, and nothing of its own opinion."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from voice.edge.transports.udp import UdpSocket
from voice.sip.errors import SipParseError
from voice.sip.flow import Flow
from voice.sip.headers import Headers
from voice.sip.message import Request, Response, parse_message
from voice.sip.transaction_timing import Timing
from voice.sip.transactions import (
    ClientTransaction,
    RequestArrived,
    ResponseArrived,
    TimedOut,
    TransactionLayer,
    TransportFailed,
)
from voice.sip.via import MAGIC_COOKIE

_BUFFER_BYTES = 1_048_576


@runtime_checkable
class Asker(Protocol):
    """Whoever sent a request."""

    def answered(self, client: ClientTransaction, response: Response) -> None:
        """A response came."""
        ...

    def unanswered(self, client: ClientTransaction) -> None:
        """None will come."""
        ...

    def transaction_over(self) -> None: ...


class Endpoint:
    """One socket; `requested` is called with each request that begins a transaction, and with each ACK."""

    def __init__(self, host: str, requested: Callable[[RequestArrived, Flow], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._requested = requested
        self._timer: asyncio.TimerHandle | None = None
        self.layer = TransactionLayer(Timing())
        self._udp = UdpSocket(host, 0, 0, failed=self._failed, receive_buffer=_BUFFER_BYTES)
        self.host, self.port = self._udp.address
        self._udp.read(self._received, self.after, time.monotonic)

    @property
    def sent_by(self) -> str:
        return f"{self.host}:{self.port}"

    def ask(
        self,
        asker: Asker,
        method: str,
        uri: str,
        fields: Sequence[tuple[str, str]],
        to: Flow,
        body: bytes = b"",
    ) -> None:
        """Sends a request in a transaction of its own; `fields`: all headers but Via and Max-Forwards."""
        branch = f"{MAGIC_COOKIE}{os.urandom(12).hex()}"
        request = self._request(method, uri, fields, branch, body)
        self.layer.begin_client(request, branch, to, time.monotonic()).owner = asker
        self.after()

    def say(self, method: str, uri: str, fields: Sequence[tuple[str, str]], to: Flow) -> None:
        """Sends a request that nobody answers: ACK."""
        branch = f"{MAGIC_COOKIE}{os.urandom(12).hex()}"
        self._udp.send(self._request(method, uri, fields, branch, b"").to_bytes(), to)

    def respond(self, arrived: RequestArrived, source: Flow, *responses: Response) -> None:
        """Answers a request that arrived."""
        server = self.layer.begin_server(arrived, source)
        for response in responses:
            server.respond(response, time.monotonic())
        self.after()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._udp.close()

    def after(self) -> None:
        """Sends what the transactions left, and sees to it that they are woken."""
        outbox = self.layer.outbox.copy()
        self.layer.outbox.clear()
        for flow, data in outbox:
            self._udp.send(data, flow)
        when = self.layer.get_timer()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if when is not None:
            self._timer = self._loop.call_later(max(0.0, when - time.monotonic()), self._tick)

    def _request(
        self, method: str, uri: str, fields: Sequence[tuple[str, str]], branch: str, body: bytes
    ) -> Request:
        via = f"SIP/2.0/UDP {self.sent_by};branch={branch};rport"
        return Request(method, uri, Headers((("Via", via), ("Max-Forwards", "70"), *fields)), body)

    def _received(self, data: bytes, source: Flow, now: float) -> None:
        try:
            occurrence = self.layer.receive(parse_message(data), now)
        except SipParseError:
            return
        if isinstance(occurrence, RequestArrived):
            self._requested(occurrence, source)
        elif isinstance(occurrence, ResponseArrived):
            owner = occurrence.transaction.owner
            if owner is not None:
                _asker(owner).answered(occurrence.transaction, occurrence.response)

    def _tick(self) -> None:
        self._timer = None
        for ending in self.layer.handle_timer(time.monotonic()):
            self._ended(ending)
        self.after()

    def _failed(self, flow: Flow) -> None:
        for ending in self.layer.transport_failed(flow, time.monotonic()):
            self._ended(ending)
        self.after()

    def _ended(self, ending: TimedOut | TransportFailed) -> None:
        transaction = ending.transaction
        owner, transaction.owner = transaction.owner, None
        if isinstance(transaction, ClientTransaction) and owner is not None:
            _asker(owner).unanswered(transaction)


def _asker(owner: object) -> Asker:
    assert isinstance(owner, Asker)
    return owner
