"""Where a SIP host is (RFC 3263): asked of a DNS server over real sockets."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sip_config.model import Transport
from tests.edge.authority import Authority
from tests.edge.nameserver import ORIGIN, NameServer, serving
from tests.edge.sockets import address, running, settings
from tests.edge.test_edge_tls import carrier, connected, status
from tests.edge.test_edge_transports import invite
from tests.edge.world import DOMAIN, directory, gateway
from voice.edge import resolve
from voice.edge.resolve import Question, Resolver, Unresolvable

ALL = frozenset(("UDP", "TCP", "TLS"))

ZONE = """
naptr       60 IN NAPTR 20 10 "s" "SIP+D2U"  "" _sip._udp.naptr
naptr       60 IN NAPTR 10 20 "s" "SIP+D2T"  "" _sip._tcp.naptr
naptr       60 IN NAPTR 10 10 "S" "sips+d2t" "" elsewhere
naptr       60 IN NAPTR 5  5  "s" "SIP+D2S"  "" _sip._sctp.naptr
naptr       60 IN NAPTR 5  5  "u" "E2U+sip"  "!^.*$!sip:x@y!" .
_sip._udp.naptr 60 IN SRV 1 1 5070 one
_sip._tcp.naptr 60 IN SRV 1 1 5071 one
elsewhere   60 IN SRV 1 1 5072 one
one         60 IN A 192.0.2.1
two         60 IN A 192.0.2.2
two         60 IN AAAA 2001:db8::2
srv         60 IN A 192.0.2.99
_sip._udp.srv 60 IN SRV 20 1 5060 one
_sip._udp.srv 60 IN SRV 10 1 5062 two
_sips._tcp.srv 60 IN SRV 1 1 5063 two
tcponly     60 IN A 192.0.2.99
_sip._tcp.tcponly 60 IN SRV 1 1 5064 one
not         60 IN A 192.0.2.98
_sip._udp.not 60 IN SRV 0 0 0 .
spread      60 IN A 192.0.2.97
_sip._udp.spread 60 IN SRV 1 9 5001 one
_sip._udp.spread 60 IN SRV 1 1 5002 one
_sip._udp.spread 60 IN SRV 1 0 5003 one
dangling    60 IN A 192.0.2.96
_sip._udp.dangling 60 IN SRV 1 1 5060 gone
short       1  IN A 192.0.2.95
empty       60 IN TXT "nothing"
alias       60 IN CNAME two
carrier     60 IN A 127.0.0.1
"""


@asynccontextmanager
async def asking(records: str = ZONE) -> AsyncIterator[tuple[NameServer, Resolver]]:
    async with serving(records) as server:
        resolver = Resolver([server.address])
        try:
            yield server, resolver
        finally:
            await resolver.close()


def question(
    host: str,
    port: int | None = None,
    transport: str | None = None,
    *,
    secure: bool = False,
    usable: frozenset[str] = ALL,
) -> Question:
    return Question(f"{host}.{ORIGIN}", port, transport, secure, usable)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (question("naptr"), [("TLS", "192.0.2.1", 5072)]),
        (question("naptr", usable=frozenset(("UDP", "TCP"))), [("TCP", "192.0.2.1", 5071)]),
        (question("naptr", usable=frozenset(("UDP",))), [("UDP", "192.0.2.1", 5070)]),
        (question("naptr", secure=True), [("TLS", "192.0.2.1", 5072)]),
        (question("naptr", None, "UDP"), [("UDP", "192.0.2.1", 5070)]),
        (
            question("srv"),
            [("UDP", "192.0.2.2", 5062), ("UDP", "2001:db8::2", 5062), ("UDP", "192.0.2.1", 5060)],
        ),
        (question("srv", secure=True), [("TLS", "192.0.2.2", 5063), ("TLS", "2001:db8::2", 5063)]),
        (question("srv", None, "TLS"), [("TLS", "192.0.2.2", 5063), ("TLS", "2001:db8::2", 5063)]),
        (question("srv", None, "TCP"), [("TCP", "192.0.2.99", 5060)]),
        (question("srv", 5080), [("UDP", "192.0.2.99", 5080)]),
        (question("srv", 5081, secure=True), [("TLS", "192.0.2.99", 5081)]),
        (question("tcponly"), [("TCP", "192.0.2.1", 5064)]),
        (question("two"), [("UDP", "192.0.2.2", 5060), ("UDP", "2001:db8::2", 5060)]),
        (question("two", None, "TLS"), [("TLS", "192.0.2.2", 5061), ("TLS", "2001:db8::2", 5061)]),
        (question("alias"), [("UDP", "192.0.2.2", 5060), ("UDP", "2001:db8::2", 5060)]),
        (question("not"), [("UDP", "192.0.2.98", 5060)]),
        (question("dangling"), [("UDP", "192.0.2.96", 5060)]),
    ],
    ids=lambda value: "-".join(str(part) for part in value[:4]) if isinstance(value, Question) else "",
)
async def test_a_host_is_found(asked: Question, found: resolve.Found) -> None:
    async with asking() as (_, resolver):
        assert await resolver.resolve(asked) == found


async def test_servers_share_the_load_by_weight() -> None:
    firsts: Counter[int] = Counter()
    async with serving(ZONE) as server:
        for _ in range(200):
            resolver = Resolver([server.address])
            found = await resolver.resolve(question("spread", None, "UDP"))
            assert sorted(port for _, _, port in found) == [5001, 5002, 5003]
            assert found[-1][2] == 5003, "no weight: after those with some"
            firsts[found[0][2]] += 1
            await resolver.close()
    # 180 of 200 expected; 5 standard deviations are 21.
    assert firsts[5001] > 155
    assert firsts[5002] > 0


async def test_an_answer_is_remembered_and_asked_once_by_many() -> None:
    async with asking() as (server, resolver):
        await asyncio.gather(*(resolver.resolve(question("two", 5060)) for _ in range(50)))
        await resolver.resolve(question("TWO", 5060))
        assert sorted(server.asked) == [f"A two.{ORIGIN}", f"AAAA two.{ORIGIN}"]


@pytest.mark.parametrize("host", ["gone", "empty"])
async def test_that_there_is_nothing_is_remembered_too(host: str) -> None:
    async with asking() as (server, resolver):
        for _ in range(3):
            with pytest.raises(Unresolvable, match=f"{host}.{ORIGIN} has no address"):
                await resolver.resolve(question(host, 5060))
        assert len(server.asked) == 2


async def test_what_is_remembered_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("voice.edge.resolve.time.monotonic", lambda: now)
    async with asking() as (server, resolver):
        for seconds, times in ((0, 1), (4, 1), (2, 2)):
            now += seconds
            await resolver.resolve(question("short", 5060))
            assert len(server.asked) == 2 * times, "a TTL of 1 s counts as 5 s"
        server.asked.clear()
        for seconds, times in ((0, 1), (29, 1), (2, 2)):
            now += seconds
            with pytest.raises(Unresolvable):
                await resolver.resolve(question("gone", 5060))
            assert len(server.asked) == 2 * times


async def test_a_server_that_fails_is_not_asked_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    async with asking() as (server, resolver):
        server.failing = True
        with pytest.raises(Unresolvable, match=r"two.sip.test: .*SERVFAIL"):
            await resolver.resolve(question("two", 5060))
        asked = len(server.asked)
        server.failing = False
        with pytest.raises(Unresolvable):
            await resolver.resolve(question("two", 5060))
        assert len(server.asked) == asked
        later = time.monotonic() + 6
        monkeypatch.setattr("voice.edge.resolve.time.monotonic", lambda: later)
        assert await resolver.resolve(question("two", 5060))


async def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve, "SECONDS", 0.2)
    async with asking() as (server, resolver):
        server.silent = True
        with pytest.raises(Unresolvable, match=r"did not answer within|lifetime expired"):
            await resolver.resolve(question("two", 5060))


@pytest.mark.parametrize("how", ["deaf_to", "fails_at"])
@pytest.mark.parametrize(
    ("what", "asked", "found"),
    [
        ("AAAA", question("two", 5060), [("UDP", "192.0.2.2", 5060)]),
        ("A", question("two", 5060), [("UDP", "2001:db8::2", 5060)]),
        ("NAPTR", question("srv", secure=True), [("TLS", "192.0.2.2", 5063), ("TLS", "2001:db8::2", 5063)]),
    ],
    ids=["IPv6", "IPv4", "NAPTR"],
)
async def test_a_server_that_does_not_know_a_type_of_records_costs_little(
    how: str, what: str, asked: Question, found: resolve.Found
) -> None:
    async with asking() as (server, resolver):
        getattr(server, how).add(what)
        began = time.monotonic()
        assert await resolver.resolve(asked) == found
        assert time.monotonic() - began < 2.5, "of four seconds"


async def test_a_target_that_cannot_be_found_leaves_the_others() -> None:
    async with asking() as (server, resolver):
        server.fails_at.add(f"two.{ORIGIN}")
        assert await resolver.resolve(question("srv")) == [("UDP", "192.0.2.1", 5060)]
        server.fails_at.add(f"one.{ORIGIN}")
        with pytest.raises(Unresolvable, match="SERVFAIL"):
            await resolver.resolve(question("srv", None, "UDP"))


async def test_an_answer_that_was_cut_off_is_fetched_over_tcp() -> None:
    async with asking() as (server, resolver):
        server.cut_off = True
        assert (await resolver.resolve(question("two", 5060)))[0] == ("UDP", "192.0.2.2", 5060)


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve, "REMEMBERED", 5)
    async with asking() as (_, resolver):
        for at in range(12):
            with pytest.raises(Unresolvable):
                await resolver.resolve(question(f"gone{at}", 5060))
        assert len(resolver._known) <= 5


async def test_a_question_outlives_the_one_who_asked_it_first() -> None:
    async with asking() as (server, resolver):
        server.silent = True
        first = asyncio.create_task(resolver.resolve(question("two", 5060)))
        second = asyncio.create_task(resolver.resolve(question("two", 5060)))
        while len(server.asked) < 2:
            await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        server.silent = False
        # The library asks again after its own while.
        assert await second


@pytest.mark.parametrize(
    "shown",
    [f"carrier.{ORIGIN}", f"*.{ORIGIN}", f"sip:carrier.{ORIGIN}"],
    ids=["name", "wildcard", "SIP URI"],
)
async def test_a_call_to_a_gateway_by_its_name_and_its_certificate(tmp_path: Path, shown: str) -> None:
    authority = Authority(tmp_path / "tls")
    far = authority.server(authority.issue("carrier.pem", shown))
    async with carrier(far) as there:
        records = ZONE + f"_sips._tcp.carrier 60 IN SRV 1 1 {there.port} carrier\n"
        async with serving(records) as server:
            config = directory(
                networks=("127.0.0.0/8",),
                gateways=[gateway(host=f"carrier.{ORIGIN}", port=5061, transport=Transport.TLS)],
            )
            tls = authority.settings(authority.issue("edge.pem", DOMAIN))
            chosen = replace(settings(tls=tls), name_servers=(server.address,))
            async with (
                running(config, chosen) as (edge, _),
                connected(address(edge, "TLS"), authority.client(), DOMAIN) as (reader, writer),
            ):
                writer.write(invite("TLS", 5061))
                assert await status(reader) == 100
                request, back = await there.gets("INVITE")
                assert request.uri.endswith(f"@carrier.{ORIGIN};transport=tls")
                there.answers(request, back, 486)
                await there.gets("ACK")
                assert await status(reader) == 486
