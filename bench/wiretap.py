"""Listens on loopback: when each call's INVITE, its 200 and its first sound crossed the wire.

A packet socket with a filter in the kernel and the kernel's time stamps: what is timed does not depend on
when this program gets its turn.  Needs root or CAP_NET_RAW.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Final

_ETH_P_IP: Final = 0x0800
_SO_TIMESTAMPNS: Final = 35
_SO_ATTACH_FILTER: Final = 26
_SO_RCVBUFFORCE: Final = 33
_SOL_PACKET: Final = 263
_PACKET_STATISTICS: Final = 6
_PACKET_IGNORE_OUTGOING: Final = 23
"""Loopback shows every packet twice, as it leaves and as it arrives."""
_RECEIVE_BUFFER: Final = 16 << 20

_RTP_HEADER: Final = 12
_ALAW: Final = 8
_LOUD: Final = 16
"""A-law magnitudes from 16 on are samples above 256: -42 dBFS."""


@dataclass(slots=True)
class CallTimes:
    """Seconds since the epoch; 0.0 for what has not happened."""

    invited: float = 0.0
    """The first INVITE, which is challenged."""
    authorised: float = 0.0
    """The INVITE with credentials."""
    answered: float = 0.0
    first_packet: float = 0.0
    first_sound: float = 0.0
    """The first packet with anything to hear in it."""
    last_packet: float = 0.0
    packets: int = 0
    longest_gap: float = 0.0
    """Between packets of the first second: 20 ms is due."""
    said_bye: float = 0.0
    refused: str = ""
    """A final response that is neither 2xx nor 407."""


@dataclass(slots=True)
class Wire:
    """What was seen, by Call-ID."""

    calls: dict[bytes, CallTimes] = field(default_factory=dict)
    lost: int = 0
    """Packets that the kernel could not keep for us."""


class Wiretap(threading.Thread):
    """Use as a context manager."""

    def __init__(self, sip_port: int, rtp_first: int, rtp_last: int) -> None:
        """`sip_port` is the platform's; its RTP comes from the range.  Raises PermissionError."""
        super().__init__(name="wiretap", daemon=True)
        self.wire = Wire()
        self._sip_port = sip_port
        self._by_rtp_port: dict[int, CallTimes] = {}
        self._stopping = False
        # Protocol 0 receives nothing until it is bound, with the filter in place.
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        _attach(self._socket, _filter(sip_port, rtp_first, rtp_last))
        self._socket.bind(("lo", _ETH_P_IP))
        self._socket.settimeout(0.2)

    def __enter__(self) -> Wiretap:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self.join()
        counts = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        self.wire.lost = struct.unpack("II", counts)[1]
        self._socket.close()

    def run(self) -> None:
        receive = self._socket.recvmsg
        while not self._stopping:
            try:
                data, ancillary, _, _ = receive(2048, 64)
            except TimeoutError:
                continue
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
            self._packet(data, seconds + nanoseconds / 1e9)

    def _packet(self, data: bytes, at: float) -> None:
        start = (data[0] & 0x0F) * 4
        source, target = struct.unpack_from("!HH", data, start)
        body = start + 8
        if target == self._sip_port:
            self._from_caller(data[body:], at)
        elif source == self._sip_port:
            self._from_platform(data[body:], at)
        else:
            times = self._by_rtp_port.get(source)
            if times is not None:
                _sound(times, data, body, at)

    def _from_caller(self, message: bytes, at: float) -> None:
        if not message.startswith(b"INVITE "):
            return
        times = self.wire.calls.setdefault(_header(message, b"Call-ID"), CallTimes())
        times.invited = times.invited or at
        if b"\nProxy-Authorization:" in message:
            times.authorised = times.authorised or at

    def _from_platform(self, message: bytes, at: float) -> None:
        times = self.wire.calls.get(_header(message, b"Call-ID"))
        if times is None:
            return
        if message.startswith(b"BYE "):
            times.said_bye = times.said_bye or at
        elif message.startswith(b"SIP/2.0 ") and _header(message, b"CSeq").endswith(b"INVITE"):
            status = message[8:11]
            if status == b"200" and not times.answered:
                times.answered = at
                self._by_rtp_port[_media_port(message)] = times
            elif status >= b"300" and status != b"407":
                times.refused = message[8:].partition(b"\r\n")[0].decode(errors="replace")


def _sound(times: CallTimes, data: bytes, body: int, at: float) -> None:
    if times.packets == 0:
        times.first_packet = at
    elif at - times.first_packet < 1.0:
        times.longest_gap = max(times.longest_gap, at - times.last_packet)
    if not times.first_sound and data[body + 1] & 0x7F == _ALAW:
        payload = data[body + _RTP_HEADER :]
        if any((byte ^ 0x55) & 0x7F >= _LOUD for byte in payload):
            times.first_sound = at
    times.packets += 1
    times.last_packet = at


def _header(message: bytes, name: bytes) -> bytes:
    start = message.find(b"\n" + name + b":")
    if start < 0:
        return b""
    start += len(name) + 2
    return message[start : message.find(b"\r\n", start)].strip()


def _media_port(message: bytes) -> int:
    start = message.find(b"\nm=audio ")
    return int(message[start + 9 :].split(b" ", 1)[0]) if start >= 0 else 0


# -- the filter: classic BPF, as in linux/filter.h ----------------------------------------------

_LOAD_BYTE: Final = 0x30
_LOAD_HALF_AT_X: Final = 0x48
_X_HEADER_LENGTH: Final = 0xB1
_IF_EQUAL: Final = 0x15
_IF_AT_LEAST: Final = 0x35
_IF_MORE: Final = 0x25
_RETURN: Final = 0x06

_WHOLE: Final = 2048


def _filter(sip_port: int, rtp_first: int, rtp_last: int) -> list[tuple[int, int, int, int]]:
    """UDP to or from the SIP port, and from the RTP ports.  Each: code, jump if true, if false, operand."""
    return [
        (_LOAD_BYTE, 0, 0, 9),
        (_IF_EQUAL, 0, 8, socket.IPPROTO_UDP),
        (_X_HEADER_LENGTH, 0, 0, 0),
        (_LOAD_HALF_AT_X, 0, 0, 0),  # source port
        (_IF_EQUAL, 4, 0, sip_port),
        (_IF_AT_LEAST, 0, 1, rtp_first),
        (_IF_MORE, 0, 2, rtp_last),
        (_LOAD_HALF_AT_X, 0, 0, 2),  # destination port
        (_IF_EQUAL, 0, 1, sip_port),
        (_RETURN, 0, 0, _WHOLE),
        (_RETURN, 0, 0, 0),
    ]


def _attach(tap: socket.socket, instructions: list[tuple[int, int, int, int]]) -> None:
    program = b"".join(struct.pack("HBBI", *one) for one in instructions)
    code = ctypes.create_string_buffer(program)
    tap.setsockopt(
        socket.SOL_SOCKET,
        _SO_ATTACH_FILTER,
        struct.pack("HL", len(instructions), ctypes.addressof(code)),
    )
