"""What crosses loopback: the packets of sound, as they are on the wire.

A packet socket: needs root, or CAP_NET_RAW.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from tests.audio import Samples

_ETH_P_IP = 0x0800
_LINK_HEADER = 14
_UDP = 17
_RTP_HEADER = 12
_PCMU, _PCMA = 0, 8
"""Payload types (RFC 3551)."""
_RECEIVE_BUFFER = 8 << 20
_PORT = re.compile(r"^m=audio (\d+) ", re.MULTILINE)

PLAIN_BYTES = _RTP_HEADER + 160
"""20 ms of G.711."""
TAG_BYTES = 10
"""What AES_CM_128_HMAC_SHA1_80 puts behind it (RFC 4568 section 6.2)."""


def _alaw(code: int) -> int:
    """The sample of an A-law octet, of 16 bits (ITU-T G.711)."""
    segment, step = (code ^ 0x55) >> 4 & 7, (code ^ 0x55) & 0x0F
    size = step * 16 + 8 if segment == 0 else (step * 16 + 264) << (segment - 1)
    return size if code & 0x80 else -size


def _ulaw(code: int) -> int:
    """The sample of a mu-law octet, of 16 bits."""
    flipped = ~code & 0xFF
    size = ((((flipped & 0x0F) << 3) + 132) << (flipped >> 4 & 7)) - 132
    return -size if flipped & 0x80 else size


_SAMPLES = {
    payload: np.array([decoded(code) for code in range(256)]) / 32768.0
    for payload, decoded in ((_PCMA, _alaw), (_PCMU, _ulaw))
}


class Wiretap:
    """RTP packets in G.711 that crossed loopback, in order."""

    def __init__(self) -> None:
        self._packets: list[tuple[int, int, bytes]] = []

    def take(self, frame: bytes) -> None:
        ip = frame[_LINK_HEADER:]
        if len(ip) < 20 or ip[9] != _UDP:
            return
        udp = ip[(ip[0] & 0x0F) * 4 :]
        if len(udp) < 8 + _RTP_HEADER or udp[8] >> 6 != 2 or udp[9] & 0x7F not in _SAMPLES:
            return
        source, target = struct.unpack_from("!HH", udp)
        self._packets.append((source, target, udp[8:]))

    def sent_from(self, ports: Sequence[int]) -> list[bytes]:
        """RTP packets from these ports."""
        return [packet for source, _, packet in tuple(self._packets) if source in ports]

    def sent_to(self, ports: Sequence[int]) -> list[bytes]:
        """RTP packets to these ports."""
        return [packet for _, target, packet in tuple(self._packets) if target in ports]


@contextmanager
def wiretap() -> Iterator[Wiretap]:
    """Listens as long as the context lasts."""
    tap = Wiretap()
    over = threading.Event()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_IP)) as wire:
        wire.bind(("lo", _ETH_P_IP))
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        wire.settimeout(0.05)

        def listen() -> None:
            while not over.is_set():
                try:
                    frame, address = wire.recvfrom(65_535)
                except TimeoutError:
                    continue
                # Loopback shows each packet twice, as it leaves and as it arrives.
                if address[2] != socket.PACKET_OUTGOING:
                    tap.take(frame)

        thread = threading.Thread(target=listen, name="wiretap")
        thread.start()
        try:
            yield tap
        finally:
            over.set()
            thread.join()


def audio_port(message: str) -> int:
    """Where the SDP in a SIP message wants the sound."""
    found = _PORT.search(message)
    assert found is not None, message
    return int(found[1])


def overheard(packets: Sequence[bytes]) -> Samples:
    """What somebody hears who takes the packets for plain G.711."""
    heard = [
        _SAMPLES[packet[1] & 0x7F][np.frombuffer(packet[_RTP_HEADER:PLAIN_BYTES], np.uint8)]
        for packet in packets
    ]
    return np.concatenate(heard) if heard else np.zeros(0)


def sizes(packets: Sequence[bytes]) -> set[int]:
    return {len(packet) for packet in packets}
