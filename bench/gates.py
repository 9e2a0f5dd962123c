"""What each gate costs: processor time for one packet that it refuses, from datagram to answer.

    python -m bench.gates

The proxy core without sockets, in one process.  10,000 access control lists of as many domains, each with ten
networks; one more domain lets in any source that knows a password.  Each row is a packet that gets as far as
the gate that it names, from 4,096 sources (which are remembered) or from ever new ones (which are not); the
best of some rounds.  Reading and sending a datagram costs some 8 us more, and is not counted here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Final

from bench.flood import packet
from bench.machine import described
from sip_config.credentials import ha1_for_all
from sip_config.directory import Directory
from sip_config.model import Account, AccountId, Acl, AclId, Domain, DomainId, SipAccount
from sip_config.networks import Network, parse_network
from voice.bans import by_operator
from voice.edge.core.doors import INSIDE, Door, Doors
from voice.edge.core.proxy import Proxy
from voice.edge.settings import BanRules, EdgeSettings
from voice.records import Record
from voice.sip.flow import Flow

PACKETS: Final = 4_096
ROUNDS: Final = 5
CUSTOMERS: Final = 10_000
NOW: Final = 1_800_000_000.0
BASE: Final = "sip.example.com"


class _Forgetful:
    """A journal that keeps nothing."""

    def write(self, record: Record) -> None:
        """Forgets it."""


def directory(*, roaming: bool) -> Directory:
    owner = AccountId("a")
    user = SipAccount(id="u", username="pbx", ha1=ha1_for_all(username="pbx", realm=BASE, password="secret"))
    lists = [
        Acl(id=AclId(f"l{n}"), account_id=owner, name=f"l{n}", networks=tuple(_networks(n)))
        for n in range(CUSTOMERS)
    ]
    domains = [
        Domain(id=DomainId(f"d{n}"), account_id=owner, label=f"c{n}", acl_ids=(lists[n].id,))
        for n in range(CUSTOMERS)
    ]
    if roaming:
        lists.append(Acl(id=AclId("any"), account_id=owner, name="any", sip_accounts=(user,)))
        domains.append(Domain(id=DomainId("any"), account_id=owner, label="acme", acl_ids=(AclId("any"),)))
    return Directory(
        base_domain=BASE, pop="eu1", accounts=(Account(id=owner, name="a"),), acls=lists, domains=domains
    )


def _networks(number: int) -> Iterator[Network]:
    for part in range(10):
        yield parse_network(f"{100 + part}.{number >> 8}.{number & 255}.0/{24 + part % 6}")


def proxy(config: Directory, **rules: object) -> Proxy:
    settings = EdgeSettings(
        listen=(),
        base_domain=BASE,
        seal_key=b"k" * 32,
        digest_secret=b"s" * 32,
        bans=BanRules(**rules),  # type: ignore[arg-type]
    )
    doors = tuple(
        Door(index=index, transport="UDP", host=host, port=5060, ipv6=False, local_host=host)
        for index, host in ((INSIDE, "127.0.0.1"), (1, "8.8.4.4"))
    )
    return Proxy(
        settings,
        Doors(doors),
        lambda: config,
        _Forgetful(),
        release_seat=lambda *_: None,
        connected=lambda _: False,
        names=lambda _: (),
    )


def flows() -> Iterator[Flow]:
    """Ever new sources."""
    for number in count():
        yield Flow(
            "UDP", 1, f"{20 + (number >> 24)}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 5060
        )


def microseconds(edge: Proxy, packets: list[bytes], sources: Callable[[], list[Flow]]) -> float:
    best, now = float("inf"), NOW
    for _ in range(ROUNDS + 1):
        some = sources()
        began = time.process_time()
        for data, source in zip(packets, some, strict=True):
            edge.receive(data, source, now)
        best = min(best, time.process_time() - began)
        edge.kernel.outbox.clear()
        now += 1.0
        edge.handle_timer(now)
    return best / len(packets) * 1e6


def main() -> int:
    print(f"{described()}\n\n{__doc__.partition(chr(10) * 2)[2]}", flush=True)
    every = flows()
    some = [next(every) for _ in range(PACKETS)]

    def new() -> list[Flow]:
        return [next(every) for _ in range(PACKETS)]

    def same() -> list[Flow]:
        return some

    closed, open_ = directory(roaming=False), directory(roaming=True)
    plain = [packet("one source", number, "") for number in range(PACKETS)]
    banned = proxy(open_)
    for flow in some:
        banned.kernel.bans.put(by_operator(flow.host, 9_999.0, NOW))
    slow = proxy(open_, requests_per_second=0.1, request_burst=1, flood_requests=1_000_000)
    crowded = proxy(open_)
    for _ in range(1_000):
        crowded.kernel.crowd.batch(False)
    scanners = proxy(open_, enabled=True, first_seconds=0.001, longest_seconds=0.001)
    rows: list[tuple[str, Proxy, list[bytes], Callable[[], list[Flow]]]] = [
        ("banned", banned, plain, same),
        ("source: nothing admits it", proxy(closed), plain, same),
        ("source: nothing admits it, ever new", proxy(closed), plain, new),
        ("too fast", slow, plain, same),
        ("crowd: left aside", crowded, plain, new),
        ("parse: malformed", proxy(open_), [packet("garbage", 0, "")] * PACKETS, new),
        ("scanner", scanners, [packet("scanner", number, "") for number in range(PACKETS)], new),
        ("domain: unknown", proxy(open_), [packet("no domain", n, "") for n in range(PACKETS)], new),
        ("access control list", proxy(open_), [one.replace(b"acme.", b"c77.") for one in plain], new),
        ("digest: challenged", proxy(open_), plain, new),
        ("digest: wrong", proxy(open_), [packet("wrong digest", n, "0" * 68) for n in range(PACKETS)], new),
    ]
    for name, edge, packets, sources in rows:
        print(f"  {name:<38} {microseconds(edge, packets, sources):6.2f} us", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
