"""UDP ports for the sound of tests: none that another program, or another test at the same time, has."""

from __future__ import annotations

import os
import random
import socket
from itertools import count
from typing import Final

_FIRST, _END = 10_000, 32_000
"""Below what the system gives out."""
_SPAN: Final = 512
"""The most that a test asks for; no two ranges that are given out share a port."""
_turns = count(random.randrange(_END))


def free_rtp_range(span: int) -> int:
    """The first port of a range that nobody uses, and that tests run beside this one will not be given.

    A range is used only while calls run, so what another test was given looks free, and what one hears on its
    ports would be the other's sound.
    """
    assert span <= _SPAN
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    mine = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ranges = range(_FIRST + mine * _SPAN, _END - _SPAN, workers * _SPAN)
    for _ in ranges:
        first = ranges[next(_turns) % len(ranges)]
        try:
            for port in range(first, first + span):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no free range of UDP ports")
