"""The server's side of digest authentication: challenges without state, and the verdict on an answer.

A nonce is the time it was made, a counter, to whom it was sent, and an HMAC of them, so nothing is kept for
a challenge that nobody answers.  Only a nonce that was answered correctly is remembered, with the counts
(nc) it was used with, until it expires (RFC 7616 sections 3.3, 3.4 and 5.12).
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sip_config.model import DigestAlgorithm
from voice.sip.digest import Credentials, digest, digest_response, parse_credentials
from voice.sip.errors import SipParseError
from voice.sip.headers import printable
from voice.sip.message import Request
from voice.sip.params import quote, unquote
from voice.sip.uri import equivalent, parse_uri

NONCE_SECONDS: Final = 300.0
"""A PBX that keeps a nonce saves one round trip per call while it lasts; what is stolen lasts no longer."""
TRACKED_NONCES: Final = 65_536
"""Nonces whose counts are remembered, in about 16 MB: the last 43 s of 1,500 calls per second."""
_NC_WINDOW: Final = 64
"""How far behind the highest count another may arrive: requests overtake each other on UDP."""

_SOURCE_BYTES: Final = 4
_SOURCE_TAGS: Final = 4_096
"""Sources whose part of the nonce is remembered: the same few PBXs ask again and again."""
_ID_BYTES: Final = 14 + _SOURCE_BYTES
_MAC_BYTES: Final = 16

Lookup = Callable[[str, DigestAlgorithm], Sequence[str | None]]
"""The stored HA1s (lower-case hexadecimal) of all SIP accounts of a user name; None: not for it."""


class Outcome(StrEnum):
    OK = "ok"
    NO_CREDENTIALS = "no credentials"
    MALFORMED_DIGEST = "malformed digest"
    UNSUPPORTED_ALGORITHM = "unsupported algorithm"
    SESSION_ALGORITHM = "session algorithm"
    WRONG_URI = "wrong digest URI"
    UNKNOWN_USER = "unknown user"
    WRONG_PASSWORD = "wrong password"  # noqa: S105 - the name of a verdict
    STALE = "stale"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    outcome: Outcome
    remedy: str = ""
    """The sentence that says what to change; empty when all is well.  For records, not for the wire."""
    username: str | None = None
    """As claimed; proven only when the outcome is OK."""
    algorithm: DigestAlgorithm | None = None
    match: int | None = None
    """Which of the HA1s that were looked up fits."""
    source_proven: bool = False
    """Whether the challenge that was answered had been sent to the address that the answer came from."""

    @property
    def ok(self) -> bool:
        return self.outcome is Outcome.OK

    @property
    def stale(self) -> bool:
        """The password was right and only the nonce has to be new: challenge again, saying so."""
        return self.outcome in (Outcome.STALE, Outcome.REPLAY)


class Challenger:
    """Makes challenges for one realm, and judges what comes back.

    `secret`: 16 bytes or more, shared by all edges whose challenges the others are to understand.
    `salt`: random bytes of this instance, so that two of them never make the same nonce.
    """

    def __init__(
        self,
        *,
        realm: str,
        secret: bytes,
        salt: bytes,
        nonce_seconds: float = NONCE_SECONDS,
        tracked_nonces: int = TRACKED_NONCES,
    ) -> None:
        if len(secret) < 16 or len(salt) < 4:
            raise ValueError("a challenger needs a secret of at least 16 bytes and a salt of at least 4")
        self.realm = realm
        self._key = hmac.digest(secret, b"trunkflow nonce " + realm.encode(), hashlib.sha256)
        self._nobodys_ha1 = {algorithm: digest(algorithm, self._key.hex()) for algorithm in DigestAlgorithm}
        self._salt = salt[:4]
        self._nonce_seconds = nonce_seconds
        self._made = 0
        self._used = UsedNonces(tracked_nonces)
        self._source_tags: dict[str, bytes] = {}

    def challenges(
        self, algorithms: Iterable[DigestAlgorithm], now: float, *, stale: bool = False, source: str = ""
    ) -> list[str]:
        """One header value per algorithm, for as many header fields in this order (RFC 8760 section 2.4).

        `now`: seconds since the epoch, so that nonces outlive a restart.  `source`: where it is sent to.
        """
        nonce = self._nonce(now, source)
        end = ", stale=true" if stale else ""
        realm = quote(self.realm)
        return [
            f'Digest realm={realm}, nonce="{nonce}", algorithm={algorithm}, qop="auth"{end}'
            for algorithm in algorithms
        ]

    def verify(
        self,
        request: Request,
        lookup: Lookup,
        *,
        algorithms: Sequence[DigestAlgorithm],
        now: float,
        header: str = "Proxy-Authorization",
        source: str = "",
    ) -> Verdict:
        """Judges the credentials for our realm.  `algorithms`: those offered; `now` as in `challenges`.

        `header`: Proxy-Authorization for what was challenged with 407, Authorization for 401.  `source`: the
        address it came from, which may be another than the challenge went to: that is only told.  Takes as
        long for an unknown user as for a wrong password.
        """
        try:
            credentials = self._ours(request.headers.lines(header), algorithms, now)
        except SipParseError as error:
            return Verdict(
                outcome=Outcome.MALFORMED_DIGEST,
                remedy=f"{header} cannot be read: {printable(error.problem)}. Let the PBX answer as RFC 7616 "
                "section 3.4 has it; a newer version of its software may.",
            )
        if credentials is None:
            return Verdict(
                outcome=Outcome.NO_CREDENTIALS,
                remedy=f"The request has no digest for realm {self.realm}: "
                "enter the user name and password of a SIP account in the PBX.",
            )
        if credentials.algorithm is None and credentials.algorithm_name.lower().endswith("-sess"):
            return _refuse(
                Outcome.SESSION_ALGORITHM,
                credentials,
                f"The digest uses {printable(credentials.algorithm_name[:40])}, which is never offered: "
                f"let the PBX use {' or '.join(algorithms)}, without -sess.",
            )
        if credentials.algorithm not in algorithms or credentials.algorithm is None:
            return _refuse(
                Outcome.UNSUPPORTED_ALGORITHM,
                credentials,
                "The digest uses an algorithm that was not offered: "
                f"let the PBX use {' or '.join(algorithms)}.",
            )
        if not _same_resource(credentials.uri, request):
            return _refuse(
                Outcome.WRONG_URI,
                credentials,
                f"The digest was computed for {printable(credentials.uri[:200])}, the request is for "
                f"{printable(request.uri[:200])}: let the PBX sign the Request-URI.",
            )
        made = self._made_at(credentials.nonce)
        if made is not None and not self._in_time(made[1], now):
            made = None
        proven = made is not None and made[0].endswith(self._source_tag(source))
        return self._judge(request.method, credentials, credentials.algorithm, lookup, made, now, proven)

    def answers_challenge(
        self, request: Request, source: str, now: float, header: str = "Proxy-Authorization"
    ) -> bool:
        """Whether the request answers a challenge that was sent to this address, rightly or not."""
        for line in request.headers.lines(header):
            try:
                credentials = parse_credentials(line)
            except SipParseError:
                continue
            if credentials is not None and self.was_sent_to(credentials.nonce, source, now):
                return True
        return False

    def was_sent_to(self, nonce: str, source: str, now: float) -> bool:
        """Whether a challenge with this nonce was sent to this address, not long ago."""
        made = self._made_at(nonce)
        return made is not None and self._in_time(made[1], now) and made[0].endswith(self._source_tag(source))

    def _judge(
        self,
        method: str,
        credentials: Credentials,
        algorithm: DigestAlgorithm,
        lookup: Lookup,
        made: tuple[bytes, float] | None,
        now: float,
        proven: bool,
    ) -> Verdict:
        """`made`: identity and time of the nonce; None: not ours, or no longer good."""
        stored = lookup(credentials.username, algorithm)
        given = credentials.response.encode("utf-8", "surrogateescape")
        match = None
        # Also when there is nothing to compare with, and to the end when something fitted.
        for index, ha1 in enumerate(stored or (None,)):
            right = digest_response(
                algorithm,
                ha1 or self._nobodys_ha1[algorithm],
                method=method,
                uri=credentials.uri,
                nonce=credentials.nonce,
                nc=credentials.nc,
                cnonce=credentials.cnonce,
                qop=credentials.qop,
            )
            if hmac.compare_digest(right.encode(), given) and ha1 is not None:
                match = index
        if match is None:
            return self._wrong(credentials, algorithm, stored, proven)
        if made is None:
            return _refuse(Outcome.STALE, credentials, "The nonce has expired: answer the new challenge.")
        nonce_id, at = made
        # Without qop there is no count: such a nonce serves once.
        count = int(credentials.nc, 16) if credentials.qop else 1
        if not self._used.use(nonce_id, at, count, now - self._nonce_seconds):
            return _refuse(
                Outcome.REPLAY,
                credentials,
                "The nonce was already used with this nc: count up, or answer the new challenge.",
                proven,
            )
        return Verdict(
            outcome=Outcome.OK,
            username=credentials.username,
            algorithm=algorithm,
            match=match,
            source_proven=proven,
        )

    def _ours(
        self, lines: list[str], algorithms: Sequence[DigestAlgorithm], now: float
    ) -> Credentials | None:
        """The credentials for our realm, of several those that may fit; other realms and schemes are others'.

        A PBX may answer several challenges, or add to an old answer a new one instead of replacing it.
        Raises SipParseError when none are for us and some cannot be read.
        """
        ours = []
        unreadable = None
        for line in lines:
            try:
                credentials = parse_credentials(line)
            except SipParseError as error:
                unreadable = unreadable or error
                continue
            if credentials is not None and unquote(credentials.realm) == self.realm:
                ours.append(credentials)
        if not ours:
            if unreadable is not None:
                raise unreadable
            return None
        if len(ours) == 1:
            return ours[0]
        return max(ours, key=lambda one: (one.algorithm in algorithms, self._is_live(one.nonce, now)))

    def _is_live(self, nonce: str, now: float) -> bool:
        made = self._made_at(nonce)
        return made is not None and self._in_time(made[1], now)

    def _in_time(self, made: float, now: float) -> bool:
        # Other edges' clocks may be ahead of ours.
        return -self._nonce_seconds <= now - made <= self._nonce_seconds

    def _wrong(
        self, credentials: Credentials, algorithm: DigestAlgorithm, stored: Sequence[str | None], proven: bool
    ) -> Verdict:
        name = printable(credentials.username[:80])
        if not stored:
            return _refuse(
                Outcome.UNKNOWN_USER,
                credentials,
                f"There is no SIP account {name!r}: use one of the access control list's, or add it.",
                proven,
            )
        if not any(stored):
            return _refuse(
                Outcome.WRONG_PASSWORD,
                credentials,
                f"SIP account {name!r} has no {algorithm} secret stored: set its password again.",
                proven,
            )
        return _refuse(
            Outcome.WRONG_PASSWORD,
            credentials,
            f"The password of SIP account {name!r} is wrong: correct it in the PBX.",
            proven,
        )

    def _source_tag(self, source: str) -> bytes:
        tag = self._source_tags.get(source)
        if tag is None:
            tag = hmac.digest(self._key, b"source " + source.encode(), hashlib.sha256)[:_SOURCE_BYTES]
            if len(self._source_tags) >= _SOURCE_TAGS:
                self._source_tags.clear()
            self._source_tags[source] = tag
        return tag

    def _nonce(self, now: float, source: str) -> str:
        self._made = (self._made + 1) & 0xFFFFFFFF
        moment = int(now * 1000).to_bytes(6, "big") + self._made.to_bytes(4, "big")
        nonce_id = moment + self._salt + self._source_tag(source)
        return (nonce_id + self._mac(nonce_id)).hex()

    def _mac(self, nonce_id: bytes) -> bytes:
        return hmac.digest(self._key, nonce_id, hashlib.sha256)[:_MAC_BYTES]

    def _made_at(self, nonce: str) -> tuple[bytes, float] | None:
        """Identity and time of a nonce of ours; None: somebody else's."""
        if len(nonce) != 2 * (_ID_BYTES + _MAC_BYTES):
            return None
        try:
            octets = bytes.fromhex(nonce)
        except ValueError:
            return None
        nonce_id, mac = octets[:_ID_BYTES], octets[_ID_BYTES:]
        if not hmac.compare_digest(self._mac(nonce_id), mac):
            return None
        return nonce_id, int.from_bytes(nonce_id[:6], "big") / 1000


