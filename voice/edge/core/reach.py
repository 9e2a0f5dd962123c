"""By which transport a message travels, where its URI, its size or a broken connection decides."""

from __future__ import annotations

from typing import Final

from voice.sip.errors import SipParseError
from voice.sip.flow import Flow
from voice.sip.uri import SipUri
from voice.sip.via import Via, parse_via

LARGEST_DATAGRAM: Final = 1_300
"""Bytes of a request over UDP, beyond which it goes over TCP (RFC 3261 section 18.1.1)."""
_NO_TCP_SECONDS: Final = 600.0
"""How long a peer that takes no TCP gets large requests over UDP."""
_REMEMBERED: Final = 4_096
_NAMED: Final = {"udp": "UDP", "tcp": "TCP", "tls": "TLS", None: None}
_DEFAULT_PORTS: Final = {"TLS": 5061, "WSS": 443, "WS": 80}


class Unreachable(Exception):
    """A URI that no transport of ours leads to."""


def wanted_transport(uri: SipUri) -> str | None:
    """What a URI asks for; None: whatever DNS says.  Raises Unreachable."""
    if uri.transport in ("ws", "wss"):
        raise Unreachable("a WebSocket client can be reached by its own connection only")
    if uri.transport not in _NAMED:
        raise Unreachable(f"transport {uri.transport} is not supported: use udp, tcp or tls")
    transport = _NAMED[uri.transport]
    if uri.scheme != "sips":
        return transport
    if transport == "UDP":
        raise Unreachable("a sips URI cannot be reached over UDP")
    return "TLS"


def port_of(uri: SipUri) -> int:
    """The port of a URI, that of its transport filled in (RFC 3261 section 19.1.2)."""
    if uri.port is not None:
        return uri.port
    if uri.scheme == "sips":
        return 443 if uri.transport in ("ws", "wss") else 5061
    return default_port((uri.transport or "").upper())


def default_port(transport: str | None) -> int:
    return _DEFAULT_PORTS.get(transport or "", 5060)


class LargeRequests:
    """Moves requests that are too long for a datagram to TCP, for peers that take it."""

    def __init__(self) -> None:
        self._without: dict[tuple[str, int], float] = {}
        """Peers that took no TCP, and until when that is believed."""

    def flow_for(self, flow: Flow, tcp: Flow | None, now: float) -> Flow:
        """The flow for a large request; `tcp`: the same peer over TCP, where we have that."""
        if tcp is None:
            return flow
        until = self._without.get((flow.host, flow.port))
        return tcp if until is None or until <= now else flow

    def failed(self, flow: Flow, now: float) -> None:
        """The peer could not be reached over TCP."""
        if len(self._without) >= _REMEMBERED:
            self._without.clear()
        self._without[flow.host, flow.port] = now + _NO_TCP_SECONDS


def response_flow(data: bytes, lost: Flow) -> Flow | None:
    """Where a response goes whose connection is gone (RFC 3261 section 18.2.2); None: nowhere.

    To the address that the request came from, and the port that its Via names.
    """
    if not lost.can_connect or not data.startswith(b"SIP/2.0 "):
        return None
    via = _top_via(data)
    if via is None:
        return None
    return Flow(lost.transport, lost.local, lost.host, via.sent_by[1], 0, via.address if lost.secure else "")


def alias_port(data: bytes) -> int | None:
    """The port that the sender of a request wants to be reached at by this very connection (RFC 5923).

    None: it does not ask for that.
    """
    via = None if data.startswith(b"SIP/2.0 ") else _top_via(data)
    return None if via is None or "alias" not in via.params else via.sent_by[1]


def _top_via(data: bytes) -> Via | None:
    head = data.partition(b"\r\n\r\n")[0].decode("utf-8", "surrogateescape")
    for line in head.split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon and name.strip().lower() in ("via", "v"):
            try:
                return parse_via(value.partition(",")[0].strip())
            except SipParseError:
                return None
    return None
