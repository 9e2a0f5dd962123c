"""Where a SIP host is (RFC 3263): SRV records, then addresses; bounded in time, remembered for a while."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable
from typing import Final

import dns.asyncresolver
import dns.exception
import dns.rdatatype
import dns.resolver

SECONDS: Final = 4.0
"""For all questions about one host together."""
REMEMBERED: Final = 4_096
_LONGEST: Final = 300.0
_SHORTEST: Final = 5.0
_MOST: Final = 8
"""Addresses of one host."""

Found = list[tuple[str, str, int]]
"""(transport, address, port), the one to try first in front."""


class Unresolvable(Exception):
    """The host has no address that SIP could use.  The message says which host and why."""


class Resolver:
    """Asks the system's DNS servers."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, int | None, str | None], asyncio.Future[Found]] = {}
        self._known: dict[tuple[str, int | None, str | None], tuple[float, Found]] = {}
        self._resolver: dns.asyncresolver.Resolver | None = None

    async def resolve(self, host: str, port: int | None, transport: str | None) -> Found:
        """`port` and `transport` as the URI says them.  Raises Unresolvable."""
        key = (host.lower().rstrip("."), port, transport)
        known = self._known.get(key)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        try:
            async with asyncio.timeout(SECONDS):
                seconds, found = await self._ask(*key)
        except TimeoutError:
            raise Unresolvable(f"{host}: DNS did not answer within {SECONDS:g} s") from None
        except (dns.exception.DNSException, OSError) as fault:
            raise Unresolvable(f"{host}: {fault}") from fault
        if not found:
            raise Unresolvable(f"{host} has no address")
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[key] = time.monotonic() + min(max(seconds, _SHORTEST), _LONGEST), found
        return found

    async def _ask(self, host: str, port: int | None, transport: str | None) -> tuple[float, Found]:
        if port is not None:
            seconds, addresses = await self._addresses(host)
            return seconds, [(transport or "UDP", address, port) for address in addresses]
        wanted = [transport] if transport else ["UDP", "TCP"]
        for kind in wanted:
            seconds, servers = await self._servers(f"_sip._{kind.lower()}.{host}")
            found: Found = []
            for name, server_port in servers[:_MOST]:
                _, addresses = await self._addresses(name)
                found += [(kind, address, server_port) for address in addresses]
            if found:
                return seconds, found[:_MOST]
        seconds, addresses = await self._addresses(host)
        return seconds, [(transport or "UDP", address, 5060) for address in addresses]

    async def _servers(self, name: str) -> tuple[float, list[tuple[str, int]]]:
        """Host names and ports of SRV records, by priority, at random by weight within one (RFC 2782)."""
        try:
            answer = await self._dns().resolve(name, dns.rdatatype.SRV)
        except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN, dns.resolver.NoNameservers):
            return _LONGEST, []
        records = sorted(answer, key=lambda record: (record.priority, -random.random() * (record.weight + 1)))  # noqa: S311
        if len(records) == 1 and str(records[0].target) == ".":
            return float(answer.rrset.ttl if answer.rrset else 0), []
        ttl = float(answer.rrset.ttl) if answer.rrset else 0.0
        return ttl, [(str(record.target).rstrip("."), record.port) for record in records]

    async def _addresses(self, host: str) -> tuple[float, list[str]]:
        async def ask(kind: dns.rdatatype.RdataType) -> tuple[float, list[str]]:
            try:
                answer = await self._dns().resolve(host, kind)
            except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN, dns.resolver.NoNameservers):
                return _LONGEST, []
            return float(answer.rrset.ttl) if answer.rrset else 0.0, [record.address for record in answer]

        questions: list[Awaitable[tuple[float, list[str]]]] = [ask(dns.rdatatype.A), ask(dns.rdatatype.AAAA)]
        answers = await asyncio.gather(*questions)
        return min(seconds for seconds, _ in answers), [one for _, found in answers for one in found][:_MOST]

    def _dns(self) -> dns.asyncresolver.Resolver:
        if self._resolver is None:
            self._resolver = dns.asyncresolver.Resolver()
        return self._resolver