class UsedNonces:
    """Which counts each nonce was used with, for a bounded number of nonces.

    When the memory is full the oldest nonce is forgotten, and with it all that were made before it: they
    count as used, since it can no longer be told.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._counts: OrderedDict[bytes, tuple[float, int, int]] = OrderedDict()
        self._forgotten_until = float("-inf")

    def use(self, nonce_id: bytes, made: float, count: int, expired: float) -> bool:
        """Notes one use; False when it was noted before.  Forgets nonces made before `expired`."""
        known = self._counts.get(nonce_id)
        if known is None:
            if made <= self._forgotten_until:
                return False
            self._make_room(expired)
            self._counts[nonce_id] = (made, count, 1)
            return True
        _, highest, seen = known
        if count > highest:
            seen = (seen << (count - highest)) | 1 if count - highest < _NC_WINDOW else 1
            self._counts[nonce_id] = (made, count, seen & ((1 << _NC_WINDOW) - 1))
            return True
        behind = highest - count
        if behind >= _NC_WINDOW or seen >> behind & 1:
            return False
        self._counts[nonce_id] = (made, highest, seen | 1 << behind)
        return True

    def __len__(self) -> int:
        return len(self._counts)

    def _make_room(self, expired: float) -> None:
        while self._counts:
            oldest = next(iter(self._counts))
            made = self._counts[oldest][0]
            if made >= expired and len(self._counts) < self._capacity:
                return
            del self._counts[oldest]
            if made >= expired:
                self._forgotten_until = max(self._forgotten_until, made)


def _same_resource(uri: str, request: Request) -> bool:
    if uri == request.uri:
        return True
    try:
        return equivalent(parse_uri(uri), request.sip_uri)
    except SipParseError:
        return False


def _refuse(outcome: Outcome, credentials: Credentials, remedy: str, proven: bool = False) -> Verdict:
    return Verdict(
        outcome=outcome,
        remedy=remedy,
        username=credentials.username,
        algorithm=credentials.algorithm,
        source_proven=proven,
    )
