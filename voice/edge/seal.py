"""Sealed tokens: what the edge must know to route a later request of a call, carried by the peers.

A token is AES-256-GCM under a key that only the edges of a POP know, written in base64url, so that it
can stand in the user part of a URI.  Nobody else can read it (inside addresses stay inside) or make
one (only what an edge once let in is relayed), and an edge that was restarted can open it.

Layout, before base64url: version (1 byte), hour since the epoch (3), nonce (12), then the ciphertext
with its 16-byte tag.  Each hour has a key of its own, derived from the one given: random nonces of
96 bits are then used for far fewer messages per key than the 2**32 that NIST SP 800-38D section 8.3
allows, and a token ages.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
MAX_AGE_HOURS: Final = 7 * 24
"""Of a token.  Longer than any call lasts: a peer is given new ones only when it is sent a target refresh."""

_VERSION: Final = 1
_HEAD_BYTES: Final = 4
_NONCE_END: Final = 16
_TAG_BYTES: Final = 16
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_", b"+/")
MIN_TOKEN_CHARS: Final = (_NONCE_END + _TAG_BYTES) * 4 // 3
MAX_TOKEN_CHARS: Final = 1_024
"""Of a token that is looked at; ours have about 200."""


class SealError(Exception):
    """The text is no token of ours, or one that has aged: forged, cut, or sealed with another key."""


class Seal:
    """Seals and opens.  `key`: 32 secret bytes, the same for all edges of a POP and across restarts."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"the key of the seal must have {KEY_BYTES} bytes, not {len(key)}")
        self._key = key
        self._ciphers: dict[int, AESGCM] = {}

    def seal(self, plain: bytes, now: float) -> str:
        """A token that holds `plain`; `now` in seconds since the epoch."""
        hour = int(now) // 3_600
        head = bytes((_VERSION, hour >> 16 & 0xFF, hour >> 8 & 0xFF, hour & 0xFF))
        nonce = os.urandom(12)
        sealed = self._cipher(hour).encrypt(nonce, plain, head)
        text = b2a_base64(head + nonce + sealed, newline=False)
        return text.translate(_TO_URL, b"=").decode("ascii")

    def open(
        self,
        token: str | bytes,
        now: float,
        longest: int = MAX_TOKEN_CHARS,
        *,
        of_any_time: bool = False,
    ) -> bytes:
        """What was sealed.  Raises SealError, the same for every way in which a token can be wrong.

        One token can be written in many ways: of base64, what counts for nothing is not looked at.
        `of_any_time`: the plain text says when it was sealed, and whoever asks looks at that.
        """
        if not MIN_TOKEN_CHARS <= len(token) <= longest:
            raise SealError("not a token of this edge")
        try:
            octets = token.encode("ascii") if isinstance(token, str) else token
            raw = a2b_base64(octets.translate(_FROM_URL) + b"=" * (-len(octets) % 4))
        except (UnicodeEncodeError, Base64Error):
            raise SealError("not a token of this edge") from None
        if len(raw) < _NONCE_END + _TAG_BYTES:
            # Characters that are not base64 are skipped by the decoder, so the length says little before.
            raise SealError("not a token of this edge")
        hour = int.from_bytes(raw[1:_HEAD_BYTES], "big")
        age = int(now) // 3_600 - hour
        # One hour ahead: clocks of two edges of a POP may differ a little.
        usual = -1 <= age <= MAX_AGE_HOURS
        if raw[0] != _VERSION or not (usual or of_any_time):
            raise SealError("not a token of this edge")
        cipher = self._cipher(hour) if usual else self._derived(hour)
        try:
            return cipher.decrypt(raw[_HEAD_BYTES:_NONCE_END], raw[_NONCE_END:], raw[:_HEAD_BYTES])
        except InvalidTag:
            raise SealError("not a token of this edge") from None

    def alias(self, text: str) -> str:
        """What only a holder of the key can tell to stand for this text; always the same."""
        octets = text.encode("utf-8", "surrogateescape")
        return hmac.digest(self._key, b"trunkflow alias" + octets, hashlib.sha256)[:16].hex()

    def _cipher(self, hour: int) -> AESGCM:
        cipher = self._ciphers.get(hour)
        if cipher is None:
            # Only hours inside the accepted age come here, so a stranger cannot make this grow further.
            if len(self._ciphers) > MAX_AGE_HOURS + 2:
                self._ciphers.clear()
            cipher = self._ciphers[hour] = self._derived(hour)
        return cipher

    def _derived(self, hour: int) -> AESGCM:
        return AESGCM(hmac.digest(self._key, b"trunkflow seal" + hour.to_bytes(4, "big"), hashlib.sha256))
