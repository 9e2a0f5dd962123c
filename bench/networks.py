"""The table of networks that every packet meets: size, time to make and to look up; and a rebuild of it.

    python -m bench.networks [--networks 1 1000 1000000] [--no-rebuild]

Tables: random IPv4 networks of all usual lengths (half of them hosts and /24) and, for each size, addresses
inside and outside.  Each table is made in a process of its own, whose resident memory before and after is
its size; times are of its processor time.  Look-ups are 200,000 different addresses, so nothing is
remembered from before; `again` is an address that the table remembers.  Peers in the same run: pytricia and
py-radix, radix trees in C, when they are installed (``pip install pytricia py-radix``), and `ipaddress`, one
network after the other.

Rebuild: the same networks, in 1,000 access control lists of as many domains, in SQLite.  A node's event loop
loads and compiles them while something else wants to run every millisecond; what it waits for is what calls
wait for.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import multiprocessing
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_address
from pathlib import Path
from typing import Any, Final

from bench import procfs
from bench.figures import percentile
from bench.machine import described
from sip_config.networks import NetworkTable
from voice.store.config import ConfigStore
from voice.store.database import Database, sqlite_url

LOOKED_UP: Final = 200_000
LISTS: Final = 1_000
_LENGTHS: Final = (32, 32, 32, 32, 24, 24, 29, 28, 22, 20)
_OTHERS: Final = 0.1
"""Share of networks of any other length from 17 to 31; a hundredth of it are from 9 to 16."""
_SLOW: Final = 100_000_000
"""Networks times look-ups that `ipaddress` is asked at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    bytes: int
    seconds: float
    hit: float
    """Microseconds, as are the others."""
    miss: float
    again: float


def networks_of(count: int) -> list[IPv4Network]:
    """Different random networks, always the same."""
    dice = random.Random(count)
    found: dict[tuple[int, int], None] = {}
    while len(found) < count:
        length = dice.choice(_LENGTHS)
        if dice.random() < _OTHERS:
            length = dice.randrange(9, 17) if dice.random() < 0.01 else dice.randrange(17, 32)
        found[dice.getrandbits(32) >> 32 - length << 32 - length, length] = None
    return [IPv4Network(one) for one in found]


def addresses(networks: Sequence[IPv4Network]) -> tuple[list[str], list[str]]:
    """Addresses inside some network, and addresses that are in none."""
    dice = random.Random(0)
    table = NetworkTable(((network, 1) for network in networks), remembered=1)
    inside: list[str] = []
    outside: list[str] = []
    for _ in range(LOOKED_UP):
        network = dice.choice(networks)
        inside.append(str(network.network_address + dice.randrange(network.num_addresses)))
    while len(outside) < LOOKED_UP:
        address = str(IPv4Address(dice.getrandbits(32)))
        if not table.masks(address):
            outside.append(address)
    return inside, outside


def ours(networks: Sequence[IPv4Network]) -> Callable[[str], object]:
    table = NetworkTable((network, 1) for network in networks)
    return table.masks


def pytricia(networks: Sequence[IPv4Network]) -> Callable[[str], object]:
    tree = importlib.import_module("pytricia").PyTricia(32)
    for network in networks:
        tree[str(network)] = 1
    find: Callable[[str], object] = tree.has_key
    return find


def py_radix(networks: Sequence[IPv4Network]) -> Callable[[str], object]:
    tree = importlib.import_module("radix").Radix()
    for network in networks:
        tree.add(str(network))
    find: Callable[[str], object] = tree.search_best
    return find


def linear(networks: Sequence[IPv4Network]) -> Callable[[str], object]:
    def find(text: str) -> object:
        address = ip_address(text)
        return any(address in network for network in networks)

    return find


STRUCTURES: Final[dict[str, Callable[[Sequence[IPv4Network]], Callable[[str], object]]]] = {
    "trunkflow": ours,
    "pytricia": pytricia,
    "py-radix": py_radix,
    "ipaddress": linear,
}


def measured(
    make: Callable[[Sequence[IPv4Network]], Callable[[str], object]],
    networks: Sequence[IPv4Network],
    inside: Sequence[str],
    outside: Sequence[str],
) -> Measured | None:
    """In a process of its own; None: what it takes is not installed."""
    here, there = multiprocessing.Pipe()
    if os.fork() == 0:
        try:
            there.send(_measure(make, networks, inside, outside))
        except ImportError:
            there.send(None)
        finally:
            os._exit(0)
    there.close()
    found: Measured | None = here.recv()
    os.wait()
    return found


