"""A request of the edge's own to a gateway, until its final response: OPTIONS and REGISTER."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sip_config.model import Gateway
from voice.edge.core.doors import Door
from voice.edge.core.gateway_auth import answered_challenge
from voice.edge.core.kernel import Alarm, Kernel
from voice.sip.flow import Flow
from voice.sip.headers import Headers
from voice.sip.message import Request, Response
from voice.sip.transactions import ClientTransaction
from voice.sip.uri import SipUri
from voice.sip.via import MAGIC_COOKIE


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an errand ended."""

    response: Response | None
    """The final response; None: there was none."""
    problem: str
    """Why there was none; else status and reason."""
    flow: Flow | None
    """Where it went last."""


class Errand:
    """Goes to the addresses of a URI, one after another until one responds; answers challenges."""

    __slots__ = (
        "_alarm",
        "_build",
        "_challenged",
        "_client",
        "_done",
        "_flow",
        "_flows",
        "_gateway",
        "_kernel",
        "_over",
        "_patience",
    )

    def __init__(
        self,
        kernel: Kernel,
        gateway: Gateway,
        build: Callable[[Door, int], Request],
        patience: float,
        done: Callable[[Outcome, float], None],
    ) -> None:
        """`build` makes the request for a door, without Via; its second argument is to be added to the CSeq.

        `done` is called once, unless the errand is called off.
        """
        self._kernel = kernel
        self._gateway = gateway
        self._build = build
        self._patience = patience
        self._done: Callable[[Outcome, float], None] | None = done
        self._flows: Sequence[Flow] = ()
        self._flow: Flow | None = None
        self._client: ClientTransaction | None = None
        self._challenged = 0
        self._over = False
        self._alarm = Alarm(kernel, self._waited)

    def begin(self, uri: SipUri, now: float) -> None:
        """Sends the request to where the URI leads."""
        self._kernel.locate(uri, trusted=True, found=self._found, failed=self._nowhere, now=now)

    def call_off(self, now: float) -> None:
        """Nobody wants to know any more."""
        self._over = True
        self._done = None
        self._alarm.stop()
        self._let_go(now)

    def response(self, client: ClientTransaction, response: Response, now: float) -> None:
        if client is not self._client or self._over or response.status < 200:
            return
        if response.status in (401, 407):
            credentials = answered_challenge(self._gateway, client.request, response, self._challenged)
            if credentials is not None:
                self._challenged += 1
                self._let_go(now)
                self._send(client.flow, now, *credentials)
                return
        self._end(response, f"{response.status} {response.reason}", now)

    def failed(self, client: ClientTransaction, now: float) -> None:
        """Its transaction brings nothing any more."""
        if client is self._client and not self._over:
            self._next("cannot be reached", now)

    def transaction_over(self) -> None:
        """Nothing refers back to it: it goes with its transactions."""

    def _found(self, flows: Sequence[Flow], now: float) -> None:
        if not self._over:
            self._flows = flows
            self._next("has no address", now)

    def _nowhere(self, problem: str, now: float) -> None:
        if not self._over:
            self._end(None, problem, now)

    def _waited(self, now: float) -> None:
        if not self._over:
            self._next("does not answer", now)

    def _next(self, problem: str, now: float) -> None:
        self._let_go(now)
        if not self._flows:
            self._end(None, f"{self._flow.host if self._flow else self._gateway.host} {problem}", now)
            return
        flow, *self._flows = self._flows
        self._send(flow, now)

    def _send(self, flow: Flow, now: float, *credentials: tuple[str, str]) -> None:
        kernel = self._kernel
        door = kernel.door_of(flow)
        self._flow = flow
        request = self._build(door, self._challenged)
        branch = f"{MAGIC_COOKIE}{os.urandom(12).hex()}"
        via = f"SIP/2.0/{door.transport} {door.sent_by};branch={branch};rport"
        headers = Headers((("Via", via), *request.headers, *credentials))
        self._client = kernel.layer.begin_client(
            Request(request.method, request.uri, headers), branch, flow, now
        )
        self._client.owner = self
        self._alarm.set(now + self._patience)

    def _let_go(self, now: float) -> None:
        if self._client is not None:
            self._client.owner = None
            self._client.abandon(now)
            self._client = None

    def _end(self, response: Response | None, problem: str, now: float) -> None:
        done, flow = self._done, self._flow
        self.call_off(now)
        if done is not None:
            done(Outcome(response=response, problem=problem, flow=flow), now)
