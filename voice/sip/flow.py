"""Where a message came from, and where one goes to."""

from __future__ import annotations

from typing import NamedTuple


class Flow(NamedTuple):
    """One of our sockets and a peer of it (RFC 5626 section 3 calls this a flow).

    A tuple, because one is made for every datagram.
    """

    transport: str
    """``UDP`` or ``TCP``, as in a Via."""
    local: int
    """Which of our sockets; the shell that owns them gives the numbers."""
    host: str
    """The peer's address, without brackets."""
    port: int
    connection: int = 0
    """Which connection of a stream transport; 0: any to this peer, a new one if there is none."""

    @property
    def reliable(self) -> bool:
        return self.transport != "UDP"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport} {host}:{self.port}"
