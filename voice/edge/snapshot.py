"""What an edge shows of itself while it runs."""

from __future__ import annotations

from dataclasses import dataclass

from voice.edge.core.carriers import GatewayView
from voice.edge.core.liveness import PopReport


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSnapshot:
    """Live figures, for people to look at."""

    addresses: tuple[str, ...]
    inside: str
    draining: bool
    calls: dict[str, int]
    """Account id -> calls it has now."""
    calls_begun: int
    messages_received: int
    refusals: dict[str, int]
    """Gate -> refusals since the start."""
    stray_responses: int
    server_transactions: int
    client_transactions: int
    connections: int
    """TCP, TLS and WebSocket, in both directions."""
    connections_refused: int
    """Closed at once since the start because there were too many."""
    pops: tuple[PopReport, ...]
    """The points of presence, as this edge sees them."""
    bans: int
    """Sources that are kept out now."""
    bugs: int
    gateways: dict[str, GatewayView]
    """By id."""
