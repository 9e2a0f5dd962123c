"""How much of what strangers send there is time for, when more comes than can be dealt with.

A socket that is never found empty means that datagrams are about to be lost in its buffer, whosever they are.
So fewer of the strangers' are looked at, until it is emptied again.
"""

from __future__ import annotations

from typing import Final

PATIENCE: Final = 8
"""Full batches in a row that are no reason yet: a burst is no crowd."""
LEAST: Final = 0.02
_LESS: Final = 0.8
_MORE: Final = 0.01


class Crowd:
    """Of one edge."""

    def __init__(self) -> None:
        self.share = 1.0
        """Of strangers' datagrams that are looked at."""
        self._full = 0
        self._owed = 0.0

    @property
    def is_there(self) -> bool:
        return self.share < 1.0

    def batch(self, emptied: bool) -> None:
        """A batch of datagrams was dealt with; whether the socket was empty after it."""
        if emptied:
            self._full = 0
            if self.share < 1.0:
                self.share = min(1.0, self.share + _MORE)
            return
        self._full += 1
        if self._full >= PATIENCE:
            self._full = 0
            self.share = max(LEAST, self.share * _LESS)

    def has_room(self) -> bool:
        """Whether one more datagram of a stranger is looked at."""
        if self.share >= 1.0:
            return True
        self._owed += self.share
        if self._owed < 1.0:
            return False
        self._owed -= 1.0
        return True
