"""Datagrams that only keep a way through NAT open (RFC 5626 section 4.4)."""

from __future__ import annotations

from typing import Final

from voice.edge.core.kernel import Kernel
from voice.sip.flow import Flow
from voice.sip.stun import binding_response

_BLANK: Final = b"\r\n \0"
"""Bytes of the keepalives that have no standard and that telephones send all the same."""
_LONGEST_BLANK: Final = 8


def kept_alive(kernel: Kernel, data: bytes, source: Flow) -> bool:
    """Whether what could not be read as SIP is such a datagram; one that asks is answered."""
    if source.transport != "UDP":
        return False
    if len(data) <= _LONGEST_BLANK and not data.strip(_BLANK):
        return True
    answer = binding_response(data, source.host, source.port)
    if answer is None:
        return False
    kernel.outbox.append((source, answer))
    return True
