"""How many idle call processes to keep: enough for the calls that arrive while new ones are forked."""

from __future__ import annotations

import math
from collections import deque

WINDOW_SECONDS = 5.0
AHEAD_SECONDS = 1.0
"""The reserve covers the calls of this much time at the present rate: tens of times what a fork takes."""


class Reserve:
    """Follows the arrival rate.  Times are those of one monotonic clock, in seconds."""

    def __init__(self, minimum: int) -> None:
        self._minimum = minimum
        self._arrivals: deque[float] = deque()

    def arrived(self, now: float) -> None:
        self._arrivals.append(now)
        self._forget(now)

    def wanted(self, now: float) -> int:
        """Seats that should be free now."""
        self._forget(now)
        rate = len(self._arrivals) / WINDOW_SECONDS
        return max(self._minimum, self._minimum // 2 + math.ceil(rate * AHEAD_SECONDS))

    def _forget(self, now: float) -> None:
        while self._arrivals and self._arrivals[0] < now - WINDOW_SECONDS:
            self._arrivals.popleft()
