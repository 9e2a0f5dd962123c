"""Challenges that nobody answers: a call that is given up over one was refused, as shows some seconds later.

Bounded: while strangers ask for more challenges than are remembered, some of theirs leave no record.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from voice.edge.core.kernel import Alarm, Kernel
from voice.records import Refusal

ANSWERED_WITHIN: Final = 10.0
"""Seconds for the answer; a PBX that has a password needs none to speak of."""
MOST_WAITING: Final = 4_096
_MOST_LET_IN: Final = 16_384
"""The last eleven seconds of 1,500 calls per second."""
_LONGEST_CALL_ID: Final = 256


class Unanswered:
    """Those that may still be answered."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._waiting: OrderedDict[tuple[str, str], tuple[float, Refusal]] = OrderedDict()
        """By source and Call-ID: until when, and what is on record then."""
        self._let_in: OrderedDict[tuple[str, str], None] = OrderedDict()
        """Source and Call-ID of those that proved a password lately."""
        self._alarm: Alarm | None = None

    def has_room(self, host: str, now: float) -> bool:
        """Whether one more challenge to this source is remembered."""
        return len(self._waiting) < MOST_WAITING or self._kernel.is_known(host, now)

    def challenged(self, host: str, call_id: str, refusal: Refusal, now: float) -> None:
        """A call was challenged; `refusal`: what it comes to if it is given up."""
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popitem(last=False)
        self._waiting[_key(host, call_id)] = now + ANSWERED_WITHIN, refusal
        if self._alarm is None:
            self._alarm = Alarm(self._kernel, self._over)
            self._alarm.set(now + ANSWERED_WITHIN)

    def came_back(self, host: str, call_id: str) -> None:
        """The call is asked for again, with an answer or without."""
        self._waiting.pop(_key(host, call_id), None)

    def let_in(self, host: str, call_id: str) -> None:
        """The call proved a password."""
        if len(self._let_in) >= _MOST_LET_IN:
            self._let_in.popitem(last=False)
        self._let_in[_key(host, call_id)] = None

    def was_let_in(self, host: str, call_id: str) -> bool:
        """Whether it did so before, and is only sent again because what it came to was lost or slow."""
        return _key(host, call_id) in self._let_in

    def _over(self, now: float) -> None:
        waiting, refusals = self._waiting, self._kernel.refusals
        while waiting:
            (host, _), (until, refusal) = next(iter(waiting.items()))
            if until > now:
                assert self._alarm is not None
                self._alarm.set(until)
                return
            waiting.popitem(last=False)
            if not refusals.again(host, refusal.cause, refusal.rule, refusal.sip_call_id):
                refusals.write(refusal, host, now)
        self._alarm = None


def _key(host: str, call_id: str) -> tuple[str, str]:
    return host, call_id[:_LONGEST_CALL_ID]
