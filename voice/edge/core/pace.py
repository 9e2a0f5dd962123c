"""How fast strangers may come: one number for each source or domain, for a bounded number of them.

The generic cell rate algorithm: what is kept is when the next request would be due at the steady rate, and
a request may come so much before that as the burst lasts.
"""

from __future__ import annotations

from collections import OrderedDict


class Pace:
    """`rate` requests a second, and `burst` at once after a while of silence; of up to `most` names."""

    def __init__(self, *, rate: float, burst: int, most: int) -> None:
        self.rate = rate
        self._each = 1 / rate
        # A fifth of a request of room, since times of this size are not exact.
        self._early = (burst - 0.8) / rate
        self._most = most
        self._due: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._due)

    def allows(self, name: str, now: float) -> bool:
        """Counts one request; False: it came too early, and is not counted."""
        due = self._due.get(name)
        if due is None:
            if len(self._due) >= self._most:
                self._due.popitem(last=False)
            due = now
        elif due < now:
            due = now
        elif due - now > self._early:
            return False
        self._due[name] = due + self._each
        return True
