"""Ports for what has to be told its own: none that another program, or another test at the same time, has.

A port that the system picked and that was let go again is no such port: the system may give it to the next
connection of anybody, before the program that was told it is up.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from itertools import count
from typing import Final

_RTP: Final = range(10_000, 32_000)
"""Below what Linux gives out by itself (`net.ipv4.ip_local_port_range`, usually 32,768 to 60,999)."""
_SIGNALLING: Final = range(61_000, 65_534)
"""Above it."""
_SPAN: Final = 512
"""The most ports that a test asks for; no two ranges that are given out share one."""
_turns = count(random.randrange(_RTP.stop))


def free_rtp_range(span: int) -> int:
    """The first port of a range that nobody uses, and that tests run beside this one will not be given.

    A range is used only while calls run, so what another test was given looks free, and what one hears on its
    ports would be the other's sound.
    """
    assert span <= _SPAN
    for first in _mine(_RTP, _SPAN):
        if _are_free(range(first, first + span), socket.SOCK_DGRAM):
            return first
    raise AssertionError("no free range of UDP ports")


def free_port() -> int:
    """One that nobody has at any address, neither for UDP nor for TCP, and nor the one after it."""
    for port in _mine(_SIGNALLING, 2):
        if all(_are_free((port, port + 1), kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)):
            return port
    raise AssertionError("no free port")


def _mine(ports: range, span: int) -> Iterator[int]:
    """Where the spans of this worker begin, from the next one on."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    mine = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    firsts = ports[: -span + 1][mine * span :: workers * span]
    for _ in firsts:
        yield firsts[next(_turns) % len(firsts)]


def _are_free(ports: tuple[int, ...] | range, kind: socket.SocketKind) -> bool:
    try:
        for port in ports:
            with socket.socket(socket.AF_INET, kind) as probe:
                # What a connection that is over leaves behind is in nobody's way.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(kind == socket.SOCK_STREAM))
                probe.bind(("", port))
    except OSError:
        return False
    return True
