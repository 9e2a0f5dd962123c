"""The ground of one attack: its sockets, the requests it makes, and the exchanges it has."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Final, TypedDict, Unpack

from voice.gauntlet.aim import Aim
from voice.gauntlet.attack import Failed, Skipped
from voice.gauntlet.reply import Reply, statuses
from voice.gauntlet.wire import StreamWire, UdpWire, Wire, local_address, open_stream
from voice.sip.headers import Headers
from voice.sip.message import Request, Response

_T1: Final = 0.5
METHODS: Final = (
    *("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "PRACK", "SUBSCRIBE", "NOTIFY", "PUBLISH"),
    *("INFO", "REFER", "MESSAGE", "UPDATE"),
)
"""The methods of RFC 3261 and its extensions."""


def token(octets: int = 8) -> str:
    return os.urandom(octets).hex()


class Said(TypedDict, total=False):
    """What a request says of itself, where it is to differ from what is usual."""

    via: str
    sent_by: str
    branch: str
    max_forwards: str
    from_: str
    to: str
    call_id: str
    cseq: str
    contact: str


class Field:
    """Made for one attack; `close` gives all of its sockets back."""

    def __init__(self, aim: Aim, source: str | None) -> None:
        self.aim = aim
        self.server = (aim.host, aim.port)
        self.source = source
        self._wires: list[Wire] = []
        self.hung_up: set[str] = set()
        """Call-IDs of calls that the server hung up."""

    # -- sockets -----------------------------------------------------------------------------

    async def wire(self, source: str | None = None) -> Wire:
        """A socket of the transport that was asked for."""
        if self.aim.transport == "UDP":
            return self.udp(source=source)
        return await self.stream(source=source)

    def udp(self, port: int = 0, source: str | None = None) -> UdpWire:
        """A UDP socket.  Raises Skipped when the target was given by another transport, or OSError."""
        if self.aim.transport != "UDP":
            raise Skipped("needs UDP: say --transport udp")
        wire = UdpWire(self.server, source or self.source, port)
        self._wires.append(wire)
        return wire

    async def stream(self, source: str | None = None, *, tls: bool | None = None) -> StreamWire:
        """A connection; to a UDP target, a TCP one to the same port.  Raises Skipped when it is refused."""
        secure = self.aim.transport == "TLS" if tls is None else tls
        try:
            wire = await open_stream(
                self.server,
                source or self.source,
                tls=secure,
                within=self.aim.patience,
                name=self.aim.domain,
            )
        except (OSError, TimeoutError) as fault:
            problem = str(fault) or "no answer"
            raise Skipped(
                f"no {'TLS' if secure else 'TCP'} connection to {self.aim.server}: {problem}"
            ) from None
        self._wires.append(wire)
        return wire

    def victim(self) -> UdpWire:
        """Somebody who has nothing to do with it, and must get nothing."""
        own = self.source or local_address(self.server)
        source = "127.99.0.1" if self.aim.loopback and not self.aim.ipv6 else own
        wire = UdpWire(self.server, source)
        self._wires.append(wire)
        return wire

    def close(self) -> None:
        for wire in self._wires:
            wire.close()
        self._wires.clear()

    # -- requests ----------------------------------------------------------------------------

    def uri(self, user: str | None = None) -> str:
        """A Request-URI in the target's domain; for its number when no user is given."""
        return f"sip:{user or self.aim.number or '+31200000000'}@{self.aim.domain}"

    def request(
        self,
        method: str,
        wire: Wire,
        uri: str | None = None,
        *headers: tuple[str, str],
        body: bytes = b"",
        **of: Unpack[Said],
    ) -> Request:
        """A request; `of` replaces what it says of itself."""
        uri = uri or self.uri()
        host = f"[{wire.host}]" if ":" in wire.host else wire.host
        sent_by = of.get("sent_by") or f"{host}:{wire.port}"
        branch = of.get("branch") or f"z9hG4bK{token()}"
        user = self.aim.user or "gauntlet"
        fields = [
            ("Via", of.get("via") or f"SIP/2.0/{wire.transport} {sent_by};branch={branch};rport"),
            ("Max-Forwards", of.get("max_forwards") or "70"),
            ("From", of.get("from_") or f"<sip:{user}@{self.aim.domain}>;tag={token(4)}"),
            ("To", of.get("to") or f"<{uri}>"),
            ("Call-ID", of.get("call_id") or token()),
            ("CSeq", f"{of.get('cseq') or '1'} {method}"),
        ]
        if method in ("INVITE", "UPDATE", "REFER", "SUBSCRIBE", "NOTIFY", "REGISTER"):
            fields.append(("Contact", of.get("contact") or f"<{contact_uri(wire)}>"))
        fields += headers
        if method == "INVITE" and not body:
            body = offer(wire)
            fields.append(("Content-Type", "application/sdp"))
        return Request(method, uri, Headers(fields), body)

    # -- exchanges ---------------------------------------------------------------------------

    async def ask(
        self,
        wire: Wire,
        message: Request | bytes,
        *,
        within: float | None = None,
        ringing: float | None = None,
        finals: int = 1,
    ) -> list[Reply]:
        """Sends, again over UDP when nothing comes, and gives what came until the last final response.

        `ringing`: how long to wait for it once a call rings.
        """
        data = message if isinstance(message, bytes) else message.to_bytes()
        call_id = message.call_id if isinstance(message, Request) else None
        until = time.monotonic() + (within or self.aim.patience)
        again = _T1
        replies: list[Reply] = []
        await wire.send(data)
        while (left := until - time.monotonic()) > 0:
            reply = await wire.receive(min(left, again) if wire.transport == "UDP" and not replies else left)
            if reply is None:
                if wire.transport != "UDP" or replies or time.monotonic() >= until:
                    break
                again *= 2
                await wire.send(data)
                continue
            if reply.method:
                await self.obey(wire, reply)
            elif call_id is None or reply.get("call-id") in (call_id, ""):
                replies.append(reply)
                if sum(one.final for one in replies) >= finals:
                    break
                if ringing is not None and reply.let_in:
                    until = min(until, time.monotonic() + ringing)
        return replies

    async def settled(self, wire: Wire) -> list[Reply]:
        """All that comes by the wire until the server has answered an OPTIONS that is sent now."""
        marker = self.request("OPTIONS", wire, f"sip:{self.aim.domain}")
        await wire.send(marker.to_bytes())
        until = time.monotonic() + self.aim.patience
        replies: list[Reply] = []
        while (left := until - time.monotonic()) > 0:
            reply = await wire.receive(left)
            if reply is None:
                break
            if reply.get("call-id") == marker.call_id:
                until = min(until, time.monotonic() + self.aim.grace)
            elif reply.method:
                await self.obey(wire, reply)
            else:
                replies.append(reply)
        return replies

    async def obey(self, wire: Wire, reply: Reply) -> None:
        """Answers a request of the server as any telephone would."""
        if reply.method == "ACK":
            return
        if reply.method == "BYE":
            self.hung_up.add(reply.get("call-id"))
        await wire.send(respond_to(reply, 200).to_bytes())

    async def nothing_at(self, victim: Wire, came: Sequence[Reply] = ()) -> None:
        """Raises Failed when the victim got something."""
        stray = await victim.receive(self.aim.grace)
        if stray is not None:
            raise Failed(
                f"{statuses(came)}; a third party got {stray}", "the server sent to where a stranger said"
            )


def respond_to(request: Reply, status: int) -> Response:
    copied = ("via", "from", "to", "call-id", "cseq")
    headers = Headers((name.title(), value) for name, value in request.fields if name in copied)
    return Response(status, "OK", headers)


def contact_uri(wire: Wire) -> str:
    host = f"[{wire.host}]" if ":" in wire.host else wire.host
    params = "" if wire.transport == "UDP" else f";transport={wire.transport.lower()}"
    return f"sip:gauntlet@{host}:{wire.port}{params}"


def offer(wire: Wire) -> bytes:
    """An SDP offer of G.711; nobody listens at its port."""
    family = "IP6" if ":" in wire.host else "IP4"
    return (
        f"v=0\r\no=- 1 1 IN {family} {wire.host}\r\ns=-\r\nc=IN {family} {wire.host}\r\nt=0 0\r\n"
        "m=audio 40000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"
    ).encode()
