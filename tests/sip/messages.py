"""Variants of usual messages."""

from __future__ import annotations

from bench.sip_messages import BYE


def request_with(*lines: bytes, without: bytes = b"") -> bytes:
    """The BYE with header lines added; `without` names one to leave out."""
    start, *rest = BYE.removesuffix(b"\r\n\r\n").split(b"\r\n")
    kept = [line for line in rest if not without or not line.startswith(without + b":")]
    return b"\r\n".join([start, *kept, *lines]) + b"\r\n\r\n"
