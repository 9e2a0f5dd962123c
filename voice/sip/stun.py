"""STUN binding requests (RFC 8489), which keep the way to a client behind NAT open (RFC 5626, 4.4.2).

They come to the same UDP socket as SIP and are told apart by their first bits (RFC 5626 section 5).
"""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import Final
from zlib import crc32

_HEADER: Final = struct.Struct("!HHI12s")
_REQUEST: Final = 0x0001
_RESPONSE: Final = 0x0101
_COOKIE: Final = 0x2112A442
_COOKIE_BYTES: Final = _COOKIE.to_bytes(4, "big")
_XOR_MAPPED_ADDRESS: Final = 0x0020
_FINGERPRINT: Final = 0x8028
_FINGERPRINT_XOR: Final = 0x5354554E
_MOST: Final = 548
"""Bytes of a request."""


def binding_response(data: bytes, host: str, port: int) -> bytes | None:
    """The answer to a binding request from this address; None: it is not one."""
    if not _HEADER.size <= len(data) <= _MOST:
        return None
    kind, length, cookie, transaction = _HEADER.unpack_from(data)
    if kind != _REQUEST or cookie != _COOKIE or length != len(data) - _HEADER.size or length % 4:
        return None
    address = ip_address(host.partition("%")[0])
    mask = _COOKIE_BYTES if address.version == 4 else _COOKIE_BYTES + transaction
    masked = bytes(one ^ other for one, other in zip(address.packed, mask, strict=True))
    family = 1 if address.version == 4 else 2
    value = struct.pack("!BBH", 0, family, port ^ (_COOKIE >> 16)) + masked
    attribute = struct.pack("!HH", _XOR_MAPPED_ADDRESS, len(value)) + value
    # The fingerprint covers a length that counts it.
    answer = _HEADER.pack(_RESPONSE, len(attribute) + 8, cookie, transaction) + attribute
    return answer + struct.pack("!HHI", _FINGERPRINT, 4, crc32(answer) ^ _FINGERPRINT_XOR)
