"""Which gateways work: what calls and OPTIONS have met, and who is left alone for a while because of it.

A gateway that fails several times in a row is out for a cooldown: it is tried after all others.  It comes
back by itself when a call that is sent there after the cooldown gets an answer, or when OPTIONS do.  When all
gateways of a call are out they are tried all the same: a wrong suspicion must not cost a call.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from sip_config.model import Gateway
from voice.edge.core.gateway_events import gateway_event
from voice.records import Journal

_JITTER = 0.2
"""Of a cooldown: gateways that went out together do not come back together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a gateway is, for people to look at."""

    available: bool
    failures: int
    """Of calls and OPTIONS, in a row."""
    reason: str | None
    """What the last failure was; None: there was none since the last success."""
    since: float | None
    """When that changed last; None: not since the start."""
    out_until: float | None
    """End of the cooldown; None: it is not out, or until OPTIONS are answered."""
    round_trip: float | None
    """Seconds that the last answered OPTIONS took."""


class _State:
    __slots__ = (
        "call_failures",
        "out",
        "out_until",
        "probe_failures",
        "probes_failing",
        "reason",
        "round_trip",
        "since",
        "trial_until",
    )

    def __init__(self) -> None:
        self.call_failures = 0
        self.probe_failures = 0
        self.probes_failing = False
        """So many OPTIONS have failed that calls go elsewhere until one is answered."""
        self.out_until = 0.0
        self.out = False
        """Whether it was said that it is out."""
        self.reason: str | None = None
        self.since: float | None = None
        self.round_trip: float | None = None
        self.trial_until = 0.0
        """Until when a call that went there after the cooldown may take to find out whether it works."""


class GatewayHealth:
    """The health of all gateways of one edge."""

    def __init__(self, journal: Journal, dice: Callable[[], float] = random.random) -> None:
        self._journal = journal
        self._dice = dice
        self._states: dict[str, _State] = {}
        self.when_back: Callable[[Gateway, float], None] = _nobody_listens

    def available(self, gateway: Gateway, now: float) -> bool:
        """Whether calls should go there."""
        state = self._states.get(gateway.id)
        return state is None or (now >= state.out_until and not state.probes_failing)

    def ordered(self, gateways: Iterable[Gateway], now: float) -> list[Gateway]:
        """Those that are out after the others, else as they were."""
        return sorted(gateways, key=lambda gateway: not self._takes_call(gateway, now))

    def answered(self, gateway: Gateway, now: float) -> None:
        """A call got some response that shows that the gateway works."""
        state = self._states.get(gateway.id)
        if state is None or not (state.call_failures or state.out):
            return
        state.call_failures = 0
        if state.out and self.available(gateway, now):
            self._back(gateway, state, now)

    def failed(self, gateway: Gateway, reason: str, now: float, seconds: float | None = None) -> None:
        """A call got no response, or one that says that the gateway cannot; `seconds`: for how long."""
        state = self._states.setdefault(gateway.id, _State())
        state.call_failures += 1
        state.reason = reason
        if state.call_failures < gateway.options.cooldown_after:
            return
        cooldown = max(gateway.options.cooldown_seconds, seconds or 0.0)
        state.out_until = now + cooldown * (1 + _JITTER * (self._dice() - 0.5))
        self._out(gateway, state, now)

    def probe_answered(self, gateway: Gateway, round_trip: float, now: float) -> None:
        """OPTIONS were answered."""
        state = self._states.setdefault(gateway.id, _State())
        state.round_trip = round_trip
        state.probe_failures = 0
        state.probes_failing = False
        if state.out and self.available(gateway, now):
            self._back(gateway, state, now)

    def probe_failed(self, gateway: Gateway, reason: str, now: float) -> None:
        """OPTIONS were not answered, or by a server failure."""
        state = self._states.setdefault(gateway.id, _State())
        state.probe_failures += 1
        state.reason = reason
        if state.probe_failures >= gateway.options.cooldown_after:
            state.probes_failing = True
            self._out(gateway, state, now)

    def probes_ended(self, gateway_id: str) -> None:
        """No OPTIONS are sent there any more: what they said last no longer counts."""
        state = self._states.get(gateway_id)
        if state is not None:
            state.probe_failures = 0
            state.probes_failing = False

    def failing(self, gateway_id: str) -> bool:
        """Whether the last OPTIONS failed."""
        state = self._states.get(gateway_id)
        return state is not None and state.probe_failures > 0

    def keep(self, gateway_ids: Collection[str]) -> None:
        """Forgets all other gateways."""
        self._states = {key: state for key, state in self._states.items() if key in gateway_ids}

    def view(self, gateway: Gateway, now: float) -> Health:
        state = self._states.get(gateway.id) or _State()
        available = self.available(gateway, now)
        failures = state.call_failures + state.probe_failures
        return Health(
            available=available,
            failures=failures,
            reason=state.reason if failures or not available else None,
            since=state.since,
            out_until=state.out_until if state.out_until > now else None,
            round_trip=state.round_trip,
        )

    def _takes_call(self, gateway: Gateway, now: float) -> bool:
        state = self._states.get(gateway.id)
        if state is None or not state.out:
            return True
        if now < state.trial_until or not self.available(gateway, now):
            return False
        # The cooldown is over: one call finds out for all others, which go elsewhere meanwhile.
        state.trial_until = now + gateway.attempt_seconds
        return True

    def _out(self, gateway: Gateway, state: _State, now: float) -> None:
        if state.out:
            return
        state.out = True
        state.since = now
        detail = f"Gateway {gateway.name} is tried last for now: {state.reason}."
        self._journal.write(gateway_event(gateway, "gateway-out", detail, now))

    def _back(self, gateway: Gateway, state: _State, now: float) -> None:
        state.out = False
        state.since = now
        state.reason = None
        detail = f"Gateway {gateway.name} works again."
        self._journal.write(gateway_event(gateway, "gateway-back", detail, now))
        self.when_back(gateway, now)


def _nobody_listens(_gateway: Gateway, _now: float) -> None:
    """Until somebody does."""
