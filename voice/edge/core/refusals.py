"""Every refusal leaves one record; a flood of equal ones leaves one with a count.

Equal means: same source address, cause and rule.  The first is written at once, so that whoever looks
finds it; those that follow within the fold time are counted and written as one when it has passed.  Of calls
from a source that is no stranger the first few are written at once: its owner looks for them by Call-ID.
Memory is bounded: when too many different ones are being counted, all are written and forgotten.  So is the
work: beyond `NEW_PER_SECOND` different ones a second, which only forged sources make, those of strangers
become one record for each cause, of many sources.  What happens to a source that the configuration names, or
that has logged in, is always on record by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from voice.edge.core.pace import Pace
from voice.records import Journal, Refusal

MAX_FOLDED: Final = 8_192
"""Different refusals counted at a time, some 10 MB.  Spoofed sources that make more only have their records
written sooner."""

NEW_PER_SECOND: Final = 200.0
NEW_AT_ONCE: Final = 2_000
ALONE: Final = 20
"""Equal refusals of one source that is no stranger that are not counted but written, within the fold time."""
MANY: Final = "many sources"
"""What stands for the address in a record of many."""

Key = tuple[str, str, str]


class _Fold:
    __slots__ = ("alone", "count", "first", "last", "until")

    def __init__(self, first: Refusal, until: float, alone: int) -> None:
        self.first = first
        self.until = until
        self.alone = alone
        """How many more are written by themselves."""
        self.last = first.sip_call_id
        """Call-ID of the latest of these: what is only sent again is counted."""
        self.count = 0


class Refusals:
    """Folds refusals and writes them to the journal.  `known`: whether a source is no stranger, now."""

    def __init__(self, journal: Journal, fold_seconds: float, known: Callable[[str, float], bool]) -> None:
        self._journal = journal
        self._known = known
        self._pace = Pace(rate=NEW_PER_SECOND, burst=NEW_AT_ONCE, most=1)
        self._fold_seconds = fold_seconds
        self._folds: dict[Key, _Fold] = {}
        self._next_flush: float | None = None
        self.total = 0
        """Refusals since the start, each of a flood counted."""
        self.by_gate: dict[str, int] = {}

    def __len__(self) -> int:
        """How many different ones are being counted now."""
        return len(self._folds)

    def again(self, source: str, cause: str, rule: str, sip_call_id: str = "") -> bool:
        """Counts a refusal that is being folded; False: `write` has to be told all of it.

        `sip_call_id`: of the call that is refused, which may deserve a record of its own.
        """
        fold = self._folds.get((source, cause, rule))
        if fold is None or (fold.alone and sip_call_id not in ("", fold.last)):
            return False
        fold.count += 1
        self.total += 1
        self.by_gate[fold.first.gate] += 1
        return True

    def write(self, refusal: Refusal, source: str, now: float, *, ours: bool = False) -> None:
        """Records a refusal that `again` did not count.  `ours`: of a call that was let in, no stranger's."""
        self.total += 1
        self.by_gate[refusal.gate] = self.by_gate.get(refusal.gate, 0) + 1
        key = source, refusal.cause, refusal.rule
        fold = self._folds.get(key)
        if fold is not None:
            fold.alone -= 1
            fold.last = refusal.sip_call_id
            self._journal.write(refusal)
            return
        known = ours or self._known(source, now)
        if not known and not self._pace.allows("", now):
            key = MANY, refusal.cause, ""
            fold = self._folds.get(key)
            if fold is not None:
                fold.count += 1
                return
            refusal = replace(
                refusal,
                source_address=MANY,
                request_uri="",
                from_uri="",
                sip_call_id="",
                remedy=f"Many sources were refused for this at the same time. Of one: {refusal.remedy}",
            )
        if len(self._folds) >= MAX_FOLDED:
            self.flush()
        until = now + self._fold_seconds
        self._folds[key] = _Fold(refusal, until, ALONE if known else 0)
        if self._next_flush is None:
            self._next_flush = until
        self._journal.write(refusal)

    def get_timer(self) -> float | None:
        return self._next_flush

    def handle_timer(self, now: float) -> None:
        """Writes the counts whose fold time has passed."""
        if self._next_flush is None or now < self._next_flush:
            return
        # Folds begin in order and last equally long, so the first that is not due ends the search.
        while self._folds:
            key, fold = next(iter(self._folds.items()))
            if fold.until > now:
                break
            del self._folds[key]
            self._write_count(fold)
        self._next_flush = next(iter(self._folds.values())).until if self._folds else None

    def flush(self) -> None:
        """Writes all counts, due or not."""
        for fold in self._folds.values():
            self._write_count(fold)
        self._folds.clear()
        self._next_flush = None

    def _write_count(self, fold: _Fold) -> None:
        if fold.count:
            self._journal.write(replace(fold.first, at=fold.until, count=fold.count))
