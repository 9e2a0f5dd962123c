"""Delivers what is in the outbox: at least once, signed, with retries, each destination by itself.

A destination (scheme, host, port) has a few requests under way at most, so a dead or slow server holds up its
own deliveries only.  Those of one call to one address leave in the order in which they came, but for one that
waits for its retry: the others do not wait for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from voice.bells import Bell
from voice.store.deliveries import LEASE_SECONDS, Attempt, Deliveries, Delivery
from voice.store.errors import StoreError
from voice.webhooks.client import FetchFailed, SafeClient
from voice.webhooks.signing import signed_headers

log = logging.getLogger(__name__)

AT_ONCE: Final = 128
"""Requests under way in all."""
PER_DESTINATION: Final = 8
ATTEMPT_SECONDS: Final = 10.0
"""For one attempt; the lease is longer."""
LOOK_SECONDS: Final = 0.5
"""How often the outbox is looked at when no bell rings: another process may have put something in."""
MAX_ANSWER_BYTES: Final = 65_536
"""What a receiver answers counts for nothing but its status."""
PRUNE_SECONDS: Final = 3600.0
_DELIVERED: Final = frozenset(range(200, 300))
_ANY_STATUS: Final = frozenset(range(200, 600))
_STORE_PAUSE: Final = 2.0

DELIVERY_HEADER: Final = "X-Trunkflow-Delivery"
ATTEMPT_HEADER: Final = "X-Trunkflow-Attempt"

assert ATTEMPT_SECONDS < LEASE_SECONDS


class Secrets(Protocol):
    """Where signing keys come from (`voice.store.signing_keys`)."""

    async def current(self, account_id: str) -> str: ...


@dataclass(slots=True)
class _Turn:
    """Who waits to deliver something of one call to one address; locks are given in the order of asking."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


class Deliverer:
    """Runs until it is cancelled; what is under way then is delivered again after the next start."""

    def __init__(
        self,
        deliveries: Deliveries,
        secrets: Secrets,
        client: SafeClient,
        bell: Bell,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._deliveries = deliveries
        self._secrets = secrets
        self._client = client
        self._bell = bell
        self._clock = clock
        self._under_way: Counter[str] = Counter()
        """By destination."""
        self._turns: dict[tuple[str, str], _Turn] = {}
        """By address and call."""
        self._finished: list[tuple[Delivery, Attempt]] = []
        self._some_finished = asyncio.Event()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write_results())
            group.create_task(self._prune())
            while True:
                started = await self._start_some(group)
                if not started:
                    await self._bell.wait(LOOK_SECONDS)

    async def _start_some(self, group: asyncio.TaskGroup) -> bool:
        """Starts what is due and has room; whether there was anything."""
        room = AT_ONCE - self._under_way.total()
        if room <= 0:
            return False
        saturated = [where for where, count in self._under_way.items() if count >= PER_DESTINATION]
        try:
            claimed = await self._deliveries.claim(room, per_destination=PER_DESTINATION, but_not=saturated)
        except StoreError as fault:
            log.warning("webhooks wait: %s", fault)
            await asyncio.sleep(_STORE_PAUSE)
            return False
        for one in claimed:
            self._under_way[one.destination] += 1
            group.create_task(self._deliver(one))
        return bool(claimed)

    async def _deliver(self, one: Delivery) -> None:
        key = (one.url, one.call_id or one.id)
        turn = self._turns.setdefault(key, _Turn())
        turn.waiting += 1
        claimed = time.monotonic()
        try:
            async with turn.lock:
                # One that has waited too long for its turn falls due again by itself.
                if time.monotonic() - claimed < LEASE_SECONDS - ATTEMPT_SECONDS:
                    self._finished.append((one, await self._attempt(one)))
                    self._some_finished.set()
        finally:
            turn.waiting -= 1
            if not turn.waiting:
                del self._turns[key]
            self._under_way[one.destination] -= 1
            if not self._under_way[one.destination]:
                del self._under_way[one.destination]
            # There is room again.
            self._bell.ring()

    async def _attempt(self, one: Delivery) -> Attempt:
        at = self._clock()
        began = time.monotonic()

        def over(status: int | None, error: str | None) -> Attempt:
            return Attempt(at=at, seconds=time.monotonic() - began, status=status, error=error)

        body = one.body.encode()
        try:
            secret = await self._secrets.current(one.account_id)
            headers = _headers(one, signed_headers(secret, body, token=one.token, clock=self._clock))
            if one.method == "GET":
                answer = await self._client.get(
                    one.url,
                    max_bytes=MAX_ANSWER_BYTES,
                    seconds=ATTEMPT_SECONDS,
                    headers=headers,
                    accept=_ANY_STATUS,
                )
            else:
                answer = await self._client.post(
                    one.url,
                    body,
                    max_bytes=MAX_ANSWER_BYTES,
                    seconds=ATTEMPT_SECONDS,
                    headers=headers,
                    accept=_ANY_STATUS,
                )
        except (FetchFailed, StoreError) as failure:
            return over(None, str(failure))
        if answer.status in _DELIVERED:
            return over(answer.status, None)
        return over(answer.status, f"answered {answer.status} where 200 to 299 is expected")

    async def _write_results(self) -> None:
        """Results of the same moment share a transaction."""
        while True:
            await self._some_finished.wait()
            self._some_finished.clear()
            taken, self._finished = self._finished, []
            while taken:
                try:
                    await self._deliveries.finish(taken)
                except StoreError as fault:
                    log.warning("results of webhooks wait: %s", fault)
                    await asyncio.sleep(_STORE_PAUSE)
                else:
                    break

    async def _prune(self) -> None:
        while True:
            try:
                await self._deliveries.prune()
            except StoreError as fault:
                log.warning("old deliveries stay for now: %s", fault)
            await asyncio.sleep(PRUNE_SECONDS)


def _headers(one: Delivery, signed: Callable[[str], Mapping[str, str]]) -> Callable[[str], Mapping[str, str]]:
    own = {DELIVERY_HEADER: one.id, ATTEMPT_HEADER: str(one.attempt)}
    if one.method != "GET":
        own["Content-Type"] = "application/json"
    return lambda url: {**own, **signed(url)}
