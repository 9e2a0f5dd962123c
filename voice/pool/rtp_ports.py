"""Slices of the RTP port range, one per call process, so that processes never try each other's ports."""

from __future__ import annotations

from collections import deque


class PortsExhausted(Exception):
    """Every slice is taken.  The message says how the range is cut."""


class RtpPorts:
    """Gives out slices; the one given back longest ago first, so that stale packets find nobody."""

    def __init__(self, first: int, last: int, size: int) -> None:
        start = first + first % 2
        self._text = f"{first}-{last} in slices of {size}"
        self._free = deque(range(start, last - size + 2, size))
        self._taken: set[int] = set()
        self.slices = len(self._free)

    def take(self) -> int:
        """The first port of a slice.  Raises PortsExhausted."""
        if not self._free:
            raise PortsExhausted(
                f"all RTP ports are in use ({self._text}): widen rtp_ports or lower max_processes"
            )
        port = self._free.popleft()
        self._taken.add(port)
        return port

    def keep(self, port: int) -> None:
        """A process of an earlier parent holds this slice."""
        if port in self._free:
            self._free.remove(port)
            self._taken.add(port)

    def give_back(self, port: int) -> None:
        if port in self._taken:
            self._taken.remove(port)
            self._free.append(port)
