"""What limits cost a call: ``python -m bench.limits [SECONDS]``.

Each figure is one call's share of CPU time, in the best of many rounds: its subjects found, all limits
decided, its places taken and given back.  First in one process, in memory of its own and in a file; then in
four processes that share the file and do nothing else, some hundred times what edges do of it.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from sip_config.call_limits import UNLIMITED, CallLimits, NumberKind
from sip_config.model import Account, AccountId, Domain, DomainId
from voice.edge.core.limits import Limits
from voice.edge.core.live_calls import LiveCall, subjects_of
from voice.edge.core.tariff import Funds, Tariff
from voice.edge.ledger_file import LedgerFile

PROCESSES: Final = 4
ROUND: Final = 2_000
NUMBER: Final = "+31201234567"
ACCOUNT: Final = AccountId("0a000000-0000-4000-8000-00000000000a")
ALL: Final = CallLimits(
    calls_per_second=1e9,
    concurrent_calls=1_000_000,
    denied_kinds=(NumberKind.PREMIUM,),
    denied_countries=("GB",),
    daily_minutes=10_000_000,
    daily_spend=10**15,
    new_destinations_per_hour=100_000,
)


class Caller:
    """Begins and ends calls of one account."""

    def __init__(self, path: Path | None, account_limits: CallLimits, domain_limits: CallLimits) -> None:
        self.file = None if path is None else LedgerFile(path, time.time())
        self._limits = Limits(None if self.file is None else self.file.ledger)
        self._account = Account(
            id=ACCOUNT,
            name="a",
            calls_per_second=1e9,
            concurrent_calls=1_000_000,
            limits=account_limits,
        )
        self._domain = Domain(id=DomainId("d"), account_id=ACCOUNT, label="d", limits=domain_limits)
        if account_limits != UNLIMITED:
            self._limits.tariff = Tariff([(None, "31", 10_000)], {ACCOUNT: Funds(10**15, "EUR")})

    def calls(self, seconds: float) -> tuple[int, float]:
        """How many, and microseconds for each in the best round."""
        until = time.perf_counter() + seconds
        count, best = 0, float("inf")
        while time.perf_counter() < until:
            began = time.process_time()
            for number in range(ROUND):
                now = time.time()
                call = LiveCall(
                    f"c{number}", self._account, subjects_of(self._account, self._domain), since=0.0
                )
                over = self._limits.admit(call, now, NUMBER)
                if over is not None:
                    raise AssertionError(over.remedy)
                self._limits.release(call.call_id, now)
            best = min(best, time.process_time() - began)
            count += ROUND
        return count, best / ROUND * 1e6


def contender(path: Path, seconds: float, start: float, told: multiprocessing.Queue[tuple[int, int]]) -> None:
    caller = Caller(path, ALL, UNLIMITED)
    time.sleep(max(0.0, start - time.time()))
    count, _ = caller.calls(seconds)
    assert caller.file is not None
    told.put((count, caller.file.waits_given_up))
    caller.file.close()


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "limits"
        for name, where, of_account, of_domain in (
            ("an account's rate and places, in memory", None, UNLIMITED, UNLIMITED),
            ("the same, in a shared file", path, UNLIMITED, UNLIMITED),
            ("all limits of an account, in a shared file", path, ALL, UNLIMITED),
            ("all limits of an account and its domain", path, ALL, ALL),
        ):
            caller = Caller(where, of_account, of_domain)
            print(f"{name}: {caller.calls(seconds)[1]:.1f} us a call")
            if caller.file is not None:
                caller.file.close()
        told: multiprocessing.Queue[tuple[int, int]] = multiprocessing.Queue()
        start = time.time() + 1.0
        processes = [
            multiprocessing.Process(target=contender, args=(path, seconds, start, told))
            for _ in range(PROCESSES)
        ]
        for process in processes:
            process.start()
        results = [told.get(timeout=seconds + 10) for _ in processes]
        for process in processes:
            process.join()
    calls = sum(count for count, _ in results) / seconds
    given_up = sum(lost for _, lost in results)
    print(
        f"{PROCESSES} processes at once: {calls:,.0f} calls a second, {given_up} decisions without the lock"
    )


if __name__ == "__main__":
    main()
