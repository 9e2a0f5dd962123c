"""How much may be called, and where to: checked and counted as one decision, for all processes of a machine.

A call takes one place of each of its subjects (`subjects_of`) when it is let in and gives it back exactly
once, whoever says first that it has ended: leaving the table is what gives the places back.  Calls that are
paid for by the minute have their first minute set apart from the start, and are counted by what they lasted
from its end on.
"""

from __future__ import annotations

from collections.abc import Sequence

from sip_config.destinations import destination_of
from sip_config.model import Account
from voice.edge.core.ledger import (
    CALLS,
    NEW_COUNTRIES,
    NEW_DESTINATIONS,
    Ledger,
    Row,
    Used,
    day_of,
)
from voice.edge.core.live_calls import LiveCall, Subject, Talk, subjects_of
from voice.edge.core.over_limit import (
    OverLimit,
    balance_spent,
    day_is_over,
    destination_denied,
    full,
    no_rate,
    too_fast,
    too_many_new,
)
from voice.edge.core.tariff import Tariff
from voice.objects import whole_seconds
from voice.sip.deadlines import Deadlines

_HOUR = 3_600.0
_FIRST_SECONDS = 60.0

Rows = Sequence[tuple[Subject, Row]]


class Limits:
    """Rates, places, destinations and money of all calls."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        self._ledger = ledger or Ledger()
        self._calls: dict[str, LiveCall] = {}
        self._first_minutes: Deadlines[Talk] = Deadlines()
        self.tariff = Tariff()

    @property
    def calls(self) -> dict[str, LiveCall]:
        """Live calls of this process by id, to look at."""
        return self._calls

    def taken(self, account: Account) -> int:
        """Calls that an account has now."""
        with self._ledger.lock:
            return self._ledger.row(subjects_of(account)[0].key).places

    def admit(self, call: LiveCall, now: float, dialled: str | None = None) -> OverLimit | None:
        """Counts a call and gives it its places; None: it has them, until `release`.

        `dialled`: the number that it goes out to by a gateway.
        """
        barred = None if dialled is None else _denied(call.subjects, dialled)
        ledger = self._ledger
        at = now + ledger.shift
        with ledger.lock:
            rows = [(subject, ledger.row(subject.key)) for subject in call.subjects]
            over = _full(rows) or _too_fast(rows, at)
            if over is not None:
                return over
            for subject, row in rows:
                rate = subject.calls_per_second
                if rate is not None:
                    row.count(CALLS, rate, max(1.0, rate), at)
            if dialled is not None:
                over = barred or self._outgoing(call, rows, dialled, now)
                if over is not None:
                    return over
            for _, row in rows:
                row.change_places(1)
            call.rows = tuple(row for _, row in rows)
            if dialled is not None:
                self._hold(call, dialled)
        self._calls[call.call_id] = call
        return None

    def dial(self, call: LiveCall, destination: str, now: float, *, hold: bool) -> OverLimit | None:
        """Checks a destination that the callflow of a live call dials: a number, or a SIP URI, of which no
        rules for destinations speak.

        None: it may be dialled; with `hold` its first minute is set apart, as the last of the call's `holds`.
        """
        barred = _denied(call.subjects, destination) if destination.startswith("+") else None
        if barred is not None:
            return barred
        with self._ledger.lock:
            rows = [(subject, self._ledger.row(subject.key)) for subject in call.subjects]
            over = self._outgoing(call, rows, destination, now)
            if over is None and hold:
                self._hold(call, destination)
        return over

    def denied(self, call: LiveCall, number: str) -> OverLimit | None:
        """What the rules for destinations say against a number."""
        return _denied(call.subjects, number)

    def release(self, call_id: str, now: float) -> LiveCall | None:
        """Gives the places of a call back; None: it was ended before, or began before a restart."""
        call = self._calls.pop(call_id, None)
        if call is None:
            return None
        if call.talks or call.holds:
            with self._ledger.lock:
                for leg_id in list(call.talks):
                    self._talk_over(call, leg_id, now)
                for price in call.holds:
                    _give_back(call, price)
        # Each is one number that nobody else writes: it takes no lock.
        for row in call.rows:
            row.change_places(-1)
        call.holds.clear()
        call.rows = ()
        return call

    # -- talks ----------------------------------------------------------------------------------

    def let_go(self, call: LiveCall, prices: Sequence[float]) -> None:
        """Gives back first minutes that were set apart: the attempts are over, or answered and counted so."""
        if prices:
            with self._ledger.lock:
                for price in tuple(prices):
                    call.holds.remove(price)
                    _give_back(call, price)

    def talk_begins(self, call_id: str, leg_id: str, destination: str, now: float) -> None:
        """An outgoing leg was answered: it is paid for from now on."""
        call = self._calls.get(call_id)
        if call is None or leg_id in call.talks:
            return
        talk = Talk(call=call, price=self._price(call, destination), since=now)
        call.talks[leg_id] = talk
        if call.trunk and talk.price in call.holds:
            # What was set apart for the attempt is the talk's from now on: no row changes.
            call.holds.remove(talk.price)
        else:
            with self._ledger.lock:
                for row in call.rows:
                    row.hold(talk.price)
        talk.wanted = now + _FIRST_SECONDS
        self._first_minutes.changed(talk)

    def talks_end(self, call_id: str, legs: Sequence[str], now: float) -> None:
        """These legs were hung up."""
        call = self._calls.get(call_id)
        if call is not None and call.talks:
            with self._ledger.lock:
                for leg_id in legs:
                    self._talk_over(call, leg_id, now)

    def get_timer(self) -> float | None:
        return self._first_minutes.next()

    def handle_timer(self, now: float) -> None:
        """From the end of its first minute on a talk is counted as it goes."""
        ledger = self._ledger
        while (talk := self._first_minutes.due(now)) is not None:
            talk.held = False
            with ledger.lock:
                _give_back(talk.call, talk.price)
                for row in talk.call.rows:
                    row.talk_begins(talk.price, talk.since + ledger.shift)

    def _talk_over(self, call: LiveCall, leg_id: str, now: float) -> None:
        """With the lock held."""
        talk = call.talks.pop(leg_id, None)
        if talk is None:
            return
        self._first_minutes.stop(talk)
        seconds = whole_seconds(now - talk.since)
        used = Used(seconds, seconds * talk.price)
        if talk.held:
            _give_back(call, talk.price)
        for row in call.rows:
            if not talk.held:
                row.talk_ends(talk.price, talk.since + self._ledger.shift)
            row.spend(used, day_of(now))

    def _hold(self, call: LiveCall, destination: str) -> None:
        price = self._price(call, destination)
        call.holds.append(price)
        for row in call.rows:
            row.hold(price)

    def _price(self, call: LiveCall, destination: str) -> float:
        """In millionths a second."""
        return (self.tariff.per_minute(call.account_id, destination) or 0) / 60

    # -- what stands in the way -----------------------------------------------------------------

    def beyond_their_day(self, now: float) -> list[tuple[LiveCall, OverLimit]]:
        """The calls that have to end, since what was talked today has passed a limit of theirs.

        None of them when the lock is not to be had: sums that somebody is just changing would end calls for
        nothing.
        """
        watched = [
            call
            for call in self._calls.values()
            if call.talks and any(subject.limits.for_a_day for subject in call.subjects)
        ]
        if not watched:
            return []
        at, day, found = now + self._ledger.shift, day_of(now), []
        used: dict[bytes, Used] = {}
        with self._ledger.lock as alone:
            for call in watched if alone else ():
                for subject, row in zip(call.subjects, call.rows, strict=True):
                    if not subject.limits.for_a_day:
                        continue
                    if subject.key not in used:
                        used[subject.key] = row.used(at, day)
                    over = day_is_over(subject, used[subject.key], Used(0.0, 0.0))
                    if over is not None:
                        found.append((call, over))
                        break
        return found

    def _outgoing(self, call: LiveCall, rows: Rows, destination: str, now: float) -> OverLimit | None:
        """What keeps a call from going out to a destination; with the lock held.

        None: it may, and the account has called it before from now on.
        """
        per_minute = self.tariff.per_minute(call.account_id, destination)
        over = self._day_over(rows, per_minute or 0, now) or self._unpaid(
            call, rows[0][1], destination, per_minute, now
        )
        if over is None and destination.startswith("+"):
            over = self._new(call, rows, destination, now + self._ledger.shift)
        return over

    def _day_over(self, rows: Rows, per_minute: int, now: float) -> OverLimit | None:
        for subject, row in rows:
            if subject.limits.for_a_day:
                used = row.used(now + self._ledger.shift, day_of(now))
                over = day_is_over(subject, used, Used(_FIRST_SECONDS, per_minute))
                if over is not None:
                    return over
        return None

    def _unpaid(
        self, call: LiveCall, row: Row, destination: str, per_minute: int | None, now: float
    ) -> OverLimit | None:
        """`row`: that of the account."""
        funds = self.tariff.funds(call.account_id)
        if funds is None:
            return None
        account = call.subjects[0]
        if per_minute is None:
            return no_rate(account, destination)
        # Whole millionths: sums of fractions of them are not exact.
        left = round(funds.amount - row.running(now + self._ledger.shift).spend)
        return balance_spent(account, left, per_minute, funds.currency) if left < max(per_minute, 1) else None

    def _new(self, call: LiveCall, rows: Rows, number: str, at: float) -> OverLimit | None:
        """Whether the account calls too many numbers or countries for the first time."""
        if not any(subject.limits.for_new_destinations for subject, _ in rows):
            return None
        ledger = self._ledger
        country = destination_of(number).country
        counted = []
        for which, name in ((NEW_DESTINATIONS, number), (NEW_COUNTRIES, country)):
            if ledger.knows(call.account_id, name):
                continue
            for subject, row in rows:
                most = subject.limits.new_per_hour(which == NEW_COUNTRIES)
                if most is None:
                    continue
                if row.wait_for(which, most / _HOUR, max(1.0, most), at):
                    return too_many_new(subject, name, most, country=which == NEW_COUNTRIES)
                counted.append((row, which, most))
        for row, which, most in counted:
            row.count(which, most / _HOUR, max(1.0, most), at)
        ledger.meet(call.account_id, number)
        return None


def _give_back(call: LiveCall, price: float) -> None:
    """The first minute of an attempt or a talk is no longer set apart; with the lock held."""
    for row in call.rows:
        row.hold(price, -1)


def _full(rows: Rows) -> OverLimit | None:
    for subject, row in rows:
        most = subject.concurrent_calls
        if most is not None and row.places >= most:
            return full(subject, most)
    return None


def _too_fast(rows: Rows, at: float) -> OverLimit | None:
    for subject, row in rows:
        rate = subject.calls_per_second
        # A second's worth may come at once; less than one call a second still allows one.
        if rate is not None and (wait := row.wait_for(CALLS, rate, max(1.0, rate), at)):
            return too_fast(subject, rate, wait)
    return None


def _denied(subjects: Sequence[Subject], number: str) -> OverLimit | None:
    for subject in subjects:
        if subject.limits.for_destinations:
            over = destination_denied(subject, number)
            if over is not None:
                return over
    return None
