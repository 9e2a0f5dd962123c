"""Synthetic calls: a caller that places them at edges, and a callee behind a gateway that takes them.

The callee sees which POP an INVITE came from, and how many came for one call: so it is known who handled a
call, and whether anybody tried again that should not have.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from sip_config.model import Pop, Region
from voice.drill.endpoint import Endpoint
from voice.sip.flow import Flow
from voice.sip.message import Response
from voice.sip.respond import make_response
from voice.sip.transactions import ClientTransaction, RequestArrived

ANSWERED_NUMBER: Final = "+31201234567"
BUSY_NUMBER: Final = "+31207654321"
"""The callee is busy: a final answer, which nobody may try to better."""
PATIENCE_SECONDS: Final = 8.0
"""After which a caller has given up: the call is lost."""


@dataclass(frozen=True, slots=True)
class Route:
    """How calls of one kind are placed."""

    edge: str
    """POP whose edge the calls come to."""
    host: str
    """Name that is called."""
    bound: Pop | None
    """POP that the name is bound to."""
    home: Region | None
    """Of a plain name."""


@dataclass(slots=True)
class Call:
    """One synthetic call."""

    route: Route
    begun: float
    busy: bool = False
    lasting: bool = False
    """It stands until it is told to end."""
    status: int | None = None
    settled: float | None = None
    """When its final response came."""
    handled: list[str] = field(default_factory=list)
    """POPs from which INVITEs came to the callee, in order."""
    bye: int | None = None

    @property
    def seconds(self) -> float | None:
        return None if self.settled is None else self.settled - self.begun


class Callee:
    """Takes calls, at the address that the platform's gateway has."""

    def __init__(self, host: str, pop_of: Callable[[str], str]) -> None:
        """`pop_of`: whose edge has an address."""
        self._pop_of = pop_of
        self.calls: dict[str, Call] = {}
        """By Call-ID."""
        self.endpoint = Endpoint(host, self._requested)

    def _requested(self, arrived: RequestArrived, source: Flow) -> None:
        request = arrived.request
        if request.method == "ACK":
            return
        if request.method != "INVITE":
            self.endpoint.respond(arrived, source, make_response(request, 200))
            return
        call = self.calls.get(request.call_id)
        if call is not None:
            call.handled.append(self._pop_of(source.host))
        tag = os.urandom(6).hex()
        if request.sip_uri.username == BUSY_NUMBER:
            self.endpoint.respond(arrived, source, make_response(request, 486, to_tag=tag))
            return
        answer = make_response(request, 200, to_tag=tag, body=_description(self.endpoint.host))
        answer.headers.add("Contact", f"<sip:{self.endpoint.sent_by}>")
        answer.headers.add("Content-Type", "application/sdp")
        self.endpoint.respond(arrived, source, answer)


class Caller:
    """Places calls."""

    def __init__(self, host: str, callee: Callee, edges: dict[str, tuple[str, int]]) -> None:
        self._callee = callee
        self._edges = edges
        self.calls: list[Call] = []
        self._talking: set[_Talk] = set()
        self._less = asyncio.Event()
        """Set when a call has ended."""
        self._endpoint = Endpoint(host, self._requested)

    def place(self, route: Route, *, busy: bool = False, lasting: bool = False) -> Call:
        """Begins a call; it ends by itself unless it is lasting."""
        call = Call(route, time.monotonic(), busy=busy, lasting=lasting)
        self.calls.append(call)
        call_id = os.urandom(12).hex()
        self._callee.calls[call_id] = call
        self._talking.add(_Talk(self._endpoint, call, call_id, self._edges[route.edge], self._over))
        return call

    def hang_up(self, call: Call) -> None:
        """Ends a lasting call."""
        for talk in self._talking:
            if talk.call is call:
                talk.hang_up()

    async def quiet(self) -> None:
        """Waits until every call that ends by itself has ended, or its patience has."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while any(not talk.call.lasting for talk in self._talking):
                    self._less.clear()
                    await self._less.wait()

    def close(self) -> None:
        self._endpoint.close()

    def _over(self, talk: _Talk) -> None:
        self._talking.discard(talk)
        self._less.set()

    def _requested(self, arrived: RequestArrived, source: Flow) -> None:
        if arrived.request.method != "ACK":
            self._endpoint.respond(arrived, source, make_response(arrived.request, 200))


class _Talk:
    """The caller's side of one call."""

    def __init__(
        self,
        endpoint: Endpoint,
        call: Call,
        call_id: str,
        edge: tuple[str, int],
        over: Callable[[_Talk], None],
    ) -> None:
        self.call = call
        self._endpoint = endpoint
        self._over = over
        self._call_id = call_id
        self._flow = Flow("UDP", 0, *edge)
        self._local = f"<sip:drill@{call.route.host}>;tag={os.urandom(6).hex()}"
        number = BUSY_NUMBER if call.busy else ANSWERED_NUMBER
        uri = f"sip:{number}@{call.route.host}"
        self._remote = f"<{uri}>"
        self._target = uri
        self._routes: list[str] = []
        fields = (
            *self._fields("INVITE", 1),
            ("Contact", f"<sip:{endpoint.sent_by}>"),
            ("Content-Type", "application/sdp"),
        )
        endpoint.ask(self, "INVITE", uri, fields, self._flow, _description(endpoint.host))

    def answered(self, client: ClientTransaction, response: Response) -> None:
        if response.status < 200:
            return
        if response.cseq.method == "BYE":
            self.call.bye = response.status
            self._end()
            return
        first = self.call.settled is None
        if first:
            self.call.settled, self.call.status = time.monotonic(), response.status
        if response.status >= 300:
            self._end()
            return
        self._take_up(response)
        self._endpoint.say("ACK", self._target, self._fields("ACK", 1), self._flow)
        if first and not self.call.lasting:
            self.hang_up()

    def unanswered(self, client: ClientTransaction) -> None:
        self._end()

    def transaction_over(self) -> None:
        """Its end was heard of before."""

    def hang_up(self) -> None:
        self._endpoint.ask(self, "BYE", self._target, self._fields("BYE", 2), self._flow)

    def _take_up(self, response: Response) -> None:
        """The dialog, as RFC 3261 section 12.1.2 makes it."""
        self._remote = response.headers.get("To") or self._remote
        if response.contact is not None:
            self._target = response.contact.uri
        self._routes = [str(route) for route in reversed(response.record_routes)]
        if response.record_routes:
            uri = response.record_routes[-1].sip_uri
            self._flow = Flow("UDP", 0, uri.address, uri.port or 5060)

    def _fields(self, method: str, cseq: int) -> tuple[tuple[str, str], ...]:
        return (
            *(("Route", route) for route in self._routes),
            ("From", self._local),
            ("To", self._remote),
            ("Call-ID", self._call_id),
            ("CSeq", f"{cseq} {method}"),
        )

    def _end(self) -> None:
        self._over(self)


def _description(host: str) -> bytes:
    return (
        f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n"
    ).encode()
