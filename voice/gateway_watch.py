"""Writes down how a node's gateways are, for the API and the command line, wherever they run."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Final, Protocol

from voice.edge.core.carriers import GatewayView
from voice.store.database import Database
from voice.store.errors import StoreError
from voice.store.gateway_states import BELIEVED_SECONDS, State, keep_states

log = logging.getLogger(__name__)

_SECONDS: Final = 2.0
"""Between two looks."""
_REPEATED: Final = BELIEVED_SECONDS / 3
"""Seconds after which it is said again though nothing changed."""

_ALWAYS_NEW: Final = "roundTripMs"
"""Is written down with the rest, but is no reason to."""


class _Edge(Protocol):
    def gateways(self) -> Mapping[str, GatewayView]:
        """By id."""
        ...


class GatewayWatch:
    """Follows the gateways of one edge."""

    def __init__(self, edge: _Edge, database: Database, node: str) -> None:
        self._edge = edge
        self._database = database
        self._node = node
        self._said: Mapping[str, State] = {}
        self._said_at = 0.0

    async def run(self) -> None:
        """Until it is cancelled."""
        try:
            while True:
                await self._look()
                await asyncio.sleep(_SECONDS)
        finally:
            # What it says while it ends would only be believed for longer than it is true.
            await asyncio.shield(self._keep({}))

    async def _look(self) -> None:
        states = {gateway_id: state_of(view) for gateway_id, view in self._edge.gateways().items()}
        now = time.time()
        told = {gateway_id: {**state, _ALWAYS_NEW: None} for gateway_id, state in states.items()}
        if told != self._said or (states and now > self._said_at + _REPEATED):
            await self._keep(states)
            self._said, self._said_at = told, now

    async def _keep(self, states: Mapping[str, State]) -> None:
        try:
            await keep_states(self._database, self._node, states, time.time())
        except StoreError as fault:
            log.warning("the states of gateways could not be stored: %s", fault)


def state_of(view: GatewayView) -> State:
    """As the API shows it."""
    health, registration = view.health, view.registration
    return {
        "available": health.available,
        "calls": view.calls,
        "addresses": view.addresses,
        "failures": health.failures,
        "reason": health.reason,
        "since": health.since,
        "outUntil": health.out_until,
        "roundTripMs": None if health.round_trip is None else round(health.round_trip * 1000, 1),
        "registration": None
        if registration is None
        else {
            "standing": registration.standing.value,
            "until": registration.until,
            "problem": registration.problem,
            "nextAttempt": registration.next_attempt,
        },
        "nameProblem": view.name_problem,
    }
