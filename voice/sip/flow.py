"""Where a message came from, and where one goes to."""

from __future__ import annotations

from typing import NamedTuple


class Flow(NamedTuple):
    """One of our sockets and a peer of it (RFC 5626 section 3 calls this a flow).

    A tuple, because one is made for every datagram.
    """

    transport: str
    """``UDP``, ``TCP``, ``TLS``, ``WS`` or ``WSS``, as in a Via."""
    local: int
    """Which of our sockets; the shell that owns them gives the numbers."""
    host: str
    """The peer's address, without brackets."""
    port: int
    connection: int = 0
    """Which connection of a stream transport; 0: any to this peer, a new one if there is none."""
    name: str = ""
    """Of a TLS peer that we connect to: what its certificate has to be for."""

    @property
    def reliable(self) -> bool:
        return self.transport != "UDP"

    @property
    def secure(self) -> bool:
        """Whether nobody on the way can read or change what it carries."""
        return self.transport in ("TLS", "WSS")

    @property
    def can_connect(self) -> bool:
        """Whether we can open a connection to the peer; not so to a WebSocket client (RFC 7118 section 5)."""
        return self.transport not in ("WS", "WSS")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport} {host}:{self.port}"
