"""How long the timers of transactions run (RFC 3261 table 4, RFC 6026 section 7)."""

from __future__ import annotations

from dataclasses import dataclass

from voice.sip.transaction_tables import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The base values, in seconds."""

    t1: float = 0.5
    """Estimate of a round trip; the first retransmission comes after it."""
    t2: float = 4.0
    """Longest interval between retransmissions of anything but an INVITE."""
    t4: float = 5.0
    """Longest time a message stays in the network."""
    unreliable_wait: float = 32.0
    """Timer D over UDP: at least 32 s."""

    def durations(self, reliable: bool) -> dict[Event, float]:
        """The first duration of every timer; 0: the timer fires at once.

        A, E and G, which retransmit, are missing for reliable transports: there they do not run.
        """
        long = 64 * self.t1
        found = {
            Event.TIMER_B: long,
            Event.TIMER_D: 0.0 if reliable else self.unreliable_wait,
            Event.TIMER_F: long,
            Event.TIMER_H: long,
            Event.TIMER_I: 0.0 if reliable else self.t4,
            Event.TIMER_J: 0.0 if reliable else long,
            Event.TIMER_K: 0.0 if reliable else self.t4,
            Event.TIMER_L: long,
            Event.TIMER_M: long,
        }
        if not reliable:
            found |= {Event.TIMER_A: self.t1, Event.TIMER_E: self.t1, Event.TIMER_G: self.t1}
        return found

    def following(self, timer: Event, last: float, *, proceeding: bool) -> float:
        """The next interval of a timer that retransmits.

        A doubles without end (timer B ends it), E and G double up to T2; E is T2 once a provisional
        response has come (section 17.1.2.2).
        """
        if timer is Event.TIMER_A:
            return 2 * last
        if timer is Event.TIMER_E and proceeding:
            return self.t2
        return min(2 * last, self.t2)
