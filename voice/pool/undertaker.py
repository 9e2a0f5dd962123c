"""Ends the dialogs of a call process that died, so that nobody is left talking to silence.

The edge keeps no dialogs; but the process told its parent what each dialog is known by, and that
is enough to send the BYE in its stead, through the edge, along the dialog's own signed route.
"""

from __future__ import annotations

import asyncio
import logging
import secrets

from voice.media.seam import DialogFacts
from voice.sip.errors import SipParseError
from voice.sip.headers import Headers
from voice.sip.message import Request, Response, parse_message

log = logging.getLogger(__name__)

CSEQ = 1 << 30
"""Above any CSeq that the dead process used: pjsip begins below 2**16 and counts by ones."""

RESEND_SECONDS = (0.5, 1.0, 2.0, 4.0)
"""Timer E over UDP (RFC 3261 section 17.1.2.2), cut after 7.5 s: the edge is on this machine."""


class Undertaker(asyncio.DatagramProtocol):
    """Sends BYEs from a loopback socket of its own to the edge's inside address."""

    def __init__(self) -> None:
        self._edge = ("", 0)
        self._transport: asyncio.DatagramTransport | None = None
        self._waiting: dict[str, asyncio.Future[int]] = {}
        self._closed = asyncio.Event()

    async def start(self, edge: tuple[str, int]) -> None:
        """`edge` is the inside address of the edge."""
        self._edge = edge
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, local_addr=(self._edge[0], 0)
        )

    async def stop(self) -> None:
        """Returns when the socket is closed."""
        if self._transport is not None:
            self._transport.close()
            await self._closed.wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            message = parse_message(data)
        except SipParseError:
            return
        if isinstance(message, Response) and message.status >= 200:
            future = self._waiting.get(message.via.branch or "")
            if future is not None and not future.done():
                future.set_result(message.status)

    async def bury(self, dialog: DialogFacts) -> int | None:
        """Sends BYE; the final status, or None when none came."""
        if self._transport is None:
            raise RuntimeError("the undertaker was not started")
        branch = "z9hG4bK" + secrets.token_hex(12)
        host, port = self._transport.get_extra_info("sockname")
        request = _bye(dialog, f"SIP/2.0/UDP {host}:{port};branch={branch}").to_bytes()
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[branch] = answer
        try:
            for seconds in RESEND_SECONDS:
                self._transport.sendto(request, self._edge)
                done, _ = await asyncio.wait({answer}, timeout=seconds)
                if done:
                    return answer.result()
        finally:
            del self._waiting[branch]
        log.warning("nobody answered the BYE for dialog %s", dialog.call_id)
        return None


def _bye(dialog: DialogFacts, via: str) -> Request:
    headers = Headers()
    headers.add("Via", via)
    headers.add("Max-Forwards", "70")
    for route in dialog.routes:
        headers.add("Route", route)
    headers.add("From", dialog.local)
    headers.add("To", dialog.remote)
    headers.add("Call-ID", dialog.call_id)
    headers.add("CSeq", f"{CSEQ} BYE")
    headers.add("Reason", 'SIP;cause=500;text="The call process died"')
    return Request("BYE", dialog.target, headers, b"")
