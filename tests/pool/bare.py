"""An end of a call made of bare messages, for what no real telephone sends: one UDP socket, one dialog."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

PATIENCE_SECONDS = 20.0


def sdp(codec: str = "8 PCMA/8000", mode: str = "sendrecv", port: int = 9) -> str:
    """An offer of one codec; nobody need listen at the port."""
    number, _, name = codec.partition(" ")
    return (
        f"v=0\r\no=- {secrets.randbelow(10**6)} 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP {number}\r\na=rtpmap:{number} {name}\r\na={mode}\r\n"
    )


class Bare(asyncio.DatagramProtocol):
    """Sends what it is told to; what comes is kept as text."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        host, _, port = uri.rpartition("@")[2].rpartition(":")
        self._there = (host, int(port))
        self.sent_from = '"Bare" <sip:bare@pbx.example.com>'
        self._call_id = secrets.token_hex(8)
        self._tag = secrets.token_hex(4)
        self._branch = ""
        self._to = f"<{uri}>"
        self._target = uri
        self._cseq = 0
        self._messages: list[str] = []
        self._more = asyncio.Event()
        self.transport: asyncio.DatagramTransport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._there = addr
        self._messages.append(data.decode("utf-8", "surrogateescape"))
        self._more.set()

    @property
    def address(self) -> str:
        host, port = self.transport.get_extra_info("sockname")
        return f"{host}:{port}"

    def invite(self, body: str, *headers: str) -> None:
        """INVITE, or a re-INVITE once there is a dialog."""
        self._cseq += 1
        self._branch = secrets.token_hex(8)
        kind = ("Content-Type: application/sdp",) if body else ()
        self._send("INVITE", self._cseq, self._branch, body, *kind, *headers)

    def again(self, body: str) -> None:
        """The same INVITE once more, as after a lost response."""
        self._send("INVITE", self._cseq, self._branch, body, "Content-Type: application/sdp")

    def cancel(self) -> None:
        self._send("CANCEL", self._cseq, self._branch, "")

    def ack(self, body: str = "") -> None:
        kind = ("Content-Type: application/sdp",) if body else ()
        self._send("ACK", self._cseq, secrets.token_hex(8), body, *kind)

    def ack_refusal(self) -> None:
        self._send("ACK", self._cseq, self._branch, "")

    def request(self, method: str, body: str = "", *headers: str) -> None:
        """Any other request within the dialog."""
        self._cseq += 1
        self._send(method, self._cseq, secrets.token_hex(8), body, *headers)

    def called_by(self, invite: str) -> None:
        """Takes over the dialog of an INVITE that it has answered: requests go to whoever called."""
        fields = dict(re.findall(r"\r\n(From|To|Call-ID|Contact): *([^\r]*)", invite))
        self._to, self._call_id = fields["From"], fields["Call-ID"]
        self.sent_from = fields["To"]
        self._target = fields["Contact"].strip("<>")

    def ok(self, request: str) -> None:
        """200 to a request that came, such as BYE."""
        self.answer(request, "200 OK")

    def answer(self, request: str, status: str, body: str = "", *headers: str) -> None:
        """A response to a request that came; `status` is such as ``486 Busy Here``."""
        lines = [
            line
            for line in request.split("\r\n")
            if re.match(r"(?i)(via|from|call-id|cseq|record-route):", line)
        ]
        to = re.search(r"\r\n(To:[^\r]*)", request)
        assert to is not None
        lines.append(to[1] if "tag=" in to[1] or status.startswith("100") else f"{to[1]};tag={self._tag}")
        if body:
            lines += [f"Contact: <sip:bare@{self.address}>", "Content-Type: application/sdp"]
        text = (
            "\r\n".join([f"SIP/2.0 {status}", *lines, *headers, f"Content-Length: {len(body)}", "", ""])
            + body
        )
        self.transport.sendto(text.encode("utf-8", "surrogateescape"), self._there)

    def _send(self, method: str, cseq: int, branch: str, body: str, *headers: str) -> None:
        in_dialog = method != "CANCEL" and self._target != self.uri
        lines = [
            f"{method} {self._target if in_dialog else self.uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.address};branch=z9hG4bK{branch}",
            "Max-Forwards: 70",
            f"From: {self.sent_from};tag={self._tag}",
            f"To: {f'<{self.uri}>' if method == 'CANCEL' else self._to}",
            f"Call-ID: {self._call_id}",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:bare@{self.address}>",
            *headers,
            f"Content-Length: {len(body)}",
        ]
        text = "\r\n".join(lines) + "\r\n\r\n" + body
        self.transport.sendto(text.encode("utf-8", "surrogateescape"), self._there)

    async def response(self, *statuses: int, to: str = "INVITE") -> str:
        """The first message with such a status for this CSeq, waited for."""
        found = await self.message(
            rf"SIP/2\.0 ({'|'.join(map(str, statuses))}) (?s:.*)\r\nCSeq: *{self._cseq} {to}\r\n"
        )
        to_line = re.search(r"\r\nTo: *([^\r]*)", found)
        if to_line and "tag=" in to_line[1]:
            self._to = to_line[1]
        contact = re.search(r"\r\nContact: *<([^>]*)>", found)
        if contact and found.startswith("SIP/2.0 2"):
            self._target = contact[1]
        return found

    async def message(self, pattern: str) -> str:
        """The first message that fits, waited for."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not (found := [text for text in self._messages if re.match(pattern, text)]):
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise AssertionError(f"no {pattern} in {self._messages}") from None
        return found[0]


@asynccontextmanager
async def bare(uri: str) -> AsyncIterator[Bare]:
    """Somebody who may call this URI, or be called; nothing is sent yet."""
    transport, end = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Bare(uri), local_addr=("127.0.0.1", 0)
    )
    end.transport = transport
    try:
        yield end
    finally:
        transport.close()
