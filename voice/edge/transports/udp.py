"""UDP sockets, read until they are empty.

`add_reader` and a loop cost a fifth of what asyncio's DatagramProtocol costs per packet.  ICMP errors are
read from the socket's error queue, so that they can be told to the transaction they concern.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import struct
from collections.abc import Callable
from typing import Final

from voice.sip.flow import Flow

log = logging.getLogger(__name__)

BATCH: Final = 64
"""Datagrams read at a time before anything else has its turn."""
_FLOWS_REMEMBERED: Final = 16_384
_LARGEST: Final = 65_535

# linux/errqueue.h and linux/in.h; the socket module does not name them.
_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_ERROR_QUEUE: Final = 0x2000
_UNREACHABLE: Final = (
    errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EPROTO, errno.EACCES,
    errno.ENETDOWN,
)  # fmt: skip

Received = Callable[[bytes, Flow, float], object]
"""A datagram, where it came from, and when (by the clock that was given)."""


class UdpSocket:
    """One bound socket.  Raises OSError when it cannot be had."""

    def __init__(
        self, host: str, port: int, index: int, *, failed: Callable[[Flow], None], receive_buffer: int
    ) -> None:
        self._index = index
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._socket = _bound(host, port, receive_buffer)
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        self._flows: dict[tuple[str, int], Flow] = {}
        self.dropped = 0
        """Datagrams that the system would not take from us."""

    def read(
        self,
        received: Received,
        batch_done: Callable[[], None],
        clock: Callable[[], float],
        emptied: Callable[[bool], None] | None = None,
    ) -> None:
        """Begins to read; `received` gets each datagram, `batch_done` is called after the last of a batch.

        `emptied` is told before that whether the socket was empty then.
        """
        self._loop.add_reader(
            self._socket.fileno(), self._readable, received, batch_done, clock, emptied or _nobody_asks
        )

    @property
    def receive_buffer(self) -> int:
        """Bytes that the system granted, as it counts them."""
        return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    def send(self, data: bytes, flow: Flow) -> None:
        try:
            self._socket.sendto(data, (flow.host, flow.port))
        except BlockingIOError:
            # As if lost on the way: what matters is sent again.
            self.dropped += 1
        except OSError:
            self._read_errors()
            # The error may have been left by an earlier packet to somebody else: this one has another try.
            self._send_again(data, flow)

    def close(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _send_again(self, data: bytes, flow: Flow) -> None:
        try:
            self._socket.sendto(data, (flow.host, flow.port))
        except BlockingIOError:
            self.dropped += 1
        except OSError as fault:
            log.info("could not send to %s: %s", flow, fault)
            self._loop.call_soon(self._failed, flow)

    def _readable(
        self,
        received: Received,
        batch_done: Callable[[], None],
        clock: Callable[[], float],
        emptied: Callable[[bool], None],
    ) -> None:
        receive = self._socket.recvfrom
        now = clock()
        index = self._index
        flows = self._flows
        empty = False
        for _ in range(BATCH):
            try:
                data, address = receive(_LARGEST)
            except BlockingIOError:
                empty = True
                break
            except OSError:
                # Of some earlier packet to somebody: what waits to be read is as good as before.
                self._read_errors()
                continue
            flow = flows.get(address)
            if flow is None:
                if len(flows) >= _FLOWS_REMEMBERED:
                    flows.clear()
                flow = flows[address] = Flow("UDP", index, address[0], address[1])
            received(data, flow, now)
        emptied(empty)
        batch_done()

    def _read_errors(self) -> None:
        """Tells which peers ICMP says cannot be reached."""
        for _ in range(BATCH):
            try:
                _, ancillary, _, address = self._socket.recvmsg(512, 512, _ERROR_QUEUE)
            except OSError:
                return
            for level, kind, data in ancillary:
                if (level, kind) in (
                    (socket.IPPROTO_IP, _IP_RECVERR),
                    (socket.IPPROTO_IPV6, _IPV6_RECVERR),
                ) and len(data) >= 4:
                    (number,) = struct.unpack_from("=I", data)
                    if number in _UNREACHABLE and address:
                        self._loop.call_soon(self._failed, Flow("UDP", self._index, address[0], address[1]))


def _nobody_asks(_emptied: bool) -> None:
    """Of a socket that takes what comes."""


def _bound(host: str, port: int, receive_buffer: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET6:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            found.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        else:
            found.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        found.bind((host, port))
    except OSError:
        found.close()
        raise
    return found
