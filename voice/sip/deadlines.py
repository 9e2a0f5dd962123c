"""Many timers behind one pair of calls: when is the next one, and which are due.

A heap out of which nothing is taken early: an item whose time has moved is simply found not to be due
when its old entry comes up.  So starting a timer is one push and stopping one costs nothing.  Entries
of items that were stopped for good are swept out once they are the larger part, so that a timer of hours does
not outlive by hours what it was for.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final, Generic, Protocol, TypeVar

_FEW: Final = 256
"""Stopped entries that are not worth a sweep."""


class Timed(Protocol):
    """Something that wants to be woken."""

    wanted: float | None
    """When it wants to be woken; None: not at all."""
    queued: float | None
    """When it will be looked at; kept by `Deadlines`."""


Item = TypeVar("Item", bound=Timed)


class Deadlines(Generic[Item]):
    """The times at which items want to be woken, in seconds of whatever clock the caller uses."""

    __slots__ = ("_heap", "_order", "_stopped")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Item]] = []
        self._order = count()
        self._stopped = 0

    def __len__(self) -> int:
        return len(self._heap)

    def changed(self, item: Item) -> None:
        """To be called after `item.wanted` was set to a time."""
        wanted = item.wanted
        if wanted is not None and (item.queued is None or wanted < item.queued):
            item.queued = wanted
            heappush(self._heap, (wanted, next(self._order), item))

    def stop(self, item: Item) -> None:
        """The item wants nothing any more, and its entry need not wait for its time."""
        item.wanted = None
        if item.queued is None:
            return
        self._stopped += 1
        if self._stopped > _FEW and self._stopped * 2 > len(self._heap):
            self._sweep()

    def next(self) -> float | None:
        """When to call `due` at the latest; there may be nothing due then."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Item | None:
        """The next item whose time has come, in order of time; its `wanted` is None from here on."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            when, _, item = heappop(heap)
            if item.queued != when:
                continue  # An earlier entry replaced this one.
            item.queued = None
            wanted = item.wanted
            if wanted is None:
                self._stopped = max(0, self._stopped - 1)
                continue
            if wanted <= now:
                item.wanted = None
                return item
            item.queued = wanted
            heappush(heap, (wanted, next(self._order), item))
        return None

    def _sweep(self) -> None:
        self._stopped = 0
        kept = []
        for entry in self._heap:
            when, _, item = entry
            if item.queued != when:
                continue
            if item.wanted is None:
                item.queued = None
            else:
                kept.append(entry)
        heapify(kept)
        self._heap = kept
