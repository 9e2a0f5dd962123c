"""What one POP tells another of a call that it let in: a sealed, short-lived token for one INVITE.

The edge that met the caller has asked the access control lists and the digest; the edge that handles the
call need not ask again.  It believes the token because only POPs have the key, and because the token names
the POP that it is for, the moment, and the INVITE by its Call-ID, From tag, CSeq and Request-URI.  One token
begins one call: a second INVITE with the same one is a replay.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from typing import Final, NamedTuple

from voice.edge.seal import Seal, SealError
from voice.sip.flow import Flow
from voice.sip.message import Request

HEADER: Final = "X-Trunkflow-Relay"
LIFE_SECONDS: Final = 30.0
"""Before and after the moment that the token names: the time of the tries, and clocks that differ."""
USED_REMEMBERED: Final = 65_536
"""Tokens that have begun a call: 1,000 calls a second for as long as a token lives, some 8 MB."""

_KIND: Final = "relay1"
_LONGEST: Final = 2_048
"""Characters of a token; names have up to 64, each of up to four bytes."""


class RelayToken(NamedTuple):
    """A call that was let in elsewhere, and who vouches for it."""

    issued: float
    origin: str
    """POP that let the call in."""
    target: str
    """POP that is to handle it."""
    domain: str
    """Label of the domain that admitted it."""
    acl: str
    """Name of the access control list that did."""
    sip_account: str
    """User name that proved itself; empty: the source address was enough."""
    source_host: str
    """Of the caller."""
    source_port: int

    @property
    def caller(self) -> Flow:
        """As this edge would know it; nothing is ever sent there."""
        return Flow("UDP", 0, self.source_host, self.source_port)


class NotRelayed(Exception):
    """A token of a POP that does not fit: `cause` is the slug of the reason."""

    def __init__(self, cause: str, rule: str, remedy: str) -> None:
        super().__init__(rule)
        self.cause = cause
        self.rule = rule
        self.remedy = remedy


class RelayTokens:
    """Makes tokens for other POPs, and reads theirs.

    `key`: the same for all POPs of a platform.  `second`: believed as well, while the key is being changed.
    """

    def __init__(self, key: bytes, second: bytes | None = None) -> None:
        self._seal = Seal(key)
        self._believed = (self._seal,) if second is None else (self._seal, Seal(second))
        self._used: OrderedDict[bytes, float] = OrderedDict()

    def make(self, token: RelayToken, request: Request) -> str:
        """The value of the header."""
        text = "\n".join(
            (
                _KIND,
                f"{token.issued:.3f}",
                token.origin,
                token.target,
                token.domain,
                token.acl,
                token.sip_account,
                token.source_host,
                str(token.source_port),
                _binding(request).hex(),
            )
        )
        return self._seal.seal(text.encode(), token.issued)

    def open(self, sealed: str, request: Request, own_pop: str, now: float) -> RelayToken:
        """Raises SealError for what no POP has sealed, and NotRelayed for what is not for here and now."""
        try:
            parts = self._opened(sealed.strip(), now).decode().split("\n")
            kind, issued, origin, target, domain, acl, sip_account, host, port, binding = parts
        except ValueError:
            raise SealError("not a relay token") from None
        if kind != _KIND:
            raise SealError("not a relay token")
        token = RelayToken(float(issued), origin, target, domain, acl, sip_account, host, int(port))
        late = now - token.issued
        if abs(late) > LIFE_SECONDS:
            raise NotRelayed(
                "relay-expired",
                f"POP {origin}: relay token out of its time",
                f"The token of POP {origin} is {abs(late):.0f} s {'old' if late > 0 else 'ahead'}; "
                f"{LIFE_SECONDS:g} s are allowed: set the clocks of both machines by NTP, and restart a node "
                "whose clock was set.",
            )
        if target.lower() != own_pop.lower() or binding != _binding(request).hex():
            raise NotRelayed(
                "relay-misdirected",
                f"POP {origin}: relay token of another call or POP",
                f"The token of POP {origin} is for POP {target} and one INVITE, and this is not it: check "
                "the addresses of the POPs, and what stands between them and changes requests.",
            )
        if _mark(token, request) in self._used:
            raise NotRelayed(
                "relay-replayed",
                f"POP {origin}: relay token used before",
                f"A call has begun with this token of POP {origin} already: somebody repeats what they "
                "heard, or a network delivers twice.",
            )
        return token

    def use(self, token: RelayToken, request: Request, now: float) -> None:
        """A call begins with this token; no other may."""
        used = self._used
        while used and (len(used) >= USED_REMEMBERED or next(iter(used.values())) < now):
            used.popitem(last=False)
        # A clock that is ahead makes tokens that are good for twice as long.
        used[_mark(token, request)] = now + 2 * LIFE_SECONDS

    def _opened(self, sealed: str, now: float) -> bytes:
        for seal in self._believed:
            try:
                # Its time is looked at where it can be told from another key.
                return seal.open(sealed, now, _LONGEST, of_any_time=True)
            except SealError:
                continue
        raise SealError("not a relay token")


def taken_from(request: Request) -> str | None:
    """The token that an INVITE carries, which leaves the request: it is for this edge alone."""
    sealed = request.headers.get(HEADER)
    if sealed is not None:
        request.headers.remove(HEADER)
    return sealed


def _binding(request: Request) -> bytes:
    text = f"{request.call_id}\0{request.from_.tag or ''}\0{request.cseq.number}\0{request.uri}"
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16, person=b"relay").digest()


def _mark(token: RelayToken, request: Request) -> bytes:
    """What two writings of one token have in common."""
    said = f"{token.issued:.3f}\0{token.origin}".encode()
    return blake2b(said, digest_size=16, key=_binding(request)).digest()
