"""Sockets of an attacker: datagrams and streams, read into a queue as they come."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Final, Protocol

from voice.gauntlet.reply import Reply, read_reply
from voice.sip.errors import StreamError
from voice.sip.framing import Ping, StreamFramer

_LARGEST: Final = 65_535
_RECEIVE_BUFFER: Final = 1_048_576


class Wire(Protocol):
    """One socket to the server."""

    transport: str
    host: str
    """The local address, without brackets."""
    port: int

    async def send(self, data: bytes) -> None: ...

    async def receive(self, within: float) -> Reply | None:
        """The next message; None: none came in time, or none will."""
        ...

    def close(self) -> None: ...


class UdpWire:
    """A bound UDP socket.  Raises OSError when it cannot be had."""

    transport = "UDP"

    def __init__(self, server: tuple[str, int], source: str | None, port: int = 0) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._inbox: asyncio.Queue[bytes] = asyncio.Queue()
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            self._socket.bind((source or local_address(server), port))
        except OSError:
            self._socket.close()
            raise
        self.host, self.port = self._socket.getsockname()[:2]
        self._loop.add_reader(self._socket.fileno(), self._readable)

    async def send(self, data: bytes) -> None:
        # An error that an earlier packet left is reported once: the second try sends.
        for attempt in range(2):
            try:
                await self._loop.sock_sendto(self._socket, data, self._server)
            except ConnectionError:
                if attempt:
                    raise
            else:
                return

    async def receive(self, within: float) -> Reply | None:
        try:
            async with asyncio.timeout(within):
                return read_reply(await self._inbox.get())
        except TimeoutError:
            return None

    def close(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _readable(self) -> None:
        while True:
            try:
                self._inbox.put_nowait(self._socket.recv(_LARGEST))
            except BlockingIOError:
                return
            except OSError:
                continue  # An ICMP error; what matters is whether something comes.


class StreamWire(asyncio.Protocol):
    """A TCP or TLS connection; `open_stream` makes one."""

    def __init__(self, transport: str) -> None:
        self.transport = transport
        self.host = ""
        self.port = 0
        self.ended = asyncio.Event()
        """The server closed it."""
        self.pongs = 0
        self._framer = StreamFramer()
        self._inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._stream: asyncio.Transport | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._stream = transport
        # One write is one segment, and goes at once.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.host, self.port = transport.get_extra_info("sockname")[:2]

    def data_received(self, data: bytes) -> None:
        if data == b"\r\n":
            self.pongs += 1
            return
        try:
            for frame in self._framer.feed(data):
                if not isinstance(frame, Ping):
                    self._inbox.put_nowait(frame)
        except StreamError:
            # No SIP; the first of it says enough.
            self._inbox.put_nowait(data)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stream = None
        self._writable.set()
        self.ended.set()
        self._inbox.put_nowait(None)

    async def send(self, data: bytes) -> None:
        await self._writable.wait()
        if self._stream is not None:
            self._stream.write(data)

    async def receive(self, within: float) -> Reply | None:
        if self.ended.is_set() and self._inbox.empty():
            return None
        try:
            async with asyncio.timeout(within):
                data = await self._inbox.get()
        except TimeoutError:
            return None
        return None if data is None else read_reply(data)

    async def closes(self, within: float) -> bool:
        """Whether the server ends the connection in time."""
        try:
            async with asyncio.timeout(within):
                await self.ended.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        if self._stream is not None:
            self._stream.abort()


async def open_stream(
    server: tuple[str, int], source: str | None, *, tls: bool, within: float, name: str | None = None
) -> StreamWire:
    """A connection; `name` is the server name that TLS asks for.  Raises OSError."""
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # Whoever is attacked need not prove who it is.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    async with asyncio.timeout(within):
        _, wire = await asyncio.get_running_loop().create_connection(
            lambda: StreamWire("TLS" if tls else "TCP"),
            *server,
            ssl=context,
            server_hostname=name if tls else None,
            local_addr=(source, 0) if source else None,
        )
    return wire


def local_address(server: tuple[str, int]) -> str:
    """The address of this machine that the server sees."""
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(server)
        return str(probe.getsockname()[0])
