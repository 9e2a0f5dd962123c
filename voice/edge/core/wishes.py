"""What the core cannot do itself and asks its shell for.

The shell takes a wish from `Kernel.wishes`, and calls one of its two answers when it has it, once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from voice.pool.orders import CallOrder, Seat


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatWanted:
    """A seat in a call process for an order."""

    order: CallOrder
    given: Callable[[Seat, float], None]
    full: Callable[[str, int, float], None]
    """What is full, and after how many seconds to try again."""
    failed: Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressesWanted:
    """The addresses of a SIP host (RFC 3263)."""

    host: str
    port: int | None
    transport: str | None
    """As the URI says it, ``UDP``, ``TCP`` or ``TLS``; None: as DNS says."""
    secure: bool = False
    """It was a sips URI: nothing but TLS will do."""
    usable: frozenset[str] = frozenset(("UDP", "TCP"))
    """Transports that the edge can send by."""
    found: Callable[[Sequence[tuple[str, str, int]], float], None]
    """(transport, address, port) in order of preference; at least one."""
    failed: Callable[[str, float], None]


Wish = SeatWanted | AddressesWanted
