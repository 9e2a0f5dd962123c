"""A SIP element on a real socket that does what the test says, as `world.Agent` does without one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.edge.sockets import PATIENCE_SECONDS, udp_socket
from tests.edge.world import SDP, Agent, Dialog
from voice.sip.flow import Flow
from voice.sip.message import Request, Response, parse_message


class _Wire:
    """What an `Agent` sends by."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.proxy = "", 0

    def send(self, data: bytes, _flow: Flow) -> None:
        self.sock.sendto(data, _next_hop(parse_message(data)) or self.proxy)


class Telephone(Agent):
    """Reads its socket while the loop runs; what came waits in `inbox`."""

    def __init__(self, sock: socket.socket) -> None:
        host, port = sock.getsockname()[:2]
        self.wire = _Wire(sock)
        super().__init__(self.wire, host, port, "UDP", None)  # type: ignore[arg-type]
        self._came = asyncio.Event()

    def readable(self) -> None:
        try:
            while True:
                data = self.wire.sock.recv(65_535)
                self.takes(data)
                self._came.set()
        except BlockingIOError:
            pass

    async def hears(self) -> None:
        """Waits until there is a message to take."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self.inbox:
                self._came.clear()
                await self._came.wait()

    async def request_of(self, method: str) -> Request:
        await self.hears()
        return self.gets_request(method)

    async def response_of(self, status: int) -> Response:
        """The next response that is not 100, which has to be this."""
        while True:
            await self.hears()
            if isinstance(self.inbox[0], Response) and self.inbox[0].status == 100 != status:
                self.inbox.pop(0)
                continue
            return self.gets_response(status)

    def calls(self, edge: tuple[str, int], invite: Request) -> None:
        """Sends an INVITE to an edge."""
        self.wire.proxy = edge
        self.send(invite)


@contextmanager
def telephone(host: str = "127.0.0.1") -> Iterator[Telephone]:
    with udp_socket(host) as sock:
        made = Telephone(sock)
        loop = asyncio.get_running_loop()
        loop.add_reader(sock.fileno(), made.readable)
        try:
            yield made
        finally:
            loop.remove_reader(sock.fileno())


async def talk(
    caller: Telephone, callee: Telephone, edge: tuple[str, int], invite: Request
) -> tuple[Dialog, Dialog, Request]:
    """Takes a call as far as its ACK; returns both ends, and the INVITE as it arrived."""
    caller.calls(edge, invite)
    arrived = await callee.request_of("INVITE")
    answer = callee.answer(arrived, 200, body=SDP)
    ok = await caller.response_of(200)
    near, far = Dialog.of_caller(caller, ok), Dialog.of_callee(callee, arrived, answer)
    near.send("ACK", cseq=ok.cseq.number)
    await callee.request_of("ACK")
    return near, far, arrived


def _next_hop(message: Request | Response) -> tuple[str, int] | None:
    if isinstance(message, Response):
        via = message.via
        return via.host, via.port or 5060
    uri = message.routes[0].sip_uri if message.routes else message.sip_uri
    literal = uri.address[:1].isdigit()
    return (uri.address, uri.port or 5060) if literal else None
