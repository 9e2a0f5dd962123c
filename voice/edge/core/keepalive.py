"""OPTIONS to the gateways that are to be asked whether they work (RFC 3261 section 11)."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Final

from sip_config.model import Gateway
from voice.edge.core.doors import Door
from voice.edge.core.errand import Errand, Outcome
from voice.edge.core.kernel import Alarm, Kernel, new_id
from voice.edge.core.targets import gateway_uri
from voice.sip.builders import INITIAL_MAX_FORWARDS
from voice.sip.headers import Headers
from voice.sip.message import Request

JITTER: Final = 0.2
"""Of the time between two: many gateways are not asked at once."""
_SOONER: Final = 4.0
"""So many times as often a gateway is asked that did not answer, until it counts as one that fails."""
_FIRST_WITHIN: Final = 2.0
"""Seconds after the start in which every gateway is asked for the first time."""
_WORKING: Final = frozenset((501, 505))
"""Server failures that only say that OPTIONS are not understood."""
_FAILING: Final = 408
"""What a proxy says for a server behind it that is gone."""


class Keepalive:
    """Asks one gateway again and again."""

    def __init__(self, kernel: Kernel, gateway: Gateway, dice: Callable[[], float] = random.random) -> None:
        self._kernel = kernel
        self._gateway = gateway
        self._dice = dice
        self._alarm = Alarm(kernel, self._ask)
        self._errand: Errand | None = None
        self._asked = 0.0
        self._call_id = self._tag = ""

    def start(self, now: float) -> None:
        seconds = self._gateway.options.keepalive_seconds
        assert seconds is not None
        self._alarm.set(now + self._dice() * min(_FIRST_WITHIN, seconds))

    def stop(self, now: float) -> None:
        self._alarm.stop()
        if self._errand is not None:
            self._errand.call_off(now)
            self._errand = None

    def _ask(self, now: float) -> None:
        gateway = self._gateway
        self._asked = now
        self._call_id, self._tag = new_id(), os.urandom(6).hex()
        self._errand = Errand(self._kernel, gateway, self._request, gateway.attempt_seconds, self._answered)
        self._errand.begin(gateway_uri(gateway), now)

    def _request(self, door: Door, later: int) -> Request:
        uri = str(gateway_uri(self._gateway))
        fields = (
            ("Max-Forwards", INITIAL_MAX_FORWARDS),
            ("From", f"<sip:{door.host}>;tag={self._tag}"),
            ("To", f"<{uri}>"),
            ("Call-ID", self._call_id),
            ("CSeq", f"{1 + later} OPTIONS"),
            ("Accept", "application/sdp"),
        )
        return Request("OPTIONS", uri, Headers(fields))

    def _answered(self, outcome: Outcome, now: float) -> None:
        self._errand = None
        health, gateway = self._kernel.gateway_health, self._gateway
        status = outcome.response.status if outcome.response is not None else _FAILING
        if status == _FAILING or (status >= 500 and status not in _WORKING):
            health.probe_failed(gateway, f"OPTIONS: {outcome.problem}", now)
        else:
            health.probe_answered(gateway, now - self._asked, now)
        pause = gateway.options.keepalive_seconds or 0.0
        if health.view(gateway, now).available and health.failing(gateway.id):
            pause /= _SOONER
        self._alarm.set(now + pause * (1 + JITTER * (self._dice() - 0.5)))
