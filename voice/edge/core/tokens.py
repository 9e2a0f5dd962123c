"""What a sealed token says, and its compact binary form.

A peer gets one in the masked Contact that stands for the other side, and sends it back in the
Request-URI of every request of the call.  It holds all that the edge must know to relay that request,
so that the edge keeps no dialogs.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from hashlib import blake2b
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Final, NamedTuple

from sip_config.model import SrtpPolicy
from voice.edge.core.guise import GUISE_LINES, PLAIN, Guise
from voice.edge.core.sdp_policy import ANYTHING, Sides
from voice.edge.seal import Seal, SealError
from voice.sip.flow import Flow

_HEAD: Final = struct.Struct("!BBBHBBHIB8s")
"""Kind, flags, SRTP, CSeq delta, then of the flow: how, door, port, connection; bytes of ids, dialog."""
_DIALOG: Final = 1
_ROUTE: Final = b"\x02"
_FROM_CALLER: Final = 1
_TRUNK: Final = 2
_NAMED_HOST: Final = 4
_HAS_NAMES: Final = 8
_PEER_NAME: Final = 16
_HOW: Final = {"UDP": 0, "TCP": 1, "TLS": 4, "WS": 5, "WSS": 8}
_TRANSPORTS: Final = {how: transport for transport, how in _HOW.items()}
_HAS_GUISE: Final = 32
_IPV6: Final = 2
_POLICIES: Final = tuple(SrtpPolicy)
_CALLEE_SHIFT: Final = 4

FINGERPRINT_BYTES: Final = 8
_ID_BYTES: Final = 16


class DialogToken(NamedTuple):
    """How to relay what the holder sends in its dialog."""

    from_caller: bool
    """The holder began the call."""
    trunk: bool
    """A plain trunk call: its end is recorded by the edge."""
    cseq_delta: int
    """How much higher the callee's side counts the caller's requests: challenges were answered in between."""
    ids: bytes
    """`ids_of` the call, and of the legs that end with the dialog."""
    dialog: bytes
    """`fingerprint` of the dialog; the holder cannot use the token in another."""
    target: str
    """Request-URI for the other side."""
    flow: Flow
    """Where to send it."""
    named_host: bool
    """`target` names a host: ask for its address, and use `flow` when that leads nowhere."""
    from_uri: str | None
    """The holder, as the other side knows it; None: as the holder calls itself."""
    to_uri: str | None
    """The other side, as it knows itself; None: as the holder calls it."""
    guise: Guise = PLAIN
    sides: Sides = ANYTHING
    """What each side of the call says of SRTP."""

    @property
    def call_id(self) -> str:
        return uuid_text(self.ids[:_ID_BYTES])

    @property
    def legs(self) -> tuple[str, ...]:
        ids = self.ids
        return tuple(uuid_text(ids[at : at + _ID_BYTES]) for at in range(_ID_BYTES, len(ids), _ID_BYTES))


def fingerprint(call_id: str, caller_tag: str | None, callee_tag: str | None = None) -> bytes:
    """Identifies a dialog, or with no `callee_tag` all that one INVITE may have made."""
    text = f"{call_id}\0{caller_tag or ''}\0{callee_tag or ''}"
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=FINGERPRINT_BYTES).digest()


class Tokens:
    """Seals and opens both kinds of token."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal
        self._last_route = (0, "")
        """The hour in which it was made, and a route token behind which nothing follows."""

    def dialog(self, token: DialogToken, now: float) -> str:
        return self._seal.seal(_pack(token), now)

    def route(self, following: bytes, now: float) -> str:
        """For a Record-Route; `following` identifies the routes that its holder has to send after it."""
        if following:
            return self._seal.seal(_ROUTE + following, now)
        # One that says nothing about its call serves all calls for a while.
        hour = int(now) // 3_600
        if self._last_route[0] != hour:
            self._last_route = hour, self._seal.seal(_ROUTE, now)
        return self._last_route[1]

    def alias(self, text: str) -> str:
        """What stands for a text where it must not be known; the same in all messages of a call."""
        return self._seal.alias(text)

    def open_dialog(self, text: str | bytes, now: float) -> DialogToken:
        """Raises SealError."""
        return _unpack(self._seal.open(text, now))

    def open_route(self, text: str, now: float) -> bytes:
        """Raises SealError."""
        plain = self._seal.open(text, now)
        if plain[:1] != _ROUTE:
            raise SealError("a token of another kind")
        return plain[1:]


def _pack(token: DialogToken) -> bytes:
    transport, door, host, port, connection, peer_name = token.flow
    ipv6 = ":" in host
    names = token.from_uri is not None and token.to_uri is not None
    head = _HEAD.pack(
        _DIALOG,
        token.from_caller * _FROM_CALLER
        | token.trunk * _TRUNK
        | token.named_host * _NAMED_HOST
        | names * _HAS_NAMES
        | (peer_name != "") * _PEER_NAME
        | (token.guise != PLAIN) * _HAS_GUISE,
        _POLICIES.index(token.sides.caller) | _POLICIES.index(token.sides.callee) << _CALLEE_SHIFT,
        token.cseq_delta & 0xFFFF,
        _HOW[transport] | ipv6 * _IPV6,
        door,
        port,
        connection & 0xFFFFFFFF,
        len(token.ids),
        token.dialog,
    )
    address = inet_pton(AF_INET6, host.partition("%")[0]) if ipv6 else inet_pton(AF_INET, host)
    text = f"{token.target}\n{token.from_uri}\n{token.to_uri}" if names else token.target
    if token.guise != PLAIN:
        text = f"{text}\n{token.guise.pack()}"
    if peer_name:
        text = f"{peer_name}\n{text}"
    return head + address + token.ids + text.encode("utf-8", "surrogateescape")


def _unpack(plain: bytes) -> DialogToken:
    if len(plain) < _HEAD.size or plain[0] != _DIALOG:
        raise SealError("a token of another kind")
    _, flags, srtp, delta, how, door, port, connection, ids_length, dialog = _HEAD.unpack_from(plain)
    at = _HEAD.size
    if how & _IPV6:
        host = inet_ntop(AF_INET6, plain[at : at + 16])
        at += 16
    else:
        host = inet_ntop(AF_INET, plain[at : at + 4])
        at += 4
    text = plain[at + ids_length :].decode("utf-8", "surrogateescape")
    from_uri: str | None = None
    to_uri: str | None = None
    peer_name = ""
    if flags & _PEER_NAME:
        peer_name, _, text = text.partition("\n")
    guise = PLAIN
    if flags & _HAS_GUISE:
        text, *packed = text.rsplit("\n", GUISE_LINES)
        guise = Guise.unpack(packed)
    if flags & _HAS_NAMES:
        text, from_uri, to_uri = text.split("\n")
    return DialogToken(
        flags & _FROM_CALLER != 0,
        flags & _TRUNK != 0,
        delta,
        plain[at : at + ids_length],
        dialog,
        text,
        Flow(_TRANSPORTS[how & ~_IPV6], door, host, port, connection, peer_name),
        flags & _NAMED_HOST != 0,
        from_uri,
        to_uri,
        guise,
        Sides(_POLICIES[srtp & (1 << _CALLEE_SHIFT) - 1], _POLICIES[srtp >> _CALLEE_SHIFT]),
    )


def ids_of(*uuids: str) -> bytes:
    """UUIDs as they stand in a token."""
    return bytes.fromhex("".join(uuids).replace("-", ""))


# Each request of a call asks for those of the call and its legs several times.
@lru_cache(maxsize=16_384)
def uuid_text(raw: bytes) -> str:
    """16 bytes as a UUID is written."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
