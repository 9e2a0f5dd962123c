"""UDP ports for the sound of tests: none that another program, or another test at the same time, has."""

from __future__ import annotations

import random
import socket


def free_rtp_range(span: int) -> int:
    """The first port of a range that nobody uses, below those that the system gives out."""
    for _ in range(100):
        first = random.randrange(10_000, 32_000 - span, span)
        try:
            for port in range(first, first + span):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no free range of UDP ports")