def _measure(make: Any, networks: Sequence[IPv4Network], inside: Any, outside: Any) -> Measured:
    gc.disable()
    before, began = procfs.resident(os.getpid()), time.process_time()
    find = make(networks)
    seconds, size = time.process_time() - began, procfs.resident(os.getpid()) - before
    few = max(1, min(LOOKED_UP, _SLOW // len(networks) // 20)) if make is linear else LOOKED_UP
    return Measured(
        bytes=size,
        seconds=seconds,
        hit=_microseconds(find, inside[:few]),
        miss=_microseconds(find, outside[:few]),
        again=_microseconds(find, [inside[0]] * few),
    )


def _microseconds(find: Callable[[str], object], wanted: Sequence[str]) -> float:
    began = time.process_time()
    for address in wanted:
        find(address)
    return (time.process_time() - began) / len(wanted) * 1e6


def tables(counts: Sequence[int]) -> None:
    print("   networks  structure        size      made in     hit    miss   again (us a look-up)")
    for count in counts:
        networks = networks_of(count)
        inside, outside = addresses(networks)
        for name, make in STRUCTURES.items():
            found = measured(make, networks, inside, outside)
            if found is None:
                print(f"{count:>11,}  {name:<10} not installed", flush=True)
                continue
            print(
                f"{count:>11,}  {name:<10} {found.bytes / 1e6:>7.1f} MB {found.seconds * 1e3:>9.1f} ms"
                f" {found.hit:>7.2f} {found.miss:>7.2f} {found.again:>7.2f}",
                flush=True,
            )


async def rebuild(count: int) -> None:
    """How long the loop is not to be had while a directory is loaded, the first time and the next ones."""
    with tempfile.TemporaryDirectory(prefix="trunkflow-bench-") as folder:
        path = Path(folder) / "trunkflow.db"
        async with await Database.open(sqlite_url(path)) as database:
            await asyncio.to_thread(_fill, path, networks_of(count))
            gc.set_threshold(50_000, 20, 100)  # As the edge sets it.
            store = ConfigStore(database, media_folder=Path(folder))
            before = procfs.resident(os.getpid())
            directory = None
            for attempt in ("first", "second", "third"):
                pauses: list[float] = []
                watch = asyncio.create_task(_watch(pauses))
                await asyncio.sleep(0)
                began = time.perf_counter()
                gc.disable()  # As a node does, and freezes what is there then.
                directory = await store.directory(base_domain="sip.example.com", pop="eu1")
                if directory.is_large:
                    gc.freeze()
                gc.enable()
                took = time.perf_counter() - began
                await asyncio.sleep(0.01)
                watch.cancel()
                await asyncio.gather(watch, return_exceptions=True)
                pauses.sort()
                grown = (procfs.resident(os.getpid()) - before) / 1e6
                print(
                    f"{count:>11,}  {attempt:<7} {took:>7.2f} s, memory {grown:>6.0f} MB;"
                    f" pauses p50 {percentile(pauses, 0.5) * 1e3:.1f} ms,"
                    f" p99 {percentile(pauses, 0.99) * 1e3:.1f} ms, longest {pauses[-1] * 1e3:.0f} ms",
                    flush=True,
                )


async def _watch(pauses: list[float]) -> None:
    last = time.perf_counter()
    while True:
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        pauses.append(now - last)
        last = now


def _fill(path: Path, networks: Sequence[IPv4Network]) -> None:
    lists = min(LISTS, len(networks))
    with sqlite3.connect(path) as database:
        database.execute(
            "INSERT INTO accounts (id, name, calls_per_second, concurrent_calls, max_call_seconds, origin)"
            " VALUES ('a', 'a', 1, 1, 60, 'api')"
        )
        for number in range(lists):
            database.execute(
                "INSERT INTO acls (id, account_id, name, origin) VALUES (?, 'a', ?, 'api')",
                (f"l{number}", f"l{number}"),
            )
            database.execute(
                "INSERT INTO domains (id, account_id, label, algorithms, home_region, origin)"
                " VALUES (?, 'a', ?, 'MD5', 'EU', 'api')",
                (f"d{number}", f"d{number}"),
            )
            database.execute(
                "INSERT INTO domain_acls (domain_id, acl_id, position) VALUES (?, ?, 0)",
                (f"d{number}", f"l{number}"),
            )
        database.executemany(
            "INSERT INTO acl_networks (acl_id, network) VALUES (?, ?)",
            ((f"l{number % lists}", str(network)) for number, network in enumerate(networks)),
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.networks", description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", type=int, nargs="+", default=[1, 1_000, 1_000_000])
    parser.add_argument("--no-rebuild", action="store_true")
    options = parser.parse_args()
    print(f"{described()}\n\n{__doc__.partition(chr(10) * 2)[2]}", flush=True)
    tables(options.networks)
    if not options.no_rebuild:
        print("\n   networks  rebuild of the directory")
        for count in options.networks:
            asyncio.run(rebuild(count))
    return 0


if __name__ == "__main__":
    sys.exit(main())
