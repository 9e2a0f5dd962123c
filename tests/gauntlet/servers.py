"""Servers that do what no server should, so that the gauntlet has something to find."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from voice.gauntlet.aim import Aim
from voice.sip.errors import SipParseError
from voice.sip.message import Request, parse_message
from voice.sip.respond import make_response

Address = tuple[str, int]


class Yes(asyncio.DatagramProtocol):
    """Answers 200 to whatever can be read, and relays along any Route but to itself."""

    def __init__(self, *, dies_after: int | None = None, silent: bool = False) -> None:
        self._left = dies_after
        self._silent = silent

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        self.port: int = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, address: Address) -> None:
        if self._left is not None:
            self._left -= 1
        if self._silent or (self._left is not None and self._left < 0):
            return
        try:
            message = parse_message(data)
        except SipParseError:
            return
        if not isinstance(message, Request) or message.method == "ACK":
            return
        for route in message.routes:
            uri = route.sip_uri
            if uri.port != self.port:
                self._transport.sendto(data, (uri.address, uri.port or 5060))
        headers = [("Server", "Yes/1.2.3")]
        if message.method == "INVITE":
            headers.append(("Contact", f"<sip:yes@127.0.0.1:{self.port}>"))
        self._transport.sendto(make_response(message, 200, to_tag="yes", headers=headers).to_bytes(), address)

    def close(self) -> None:
        self._transport.close()


@asynccontextmanager
async def bad_server(*, dies_after: int | None = None, silent: bool = False) -> AsyncIterator[Aim]:
    """An aim at such a server."""
    loop = asyncio.get_running_loop()
    _, server = await loop.create_datagram_endpoint(
        lambda: Yes(dies_after=dies_after, silent=silent), local_addr=("127.0.0.1", 0)
    )
    try:
        yield Aim(
            host="127.0.0.1",
            port=server.port,
            transport="UDP",
            domain="example.com",
            patience=0.2,
            grace=0.05,
            flood_seconds=0.5,
        )
    finally:
        server.close()
