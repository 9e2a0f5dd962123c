"""How many TLS handshakes are done, at once and in a second: they cost the most that a stranger can ask for.

One takes about a millisecond of a core, what three or four calls take.  Who is known, by the configuration
or by a password proven lately, waits for nobody else.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import Final

from voice.bans import ban_key
from voice.edge.core.pace import Pace

STRANGERS_PER_SECOND: Final = 20.0
"""Of all addresses together that nothing could let in."""
POSSIBLE_PER_SECOND: Final = 200.0
"""Of all addresses together that may turn out to have the password, or the certificate, of a customer."""
SOURCE_PER_SECOND: Final = 10.0
"""Of one such address."""
_BURST_SECONDS: Final = 2.0
_SOURCES: Final = 65_536


class Standing(Enum):
    """What is known of an address before anything has been read from it."""

    STRANGER = "stranger"
    """Nothing could let in a call from there, or it is banned."""
    POSSIBLE = "possible"
    """A password or a certificate could."""
    KNOWN = "known"
    """The configuration names it, or it proved a password lately."""


class Handshakes:
    """Those under way, and the pace of new ones."""

    def __init__(self, places: int) -> None:
        self._places = {
            Standing.STRANGER: max(1, places // 4),
            Standing.POSSIBLE: max(1, places // 2),
            Standing.KNOWN: places,
        }
        self._taken = dict.fromkeys(Standing, 0)
        self._each = max(1, places // 8)
        """Places that one source may have which is not known: those who never finish have them for long."""
        self._taken_by: Counter[str] = Counter()
        self._of_source = _pace(SOURCE_PER_SECOND, _SOURCES)
        self._of_all = {
            Standing.STRANGER: _pace(STRANGERS_PER_SECOND, 1),
            Standing.POSSIBLE: _pace(POSSIBLE_PER_SECOND, 1),
        }

    def begin(self, standing: Standing, host: str, now: float) -> bool:
        """Whether there is room for one more, which `end` gives back."""
        if self._taken[standing] >= self._places[standing]:
            return False
        if standing is not Standing.KNOWN:
            source = ban_key(host)
            if self._taken_by[source] >= self._each:
                return False
            if not (self._of_source.allows(source, now) and self._of_all[standing].allows("", now)):
                return False
            self._taken_by[source] += 1
        self._taken[standing] += 1
        return True

    def end(self, standing: Standing, host: str) -> None:
        self._taken[standing] -= 1
        if standing is not Standing.KNOWN:
            source = ban_key(host)
            self._taken_by[source] -= 1
            if not self._taken_by[source]:
                del self._taken_by[source]


def _pace(rate: float, most: int) -> Pace:
    return Pace(rate=rate, burst=int(rate * _BURST_SECONDS), most=most)
