"""HA1: what is stored of a SIP account's password (RFC 7616 section 3.4.2, RFC 8760)."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from sip_config.model import DigestAlgorithm

_HASHLIB_NAMES: Final = {
    DigestAlgorithm.MD5: "md5",
    DigestAlgorithm.SHA_256: "sha256",
    DigestAlgorithm.SHA_512_256: "sha512_256",
}
HA1_LENGTHS: Final = {
    DigestAlgorithm.MD5: 32,
    DigestAlgorithm.SHA_256: 64,
    DigestAlgorithm.SHA_512_256: 64,
}
"""Hexadecimal digits of an HA1."""

_HEX: Final = re.compile(r"[0-9a-f]+")


def ha1(algorithm: DigestAlgorithm, *, username: str, realm: str, password: str) -> str:
    """``H(username:realm:password)`` in lower-case hexadecimal, the three in UTF-8."""
    # usedforsecurity: MD5 is what SIP asks for; a FIPS build of OpenSSL would refuse it otherwise.
    digest = hashlib.new(_HASHLIB_NAMES[algorithm], usedforsecurity=False)
    digest.update(f"{username}:{realm}:{password}".encode())
    return digest.hexdigest()


def ha1_for_all(*, username: str, realm: str, password: str) -> dict[DigestAlgorithm, str]:
    """One HA1 per algorithm, so that a domain can change what it offers without a new password."""
    return {
        algorithm: ha1(algorithm, username=username, realm=realm, password=password)
        for algorithm in DigestAlgorithm
    }


def is_ha1(algorithm: DigestAlgorithm, text: str) -> bool:
    """Whether the text, in lower case, can be an HA1 of this algorithm."""
    return len(text) == HA1_LENGTHS[algorithm] and _HEX.fullmatch(text) is not None
