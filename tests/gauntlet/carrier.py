"""A carrier on a socket of loopback: it rings, answers, and hangs up, as RFC 3261 says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from tests.edge.world import SDP
from voice.sip.errors import SipParseError
from voice.sip.message import Request, parse_message
from voice.sip.respond import make_response

RINGS_SECONDS = 0.02
_T1 = 0.5
_TIMES = 7

Address = tuple[str, int]


@dataclass(slots=True)
class _Call:
    tag: str
    timers: list[asyncio.TimerHandle] = field(default_factory=list)
    answered: bool = False
    final: bytes = b""

    def stop(self) -> None:
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()


class Carrier(asyncio.DatagramProtocol):
    """Answers every INVITE after a moment."""

    def __init__(self) -> None:
        self.begun = 0
        self.answered = 0
        self.strangers = 0
        """Requests that belong to no call of the carrier."""
        self._calls: dict[str, _Call] = {}

    @property
    def running(self) -> int:
        """Calls that nobody has ended."""
        return len(self._calls)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, address: Address) -> None:
        try:
            message = parse_message(data)
        except SipParseError as error:
            raise AssertionError(f"the edge sent what does not follow the grammar: {error}") from error
        if not isinstance(message, Request):
            return
        call = self._calls.get(message.call_id)
        if message.method == "INVITE" and message.to.tag is None:
            if call is None:
                self._begin(message, address)
            elif call.final:
                self._transport.sendto(call.final, address)
        elif call is None or (message.to.tag or call.tag) != call.tag:
            if message.method != "ACK":
                self.strangers += 1
                self._respond(message, address, 481)
        elif message.method == "ACK":
            call.stop()
            if not call.answered:
                del self._calls[message.call_id]
        elif message.method == "CANCEL":
            self._cancel(message, call, address)
        elif message.method == "BYE":
            call.stop()
            del self._calls[message.call_id]
            self._respond(message, address, 200)
        else:
            self._respond(message, address, 200)

    def close(self) -> None:
        for call in self._calls.values():
            call.stop()
        self._transport.close()

    def _begin(self, invite: Request, address: Address) -> None:
        self.begun += 1
        call = self._calls[invite.call_id] = _Call(tag=f"carrier{self.begun}")
        self._respond(invite, address, 180, call.tag)
        call.timers = [self._later(RINGS_SECONDS, self._answer, invite, call, address)]

    def _answer(self, invite: Request, call: _Call, address: Address) -> None:
        call.answered = True
        self.answered += 1
        self._finish(invite, call, address, 200)

    def _cancel(self, cancel: Request, call: _Call, address: Address) -> None:
        self._respond(cancel, address, 200, call.tag)
        if not call.final:
            call.stop()
            invite = cancel.copy()
            invite.headers.set("CSeq", f"{cancel.cseq.number} INVITE")
            self._finish(invite, call, address, 487)

    def _finish(self, invite: Request, call: _Call, address: Address, status: int) -> None:
        response = make_response(invite, status, to_tag=call.tag, body=SDP if status == 200 else b"")
        if status == 200:
            response.headers.add("Contact", f"<sip:carrier@127.0.0.1:{self.port}>")
        call.final = response.to_bytes()
        self._transport.sendto(call.final, address)
        call.timers = [
            self._later(_T1 * (2**n - 1), self._transport.sendto, call.final, address)
            for n in range(1, _TIMES)
        ]

    def _respond(self, request: Request, address: Address, status: int, tag: str = "none") -> None:
        response = make_response(request, status, to_tag=tag)
        if status == 180:
            response.headers.add("Contact", f"<sip:carrier@127.0.0.1:{self.port}>")
        self._transport.sendto(response.to_bytes(), address)

    def _later(self, seconds: float, action: object, *arguments: object) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, action, *arguments)  # type: ignore[arg-type]


@asynccontextmanager
async def carrier() -> AsyncIterator[Carrier]:
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_datagram_endpoint(Carrier, local_addr=("127.0.0.1", 0))
    try:
        yield protocol
    finally:
        protocol.close()
