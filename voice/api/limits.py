"""How often: token buckets for keys and for addresses that present wrong ones; memory is bounded."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

MOST_BUCKETS: Final = 20_000
"""5 MB.  Beyond it the bucket that was used longest ago is forgotten; it is the fullest one, or nearly."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class TokenBuckets:
    """One for each name: `burst` tokens, refilled at `rate` tokens a second.  Times in seconds, monotonic."""

    def __init__(self, *, rate: float, burst: float, most: int = MOST_BUCKETS) -> None:
        self._rate = rate
        self._burst = burst
        self._most = most
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, name: str, now: float) -> float:
        """Takes a token: 0.0, or how many seconds there is none."""
        missing = self.missing(name, now)
        if not missing:
            self._bucket(name, now).tokens -= 1.0
        return missing

    def missing(self, name: str, now: float) -> float:
        """How many seconds until there is a token; takes none."""
        return max(0.0, (1.0 - self._bucket(name, now).tokens) / self._rate)

    def _bucket(self, name: str, now: float) -> _Bucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = _Bucket(self._burst, now)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(name)
            bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.at) * self._rate)
            bucket.at = now
        return bucket
