"""What a sealed token says, and its compact binary form.

A peer gets one in the masked Contact that stands for the other side, and sends it back in the
Request-URI of every request of the call.  It holds all that the edge must know to relay that request,
so that the edge keeps no dialogs.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from hashlib import blake2b
from ipaddress import ip_address
from typing import Final

from voice.edge.seal import Seal, SealError
from voice.sip.flow import Flow

_HEAD: Final = struct.Struct("!BBHB16s8s")
_FLOW: Final = struct.Struct("!BBHI")
_DIALOG: Final = 1
_ROUTE: Final = 2
_FROM_CALLER: Final = 1
_TRUNK: Final = 2
_HAS_FLOW: Final = 4
_HAS_NAMES: Final = 8
_TCP: Final = 0x80
_IPV6: Final = 0x40

FINGERPRINT_BYTES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class DialogToken:
    """How to relay what the holder sends in its dialog."""

    from_caller: bool
    """The holder began the call."""
    trunk: bool
    """A plain trunk call: its end is recorded by the edge."""
    cseq_delta: int
    """How much higher the callee's side counts the caller's requests, because a challenge was answered in between."""
    call_id: str
    legs: tuple[str, ...]
    """Legs that end with the dialog."""
    dialog: bytes
    """`fingerprint` of the dialog; the holder cannot use the token in another."""
    target: str
    """Request-URI for the other side."""
    flow: Flow | None = None
    """Where to send it, when that does not follow from `target`."""
    from_uri: str | None = None
    """The holder, as the other side knows it; None: as the holder calls itself."""
    to_uri: str | None = None


def fingerprint(call_id: str, caller_tag: str | None, callee_tag: str | None = None) -> bytes:
    """Identifies a dialog, or with no `callee_tag` all that one INVITE may have made."""
    text = f"{call_id}\0{caller_tag or ''}\0{callee_tag or ''}"
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=FINGERPRINT_BYTES).digest()


class Tokens:
    """Seals and opens both kinds of token."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    def dialog(self, token: DialogToken, now: float) -> str:
        return self._seal.seal(_pack(token), now)

    def route(self, following: bytes, now: float) -> str:
        """For a Record-Route: `following` identifies the routes that its holder has to send along after it."""
        return self._seal.seal(bytes((_ROUTE,)) + following, now)

    def open_dialog(self, text: str | bytes, now: float) -> DialogToken:
        """Raises SealError."""
        return _unpack(self._seal.open(text, now))

    def open_route(self, text: str, now: float) -> bytes:
        """Raises SealError."""
        plain = self._seal.open(text, now)
        if plain[:1] != bytes((_ROUTE,)):
            raise SealError("a token of another kind")
        return plain[1:]


def _pack(token: DialogToken) -> bytes:
    flags = (
        token.from_caller * _FROM_CALLER
        | token.trunk * _TRUNK
        | (token.flow is not None) * _HAS_FLOW
        | (token.from_uri is not None) * _HAS_NAMES
    )
    call_id = bytes.fromhex(token.call_id.replace("-", ""))
    parts = [
        _HEAD.pack(_DIALOG, flags, token.cseq_delta & 0xFFFF, len(token.legs), call_id, token.dialog),
        *(bytes.fromhex(leg.replace("-", "")) for leg in token.legs),
    ]
    if token.flow is not None:
        parts.append(_pack_flow(token.flow))
    texts = [token.target]
    if token.from_uri is not None:
        texts += [token.from_uri, token.to_uri or ""]
    parts.append("\n".join(texts).encode("utf-8", "surrogateescape"))
    return b"".join(parts)


def _pack_flow(flow: Flow) -> bytes:
    address = ip_address(flow.host.partition("%")[0])
    kind = (_TCP if flow.transport == "TCP" else 0) | (_IPV6 if address.version == 6 else 0)
    return _FLOW.pack(kind, flow.local, flow.port, flow.connection & 0xFFFFFFFF) + address.packed


def _unpack(plain: bytes) -> DialogToken:
    if plain[:1] != bytes((_DIALOG,)) or len(plain) < _HEAD.size:
        raise SealError("a token of another kind")
    _, flags, delta, leg_count, call_id, dialog = _HEAD.unpack_from(plain)
    at = _HEAD.size
    legs = []
    for _ in range(leg_count):
        legs.append(_uuid_text(plain[at : at + 16]))
        at += 16
    flow = None
    if flags & _HAS_FLOW:
        kind, local, port, connection = _FLOW.unpack_from(plain, at)
        at += _FLOW.size
        width = 16 if kind & _IPV6 else 4
        host = str(ip_address(plain[at : at + width]))
        at += width
        flow = Flow("TCP" if kind & _TCP else "UDP", local, host, port, connection)
    target, *names = plain[at:].decode("utf-8", "surrogateescape").split("\n")
    return DialogToken(
        from_caller=bool(flags & _FROM_CALLER),
        trunk=bool(flags & _TRUNK),
        cseq_delta=delta,
        call_id=_uuid_text(call_id),
        legs=tuple(legs),
        dialog=dialog,
        target=target,
        flow=flow,
        from_uri=names[0] if flags & _HAS_NAMES else None,
        to_uri=(names[1] or None) if flags & _HAS_NAMES else None,
    )


def _uuid_text(raw: bytes) -> str:
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
