"""What calls use up, in a table that the processes of one machine share.

The table is a buffer: memory of this process alone, or a file that several edges have mapped
(`voice.edge.ledger_file`).  Each subject (an account, a domain, a SIP account) has a row.  In it each process
has cells of its own, which nobody else writes: so what a killed process held is found in its cells and
taken away, and a write that was cut short spoils nothing else.  A lock makes several rows one decision.

`now` is the edge's clock; rows keep the machine's, `shift` later, which all processes share.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from hashlib import blake2b
from itertools import islice
from mmap import mmap
from struct import Struct
from typing import Final, NamedTuple

from sip_config.destinations import destination_of

MOST_PROCESSES: Final = 16
MOST_ROWS: Final = 16_384
KNOWN_BUCKETS: Final = 32_768
_KNOWN_EACH: Final = 8
DAY: Final = 86_400.0

HEADER_BYTES: Final = 4_096
_COUNT_AT: Final = 0
_USED_AT: Final = 64
"""A byte for each process: whether its cells may hold something."""

_ROW_BYTES: Final = 960
_KEY_BYTES: Final = 16
_RATE_AT: Final = 16
"""Three doubles: when the rates of calls, new destinations and new countries are used up."""
_OTHERS_AT: Final = 40
_TODAY_AT: Final = 64
_LATEST_AT: Final = 88
_PLACES_AT: Final = 96
_SUMS_AT: Final = 160
_SUM_BYTES: Final = 8 * MOST_PROCESSES
_KNOWN_AT: Final = HEADER_BYTES + MOST_ROWS * _ROW_BYTES
BYTES: Final = _KNOWN_AT + KNOWN_BUCKETS * _KNOWN_EACH * 8
"""Of the table: 18 MB, of which what is never used takes no memory."""

_COUNT: Final = Struct("=I")
_ONE: Final = Struct("=d")
_THREE: Final = Struct("=3d")
_PLACES: Final = Struct(f"={MOST_PROCESSES}I")
_SUMS: Final = Struct(f"={6 * MOST_PROCESSES}d")
_KNOWN: Final = Struct(f"={_KNOWN_EACH}Q")

CALLS, NEW_DESTINATIONS, NEW_COUNTRIES = range(3)
"""The rates of a row."""

# The sums that each process keeps of its talks: how many there are, of the times since when, of prices a
# second, and of price times time.  What all have cost at a time follows from these four.  Of calls that are
# not answered or in their first minute: how many, and what a minute of them costs.
_TALKS: Final = 0
_HELD: Final = 4
_SUM_COUNT: Final = 6
_SUM_STARTS: Final = range(0, _SUM_COUNT * MOST_PROCESSES, MOST_PROCESSES)
_FIRST_SECONDS: Final = 60.0
_LATE_SECONDS: Final = 10.0
"""How much a process may be behind the others, of whose time its own is an earlier one."""
_MOST_USED: Final = 1e15
"""More than anybody can use in a day, of seconds or of millionths."""
_ROUNDING: Final = 1e-5
"""Seconds; times since the epoch are this exact after some sums."""


class Used(NamedTuple):
    """What a subject has used of a day."""

    seconds: float
    spend: float
    """In millionths."""


class Row:
    """The row of one subject; to be read and changed while the table's lock is held."""

    __slots__ = ("_at", "_memory", "_process")

    def __init__(self, memory: mmap | bytearray, at: int, process: int) -> None:
        self._memory = memory
        self._at = at
        self._process = process

    def is_of(self, key: bytes) -> bool:
        """Whether it still is this subject's: two that had no lock may both have begun a row here."""
        return self._memory[self._at : self._at + _KEY_BYTES] == key

    # -- places ---------------------------------------------------------------------------------

    @property
    def places(self) -> int:
        """Calls that the subject has now, on this machine and, as far as is known, on others."""
        (others,) = _ONE.unpack_from(self._memory, self._at + _OTHERS_AT)
        return self.places_here + int(others)

    @property
    def places_here(self) -> int:
        """On this machine."""
        return int(sum(_PLACES.unpack_from(self._memory, self._at + _PLACES_AT)))

    def change_places(self, by: int) -> None:
        at = self._at + _PLACES_AT + 4 * self._process
        (had,) = _COUNT.unpack_from(self._memory, at)
        _COUNT.pack_into(self._memory, at, max(0, had + by))

    # -- rates ----------------------------------------------------------------------------------

    def wait_for(self, which: int, rate: float, most: float, now: float) -> float:
        """Seconds until one more is within a rate, `most` of which may come at once; 0: it is now."""
        if rate <= 0:
            return DAY
        (until,) = _ONE.unpack_from(self._memory, self._at + _RATE_AT + 8 * which)
        ahead = until - self._latest(now)
        # What lies further ahead than it ever gets was written before the machine was started anew.
        if ahead <= 0 or ahead > most / rate + 1.0:
            return 0.0
        wait: float = ahead - (most - 1.0) / rate
        return wait if wait > _ROUNDING else 0.0

    def count(self, which: int, rate: float, most: float, now: float) -> None:
        """Counts one more."""
        at = self._at + _RATE_AT + 8 * which
        now = self._latest(now)
        (until,) = _ONE.unpack_from(self._memory, at)
        if not 0 < until - now <= most / rate + 1.0:
            until = now
        _ONE.pack_into(self._memory, at, until + 1.0 / rate)

    def _latest(self, now: float) -> float:
        """The time by which calls were counted last, when it is later.

        A process that waited for the CPU still has the time of before; what others counted meanwhile must not
        look to it like calls that come too early.
        """
        (latest,) = _ONE.unpack_from(self._memory, self._at + _LATEST_AT)
        if now < latest < now + _LATE_SECONDS:
            return float(latest)
        _ONE.pack_into(self._memory, self._at + _LATEST_AT, now)
        return now

    # -- talking --------------------------------------------------------------------------------

    def used(self, now: float, day: int) -> Used:
        """Of the day: what was talked, is being talked, and the first minutes of calls that have begun."""
        memory, at = self._memory, self._at
        _, seconds, spend = _THREE.unpack_from(memory, at + _OTHERS_AT)
        written, today_seconds, today_spend = _THREE.unpack_from(memory, at + _TODAY_AT)
        if written == day:
            seconds += today_seconds
            spend += today_spend
        running = self.running(now)
        return Used(seconds + running.seconds, spend + running.spend)

    def running(self, now: float) -> Used:
        """Of calls on this machine that have not ended; a minute at least of each."""
        cells = _SUMS.unpack_from(self._memory, self._at + _SUMS_AT)
        talks, since, price, price_since, held, held_price = [
            sum(cells[first : first + MOST_PROCESSES]) for first in _SUM_STARTS
        ]
        return Used(
            max(0.0, talks * now - since) + held * _FIRST_SECONDS,
            max(0.0, price * now - price_since) + held_price * _FIRST_SECONDS,
        )

    def ended_today(self, day: int) -> Used:
        """Of calls that have ended on this machine."""
        written, seconds, spend = _THREE.unpack_from(self._memory, self._at + _TODAY_AT)
        return Used(seconds, spend) if written == day else Used(0.0, 0.0)

    def hold(self, price: float, count: int = 1) -> None:
        """Sets the first minute of a call apart; a `count` of -1 gives it back.  `price`: a second's."""
        self._add(_HELD, (count, count * price))

    def talk_begins(self, price: float, since: float) -> None:
        """A call is counted from here on by what it has lasted."""
        self._add(_TALKS, (1.0, since, price, price * since))

    def talk_ends(self, price: float, since: float) -> None:
        self._add(_TALKS, (-1.0, -since, -price, -price * since))

    def spend(self, used: Used, day: int) -> None:
        """Counts what was talked to the day in which it ended."""
        before = self.ended_today(day)
        _THREE.pack_into(
            self._memory, self._at + _TODAY_AT, day, before.seconds + used.seconds, before.spend + used.spend
        )

    # -- of other machines ----------------------------------------------------------------------

    def set_others(self, places: int, used: Used) -> None:
        """What other machines said that they have, and have used today."""
        _THREE.pack_into(self._memory, self._at + _OTHERS_AT, places, used.seconds, used.spend)

    def _add(self, first: int, amounts: tuple[float, ...]) -> None:
        at = self._at + _SUMS_AT + first * _SUM_BYTES + 8 * self._process
        # The last one that ends leaves nothing of what sums of fractions leave.
        (count,) = _ONE.unpack_from(self._memory, at)
        empty = count + amounts[0] <= 0
        for which, amount in enumerate(amounts):
            place = at + which * _SUM_BYTES
            (had,) = _ONE.unpack_from(self._memory, place)
            _ONE.pack_into(self._memory, place, 0.0 if empty else had + amount)


