"""Connections that were not taken, or did not come to carry SIP, as refusals that say what to change."""

from __future__ import annotations

from typing import Final

from voice.edge.core.answers import Verdict
from voice.records import Gate
from voice.sip.flow import Flow
from voice.sip.headers import printable
from voice.sip.message import MAX_MESSAGE_BYTES

TOO_MANY: Final = "connections-total"
TOO_MANY_UNNAMED: Final = "connections-unnamed"
TOO_MANY_OF_SOURCE: Final = "connections-per-source"
TOO_MANY_HANDSHAKES: Final = "tls-handshakes"
TOO_SLOW_HANDSHAKE: Final = "tls-handshake-time"
TOO_MUCH_CHATTER: Final = "connection-keepalives"
NOT_SECURED: Final = "tls-failed"
TOO_SLOW_MESSAGE: Final = "message-time"
NO_WEBSOCKET: Final = "websocket-failed"
FOREIGN_PAGE: Final = "websocket-origin"

CHATTER_AT_ONCE: Final = 100
"""Keepalives and pieces of messages that a connection may bring.  RFC 5626 wants one in half a minute."""

_SAYS: Final = {
    TOO_MANY: (
        "connections of all sources",
        "The edge has as many connections as it may: find who holds them, or raise "
        "node.sip.connections.total.",
    ),
    TOO_MANY_UNNAMED: (
        "connections of addresses that nothing names",
        "The rest of the connections is kept for those who are known: name the address in an access control "
        "list, log in within the hour, or raise node.sip.connections.total.",
    ),
    TOO_MANY_OF_SOURCE: (
        "connections of one source",
        "The address, or the /64 of an IPv6 address, has as many connections as it may: let the PBX keep one "
        "open and use it for all its calls, or raise node.sip.connections.per_source.",
    ),
    TOO_MANY_HANDSHAKES: (
        "TLS handshakes at once",
        "Too many TLS handshakes were under way: let the PBX keep its connection open between calls, or "
        "raise node.sip.connections.handshakes.",
    ),
    TOO_SLOW_HANDSHAKE: (
        "time of a TLS handshake",
        "The TLS handshake was not finished in time: the PBX has to speak TLS on this port.",
    ),
    TOO_SLOW_MESSAGE: (
        "time of a message",
        "A message, or the handshake of a WebSocket, was not whole in time: its Content-Length is too large, "
        "or the rest was lost. Correct the PBX, or raise node.sip.connections.first_message_seconds.",
    ),
    TOO_MUCH_CHATTER: (
        "keepalives of a connection",
        "The connection was closed, because it brought more keepalives and pieces of messages than messages "
        "need: let the PBX send a keepalive every 30 seconds or so, and each message in one piece.",
    ),
}


def unconnected(cause: str, detail: str, source: Flow) -> Verdict:
    """Nobody is answered, because there is nothing to answer on."""
    if cause == NOT_SECURED:
        rule = f"TLS: {printable(detail[:160])}"
        remedy = (
            f"{source.host} and the edge could not agree on TLS ({printable(detail[:160])}). The PBX has to "
            "trust the authority of the edge's certificate, to call by a name that it is for, to speak the "
            "least TLS version of the node or newer, and to show a certificate of its own, if any, from an "
            "authority that the node believes."
        )
    elif cause == NO_WEBSOCKET:
        rule = "WebSocket"
        remedy = (
            f"What {source.host} sent is against the WebSocket protocol ({printable(detail[:160])}). The "
            "client has to connect with GET, ask for the subprotocol sip (RFC 7118), and send one "
            f"SIP message of at most {MAX_MESSAGE_BYTES} bytes in each WebSocket message."
        )
    elif cause == FOREIGN_PAGE:
        rule = "WebSocket: origin"
        remedy = (
            f"A web page that is not listed wanted to connect ({printable(detail[:160])}): if it is a "
            "telephone of yours, add its origin to node.sip.websocket_origins, such as https://phone.example.com."
        )
    else:
        rule, remedy = _SAYS[cause]
    return Verdict(status=0, gate=Gate.SOURCE, cause=cause, rule=rule, remedy=remedy)
