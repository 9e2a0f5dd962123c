"""Records of a call that another POP relayed and that this one may yet decline, told once it takes the call.

A call that is declined is tried at the next POP, or handled where it came in: the customer has one call.
"""

from __future__ import annotations

from voice.records import Journal, Record


class HeldRecords:
    """A journal that keeps what it is told until somebody knows whether it counts."""

    __slots__ = ("_counts", "_held", "_journal")

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._held: list[Record] | None = []
        """None: nothing is held any more."""
        self._counts = True

    def write(self, record: Record) -> None:
        if self._held is not None:
            self._held.append(record)
        elif self._counts:
            self._journal.write(record)

    def tell(self) -> None:
        """They count, and so does what follows."""
        if self._held is not None:
            held, self._held = self._held, None
            for record in held:
                self._journal.write(record)

    def drop(self) -> None:
        """There was no call here."""
        if self._held is not None:
            self._held, self._counts = None, False
