"""A telephone with faults to choose: the good caller at 127.0.0.1 is always served, others as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from voice.gauntlet.aim import Aim
from voice.gauntlet.field import token
from voice.sip.errors import SipParseError
from voice.sip.headers import Headers
from voice.sip.message import Request, parse_message
from voice.sip.respond import make_response

Address = tuple[str, int]
GOOD_CALLER = "127.0.0.1"


@dataclass(slots=True, kw_only=True)
class Phone(asyncio.DatagramProtocol):
    """Answers at once.  Any login will do where one is needed."""

    challenges: bool = False
    answers: list[int] = field(default_factory=lambda: [200])
    """What the INVITEs of others get, one after another; the last stays."""
    over: int = 481
    """What INFO gets when its call has been hung up; a BYE gets 200 always."""
    copies: tuple[float, ...] = ()
    """Seconds after which an answer comes again, as long as it is not acknowledged."""
    crossing: bool = False
    """When an ACK comes, a copy of the answer was under way."""
    deaf: bool = False
    """ACKs are lost on it."""
    record_route: bool = False
    """It looks like a proxy."""
    rings: bool = False
    """It is not answered."""
    forgets: bool = False
    """What a call was that others hang up."""
    stays: bool = True
    """It waits to be hung up; else it hangs up itself, and then knows nothing of the call."""
    gone: bool = False
    """It answers nothing any more."""
    good_calls: int = 0
    """Calls of the good caller that were hung up."""
    _transport: asyncio.DatagramTransport = field(init=False)
    _rung: Request | None = None
    _timers: dict[str, list[asyncio.TimerHandle]] = field(default_factory=dict)
    _answered: dict[str, bytes] = field(default_factory=dict)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: Address) -> None:
        try:
            request = parse_message(data)
        except SipParseError:
            return
        if not isinstance(request, Request) or self.gone:
            return
        match request.method:
            case "INVITE":
                self._invited(request, address)
            case "ACK":
                self._acknowledged(request, address)
            case "CANCEL" if self._rung is not None:
                self._respond(request, address, 200)
                self._respond(self._rung, address, 487)
                self._rung = None
            case "BYE" if request.to.tag is not None:
                self.good_calls += address[0] == GOOD_CALLER
                self._silence(request.call_id)
                lost = (self.forgets or not self.stays) and address[0] != GOOD_CALLER
                self._respond(request, address, 481 if lost else 200)
            case "INFO":
                self._respond(request, address, self.over)
            case method:
                self._respond(request, address, 200 if method == "OPTIONS" else 481)

    def close(self) -> None:
        for call_id in list(self._timers):
            self._silence(call_id)
        self._transport.close()

    def _invited(self, request: Request, address: Address) -> None:
        if request.to.tag is not None:
            self._respond(request, address, 481)
        elif self.rings:
            self._rung = request
            self._respond(request, address, 180)
        elif self.challenges and "proxy-authorization" not in request.headers:
            self._respond(request, address, 407)
        elif address[0] == GOOD_CALLER:
            self._respond(request, address, 200)
        else:
            status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            data = self._respond(request, address, status)
            if status == 200:
                self._answered[request.call_id] = data
                loop = asyncio.get_running_loop()
                self._timers[request.call_id] = [
                    loop.call_later(seconds, self._transport.sendto, data, address) for seconds in self.copies
                ]

    def _acknowledged(self, request: Request, address: Address) -> None:
        answer = self._answered.get(request.call_id)
        if self.deaf or answer is None:
            return
        self._silence(request.call_id)
        if self.crossing:
            self._transport.sendto(answer, address)
        if not self.stays:
            self._hang_up(request, address)

    def _hang_up(self, ack: Request, address: Address) -> None:
        own = self._transport.get_extra_info("sockname")
        headers = Headers(
            (
                ("Via", f"SIP/2.0/UDP {own[0]}:{own[1]};branch=z9hG4bK{token()}"),
                ("Max-Forwards", "70"),
                ("From", ack.headers.get("to") or ""),
                ("To", ack.headers.get("from") or ""),
                ("Call-ID", ack.call_id),
                ("CSeq", "1 BYE"),
            )
        )
        self._transport.sendto(Request("BYE", f"sip:{address[0]}:{address[1]}", headers).to_bytes(), address)

    def _silence(self, call_id: str) -> None:
        for timer in self._timers.pop(call_id, ()):
            timer.cancel()

    def _respond(self, request: Request, address: Address, status: int) -> bytes:
        own = self._transport.get_extra_info("sockname")
        headers = [("Contact", f"<sip:phone@{own[0]}:{own[1]}>")]
        if self.record_route:
            headers.append(("Record-Route", f"<sip:{own[0]}:{own[1]};lr>"))
        if status == 407:
            challenge = f'Digest realm="x", nonce="{token(10)}", qop="auth", algorithm=MD5'
            headers.append(("Proxy-Authenticate", challenge))
        data = make_response(request, status, to_tag="phone", headers=headers).to_bytes()
        self._transport.sendto(data, address)
        return data


@asynccontextmanager
async def ringing(phone: Phone) -> AsyncIterator[Aim]:
    """An aim at the telephone."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: phone, local_addr=(GOOD_CALLER, 0))
    try:
        yield Aim(
            host="127.0.0.1",
            port=transport.get_extra_info("sockname")[1],
            transport="UDP",
            domain="example.com",
            number="+31201234567",
            patience=0.5,
            grace=0.05,
            busy_seconds=0.05,
            user="pbx" if phone.challenges else None,
            password="long and secret" if phone.challenges else None,
        )
    finally:
        phone.close()