class Ledger:
    """The table, as one process sees it."""

    def __init__(
        self,
        memory: mmap | None = None,
        *,
        process: int = 0,
        lock: AbstractContextManager[bool] | None = None,
        shift: float = 0.0,
    ) -> None:
        self._memory = mmap(-1, BYTES) if memory is None else memory
        self._process = process
        self.lock = lock or nullcontext(True)
        """To be held while rows are asked for, read and changed; false: it was not to be had."""
        self.shift = shift
        self._rows: dict[bytes, Row] = {}
        self._seen = 0
        """Rows of the table that are in `_rows`."""

    def row(self, key: bytes) -> Row:
        """The row of a subject; a new one, when it has none."""
        row = self._rows.get(key)
        return row if row is not None and row.is_of(key) else self._look_up(key)

    def rows(self) -> list[tuple[bytes, Row]]:
        """All rows that there are, with their keys."""
        self._catch_up()
        return [(key, row) for key, row in self._rows.items() if row.is_of(key)]

    def _look_up(self, key: bytes) -> Row:
        count = self._catch_up()
        row = self._rows.get(key)
        if row is not None and row.is_of(key):
            return row
        new = key + bytes(_ROW_BYTES - _KEY_BYTES)
        if count < MOST_ROWS:
            at = HEADER_BYTES + count * _ROW_BYTES
            self._memory[at : at + _ROW_BYTES] = new
            _COUNT.pack_into(self._memory, _COUNT_AT, count + 1)
            self._seen = count + 1
            row = Row(self._memory, at, self._process)
        else:
            # More subjects than fit are counted by each process for itself.
            row = Row(bytearray(new), 0, self._process)
        self._rows[key] = row
        return row

    def _catch_up(self) -> int:
        """Learns of the rows that other processes have made; returns how many there are."""
        count = self._count()
        # The latest once more: somebody without the lock may have made them at the same time.
        for number in range(max(0, min(self._seen, count) - MOST_PROCESSES), count):
            at = HEADER_BYTES + number * _ROW_BYTES
            self._rows[bytes(self._memory[at : at + _KEY_BYTES])] = Row(self._memory, at, self._process)
        self._seen = count
        return count

    def _count(self) -> int:
        """How many rows there are; never more than there can be, whatever has become of the table."""
        (count,) = _COUNT.unpack_from(self._memory, _COUNT_AT)
        return min(int(count), MOST_ROWS)

    def close(self) -> None:
        """Lets go of the table."""
        self._rows.clear()

    # -- processes ------------------------------------------------------------------------------

    def enter(self) -> None:
        """This process begins to use its cells."""
        self._memory[_USED_AT + self._process] = 1

    def is_used(self, process: int) -> bool:
        """Whether the cells of a process may hold something."""
        return self._memory[_USED_AT + process] != 0

    def clear_process(self, process: int) -> None:
        """Takes away what a process held that is gone: its calls, and what they were talking."""
        for number in range(self._count()):
            at = HEADER_BYTES + number * _ROW_BYTES
            _COUNT.pack_into(self._memory, at + _PLACES_AT + 4 * process, 0)
            for which in range(_SUM_COUNT):
                _ONE.pack_into(self._memory, at + _SUMS_AT + which * _SUM_BYTES + 8 * process, 0.0)
        self._memory[_USED_AT + process] = 0

    def clear_rows(self, day: int) -> None:
        """Begins a new table that keeps only what was used today; for when no process uses it."""
        kept = []
        for number in range(self._count()):
            at = HEADER_BYTES + number * _ROW_BYTES
            key = bytes(self._memory[at : at + _KEY_BYTES])
            today = bytes(self._memory[at + _TODAY_AT : at + _TODAY_AT + _THREE.size])
            written, *used = _THREE.unpack(today)
            if written == day and all(0.0 <= amount < _MOST_USED for amount in used):
                kept.append((key, today))
            self._memory[at : at + _ROW_BYTES] = bytes(_ROW_BYTES)
        for number, (key, today) in enumerate(kept):
            at = HEADER_BYTES + number * _ROW_BYTES
            self._memory[at : at + _KEY_BYTES] = key
            self._memory[at + _TODAY_AT : at + _TODAY_AT + _THREE.size] = today
        _COUNT.pack_into(self._memory, _COUNT_AT, len(kept))

    # -- what was called before -----------------------------------------------------------------

    def knows(self, *names: str) -> bool:
        """Whether something of this name was met before."""
        at, name = _place_of(names)
        return name in _KNOWN.unpack_from(self._memory, at)

    def remember(self, *names: str) -> None:
        """The least recent of those that share its place is forgotten for it, when there are too many."""
        at, name = _place_of(names)
        known = _KNOWN.unpack_from(self._memory, at)
        if known[0] == name:
            return
        others = [one for one in known if one != name]
        _KNOWN.pack_into(self._memory, at, name, *islice(others, _KNOWN_EACH - 1))

    def meet(self, account_id: str, number: str) -> None:
        """An account has called a number, and so its country."""
        self.remember(account_id, number)
        self.remember(account_id, destination_of(number).country)


def key_of(kind: str, identity: str) -> bytes:
    """The key of a subject's row."""
    return blake2b(f"{kind}\0{identity}".encode(), digest_size=_KEY_BYTES).digest()


def day_of(now: float) -> int:
    """The day in UTC, counted from the epoch."""
    return int(now // DAY)


def _place_of(names: tuple[str, ...]) -> tuple[int, int]:
    digest = blake2b("\0".join(names).encode(), digest_size=12).digest()
    bucket = int.from_bytes(digest[:4], "big") % KNOWN_BUCKETS
    # 0 is an empty place.
    return _KNOWN_AT + bucket * _KNOWN_EACH * 8, int.from_bytes(digest[4:], "big") | 1
