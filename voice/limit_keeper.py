"""Keeps an edge's limits true: who is gone, what other machines use, what calls cost, whom accounts know.

One of the edges that share a file speaks for the machine.  Other machines learn within `LOOK_SECONDS` or so
what calls there are here, so a limit of an account whose calls come to several machines at the same time can
be passed: by the calls that begin within that time on each machine but one, which are no more than the calls
per second of the account and its free places allow.  Between two looks each machine counts for itself; what a
machine had that went away is believed for `BELIEVED_SECONDS`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from sip_config.directory import Directory
from voice.commands import Command, Kind, Outcome
from voice.edge.core.ledger import Used, day_of
from voice.edge.core.tariff import Funds, Tariff
from voice.edge.ledger_file import LedgerFile
from voice.store.database import Database
from voice.store.errors import StoreError
from voice.store.limit_usage import LimitUsage, Use

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
PRESENCE_SECONDS: Final = 10.0
"""How often a machine says that it is there."""
REMEMBERED_SECONDS: Final = 90 * 86_400.0
"""What was called earlier is new again, when the memory of a machine is filled."""
END_SECONDS: Final = 5.0
"""For a call process to say that it ends a call; then it is asked again."""
_OVERLAP_SECONDS: Final = 30.0
"""Records of calls come late, and clocks differ."""
_ROWS_AT_ONCE: Final = 200
"""Read with the lock held, for which others wait: about a millisecond."""
_FILLED: Final = "filled"


class Calls(Protocol):
    """The edge, as its limits see it."""

    def set_tariff(self, tariff: Tariff) -> None: ...

    def beyond_their_day(self) -> list[tuple[str, str]]: ...

    def hang_up(self, call_id: str, reason: str) -> bool: ...


class Processes(Protocol):
    """The pool, as limits see it."""

    async def command(self, command: Command) -> Outcome | None: ...


class LimitKeeper:
    """Of one node.  Run `run` in a task; `refresh` has to be done once before calls are taken."""

    def __init__(
        self,
        file: LedgerFile,
        database: Database,
        directory: Callable[[], Directory],
        calls: Calls,
        processes: Processes,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._file = file
        self._usage = LimitUsage(database, file.identity)
        self._directory = directory
        self._calls = calls
        self._processes = processes
        self._ending: dict[str, asyncio.Task[None]] = {}
        self._without_lock = 0
        self._clock = clock
        self._tariff = Tariff()
        self._rates_version = ""
        self._shared = False
        self._presence_at = 0.0
        self._called_since: dict[str, float] = {}
        """Account -> the time up to which it is known whom it called."""
        self._told: set[bytes] = set()
        """Subjects of which other machines have said something."""

    async def run(self) -> None:
        """Until it is cancelled."""
        try:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                self._look_around()
                self.end_calls()
                try:
                    await self.refresh()
                except StoreError as fault:
                    log.warning("limits go on with what was known before: %s", fault)
        finally:
            for task in self._ending.values():
                task.cancel()
            await asyncio.gather(*self._ending.values(), return_exceptions=True)

    def _look_around(self) -> None:
        for process in self._file.tidy():
            log.warning("edge %d of this machine is gone: its calls count no more", process)
        without = self._file.waits_given_up
        if without > self._without_lock:
            log.warning("%d calls were decided on without the lock", without - self._without_lock)
            self._without_lock = without

    def end_calls(self) -> None:
        """Ends the calls that have used up a limit of the day."""
        for call_id, why in self._calls.beyond_their_day():
            if call_id not in self._ending and not self._calls.hang_up(call_id, why):
                task = asyncio.create_task(self._end(call_id, why), name=f"end of {call_id}")
                self._ending[call_id] = task
                task.add_done_callback(lambda _, ended=call_id: self._ending.pop(ended))  # type: ignore[misc]

    async def _end(self, call_id: str, why: str) -> None:
        command = Command(kind=Kind.HANGUP, call_id=call_id, body=why)
        with suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await self._processes.command(command)

    async def refresh(self) -> None:
        """Looks once.  Raises StoreError."""
        await self._learn_costs()
        if self._file.leads():
            await self._learn_destinations()
            await self._exchange()

    async def _learn_costs(self) -> None:
        found = await self._usage.finances(self._rates_version)
        if found.rates is not None:
            self._tariff = Tariff(found.rates)
            self._rates_version = found.version
        prepaid = {account: Funds(*funds) for account, funds in found.prepaid.items()}
        self._calls.set_tariff(self._tariff.with_prepaid(prepaid))

    async def _learn_destinations(self) -> None:
        """Whom an account called is new to none of the machines, and was known before there was a limit."""
        now, ledger = self._clock(), self._file.ledger
        watched = watched_accounts(self._directory())
        for account in watched:
            since = self._called_since.get(account)
            if since is None:
                filled = ledger.knows(account, _FILLED)
                since = now - (_OVERLAP_SECONDS if filled and not self._shared else REMEMBERED_SECONDS)
            for number in await self._usage.called(account, since):
                if number.startswith("+"):
                    with ledger.lock:
                        ledger.meet(account, number)
            with ledger.lock:
                ledger.remember(account, _FILLED)
            self._called_since[account] = now - _OVERLAP_SECONDS
        self._called_since = {account: self._called_since[account] for account in watched}

    async def _exchange(self) -> None:
        now = self._clock()
        if now >= self._presence_at:
            await self._usage.say_present(now)
            self._presence_at = now + PRESENCE_SECONDS
        self._shared = await self._usage.is_shared(now)
        if not self._shared:
            return
        day, ledger = day_of(now), self._file.ledger
        own = await self._own_use(day, now + ledger.shift)
        others = {bytes.fromhex(key): use for key, use in (await self._usage.exchange(own, day, now)).items()}
        with ledger.lock:
            for key in others.keys() | self._told:
                places, seconds, spend = others.get(key, (0, 0.0, 0.0))
                ledger.row(key).set_others(places, Used(seconds, spend))
        self._told = set(others)

    async def _own_use(self, day: int, at: float) -> dict[str, Use]:
        """What the calls of this machine have and use, by subject; `at`: by the machine's clock."""
        ledger = self._file.ledger
        with ledger.lock:
            rows = ledger.rows()
        own: dict[str, Use] = {}
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            with ledger.lock:
                for key, row in rows[first : first + _ROWS_AT_ONCE]:
                    ended, running = row.ended_today(day), row.running(at)
                    use = (row.places_here, ended.seconds + running.seconds, ended.spend + running.spend)
                    if any(use):
                        own[key.hex()] = use
            # Calls go on meanwhile.
            await asyncio.sleep(0)
        return own


def watched_accounts(directory: Directory) -> set[str]:
    """Accounts for which it matters whom they called before."""
    found: set[str] = {
        account.id for account in directory.accounts.values() if account.limits.for_new_destinations
    }
    for domain in directory.domains.values():
        users = [user for acl in directory.acls_of(domain) for user in acl.sip_accounts]
        limits = [domain.limits, *(user.limits for user in users)]
        if any(one.for_new_destinations for one in limits):
            found.add(domain.account_id)
    return found
