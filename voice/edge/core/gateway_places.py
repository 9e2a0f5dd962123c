"""How many calls a gateway has and may be given per second: over either, the next gateway is tried.

A leg takes one place of its gateway when its INVITE is sent and gives it back once, whoever says first
that it is over.
"""

from __future__ import annotations

from collections.abc import Collection

from sip_config.model import Gateway


class GatewayPlaces:
    """Rates and places of all gateways of one edge."""

    def __init__(self) -> None:
        self._gateway_of: dict[str, tuple[str, str]] = {}
        """Leg -> (gateway, call)."""
        self._legs_of: dict[str, set[str]] = {}
        """Call -> its legs that hold a place."""
        self._taken: dict[str, int] = {}
        self._buckets: dict[str, tuple[float, float]] = {}
        """Gateway -> (tokens, when)."""

    def taken(self, gateway_id: str) -> int:
        """Legs that the gateway has now."""
        return self._taken.get(gateway_id, 0)

    def over_limit(self, gateway: Gateway, now: float) -> str | None:
        """Why the gateway may not be given one more call now; None: it may, and the attempt is counted."""
        options = gateway.options
        most = options.concurrent_calls
        if most is not None and self.taken(gateway.id) >= most:
            return f"Gateway {gateway.name} has as many calls as it may ({most})"
        rate = options.calls_per_second
        if rate is None:
            return None
        # A second's worth may come at once; less than one call a second still allows one.
        full = max(1.0, rate)
        tokens, when = self._buckets.get(gateway.id, (full, now))
        tokens = min(full, tokens + (now - when) * rate)
        if tokens < 1.0:
            self._buckets[gateway.id] = tokens, now
            return f"Gateway {gateway.name} was given more than {rate:g} calls per second"
        self._buckets[gateway.id] = tokens - 1.0, now
        return None

    def take(self, gateway: Gateway, leg_id: str, call_id: str) -> None:
        """Gives the leg a place."""
        if leg_id in self._gateway_of:
            return
        self._gateway_of[leg_id] = gateway.id, call_id
        self._legs_of.setdefault(call_id, set()).add(leg_id)
        self._taken[gateway.id] = self._taken.get(gateway.id, 0) + 1

    def release(self, leg_id: str) -> None:
        """Gives the place of a leg back; one that has none is none of ours."""
        gateway_id, call_id = self._gateway_of.pop(leg_id, (None, None))
        if gateway_id is None or call_id is None:
            return
        legs = self._legs_of[call_id]
        legs.discard(leg_id)
        if not legs:
            del self._legs_of[call_id]
        left = self._taken[gateway_id] - 1
        if left:
            self._taken[gateway_id] = left
        else:
            del self._taken[gateway_id]

    def release_call(self, call_id: str) -> None:
        """A call is over, and so are all its legs."""
        for leg_id in tuple(self._legs_of.get(call_id, ())):
            self.release(leg_id)

    def keep(self, gateway_ids: Collection[str]) -> None:
        """Forgets the rates of all other gateways."""
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if key in gateway_ids}
