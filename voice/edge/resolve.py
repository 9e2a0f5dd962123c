"""Where a SIP host is (RFC 3263): NAPTR, SRV, then addresses; bounded in time, remembered for a while.

Hosts that are not there are remembered too, so that a flood of calls to one asks DNS now and then.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.rdatatype
import dns.resolver

SECONDS: Final = 4.0
"""For all questions about one host together."""
REMEMBERED: Final = 4_096
_LONGEST: Final = 300.0
_SHORTEST: Final = 5.0
_NOTHING_SECONDS: Final = 30.0
"""How long a host is believed not to be there, at most: it may be being set up."""
_FAULT_SECONDS: Final = 5.0
"""How long no answer at all is believed."""
_POINTER_SECONDS: Final = 1.0
"""For NAPTR, which some servers never answer: without it there is the usual order."""
_OTHER_FAMILY_SECONDS: Final = 0.5
"""How long addresses of one family wait for those of the other, which some servers never answer."""
_MOST: Final = 8
"""Addresses of one host."""
_SERVICES: Final = {"SIP+D2U": "UDP", "SIP+D2T": "TCP", "SIPS+D2T": "TLS"}
_SRV: Final = {"UDP": "_sip._udp", "TCP": "_sip._tcp", "TLS": "_sips._tcp"}
_ABSENT: Final = (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN)

Found = list[tuple[str, str, int]]
"""(transport, address, port), the one to try first in front."""


class Unresolvable(Exception):
    """The host has no address that SIP could use.  The message says which host and why."""


class Question(NamedTuple):
    """`port` and `transport` as the URI says them."""

    host: str
    port: int | None
    transport: str | None
    secure: bool = False
    """Of a sips URI: TLS and nothing else."""
    usable: frozenset[str] = frozenset(("UDP", "TCP"))
    """Transports that the edge can send by."""


class _Known(NamedTuple):
    until: float
    found: Found
    why: str
    """Nothing was found, for this reason."""


class Resolver:
    """Asks the system's DNS servers, or those given as (address, port)."""

    def __init__(self, servers: Sequence[tuple[str, int]] = ()) -> None:
        self._servers = tuple(servers)
        self._asked: dict[Question, asyncio.Task[_Known]] = {}
        self._known: dict[Question, _Known] = {}
        self._resolver: dns.asyncresolver.Resolver | None = None

    async def resolve(self, question: Question) -> Found:
        """Raises Unresolvable."""
        question = question._replace(host=question.host.lower().rstrip("."))
        known = self._known.get(question)
        if known is None or known.until <= time.monotonic():
            known = await self._once(question)
        if not known.found:
            raise Unresolvable(known.why)
        return known.found

    async def close(self) -> None:
        """Gives up what is being asked."""
        tasks = list(self._asked.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _once(self, question: Question) -> _Known:
        """Many calls to one host ask one question."""
        task = self._asked.get(question)
        if task is None:
            task = self._asked[question] = asyncio.get_running_loop().create_task(self._learn(question))
            task.add_done_callback(lambda _: self._asked.pop(question, None))
        return await asyncio.shield(task)

    async def _learn(self, question: Question) -> _Known:
        seconds, found, why = _FAULT_SECONDS, Found(), ""
        try:
            async with asyncio.timeout(SECONDS):
                ttl, found = await self._ask(question)
            seconds = min(max(ttl, _SHORTEST), _LONGEST if found else _NOTHING_SECONDS)
            why = "" if found else f"{question.host} has no address"
        except TimeoutError:
            why = f"{question.host}: DNS did not answer within {SECONDS:g} s"
        except (dns.exception.DNSException, OSError) as fault:
            why = f"{question.host}: {fault}"
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        known = self._known[question] = _Known(time.monotonic() + seconds, found, why)
        return known

    async def _ask(self, question: Question) -> tuple[float, Found]:
        """Section 4.2, and before it, where the URI leaves the transport open, section 4.1."""
        host, port, transport, secure, usable = question
        usual = transport or ("TLS" if secure else "UDP")
        if port is not None:
            seconds, addresses = await self._addresses(host)
            return seconds, [(usual, address, port) for address in addresses]
        services = [(transport, f"{_SRV[transport]}.{host}")] if transport else []
        if not services:
            seconds, services = await self._pointers(host, secure, usable)
        found: Found = []
        shortest = _LONGEST
        for kind, name in services:
            seconds, servers = await self._located(name)
            shortest = min(shortest, seconds)
            fault: dns.exception.DNSException | None = None
            for target, server_port in servers[:_MOST]:
                try:
                    seconds, addresses = await self._addresses(target)
                except dns.exception.DNSException as failed:
                    seconds, addresses, fault = _FAULT_SECONDS, [], failed
                shortest = min(shortest, seconds)
                found += [(kind, address, server_port) for address in addresses]
            if found:
                return shortest, found[:_MOST]
            if fault is not None:
                raise fault
        seconds, addresses = await self._addresses(host)
        usual_port = 5061 if usual == "TLS" else 5060
        return min(shortest, seconds), [(usual, address, usual_port) for address in addresses]

    async def _pointers(
        self, host: str, secure: bool, usable: frozenset[str]
    ) -> tuple[float, list[tuple[str, str]]]:
        """Transports and the names of their SRV records, as NAPTR prefers them, or in the usual order."""
        allowed = {"TLS"} if secure else usable
        seconds = _FAULT_SECONDS
        records: list[Any] = []
        with suppress(TimeoutError, dns.exception.DNSException):
            async with asyncio.timeout(_POINTER_SECONDS):
                seconds, records = await self._records(host, dns.rdatatype.NAPTR)
        pointers: list[tuple[str, str]] = []
        for record in sorted(records, key=lambda record: (record.order, record.preference)):
            kind = _SERVICES.get(record.service.decode("ascii", "replace").upper())
            if kind and kind in allowed and record.flags.lower() == b"s":
                pointers.append((kind, str(record.replacement).rstrip(".")))
        if not pointers:
            pointers = [(kind, f"{prefix}.{host}") for kind, prefix in _SRV.items() if kind in allowed]
        return seconds, pointers[:_MOST]

    async def _located(self, name: str) -> tuple[float, list[tuple[str, int]]]:
        """Host names and ports of SRV records, in the order to try them."""
        seconds, records = await self._records(name, dns.rdatatype.SRV)
        if len(records) == 1 and str(records[0].target) == ".":
            return seconds, []
        return seconds, [
            (str(record.target).rstrip("."), record.port) for record in sorted(records, key=_turn)
        ]

    async def _addresses(self, host: str) -> tuple[float, list[str]]:
        """Of both families; of one alone where the other fails or is long in coming."""
        tasks = [
            asyncio.create_task(self._records(host, kind)) for kind in (dns.rdatatype.A, dns.rdatatype.AAAA)
        ]
        try:
            done, late = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if late:
                some = any(task.exception() is None and task.result()[1] for task in done)
                await asyncio.wait(late, timeout=_OTHER_FAMILY_SECONDS if some else None)
        finally:
            for task in tasks:
                task.cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
        good = [answer for answer in answers if not isinstance(answer, BaseException)]
        addresses = [record.address for _, records in good for record in records]
        faults = [answer for answer in answers if isinstance(answer, Exception)]
        if faults and not addresses:
            raise faults[0]
        with_some = [seconds for seconds, records in good if records]
        usual = min(with_some, default=_NOTHING_SECONDS)
        # What one family lacks is asked for again soon.
        return usual if len(good) == len(tasks) else min(usual, _NOTHING_SECONDS), addresses[:_MOST]

    async def _records(self, name: str, kind: dns.rdatatype.RdataType) -> tuple[float, list[Any]]:
        try:
            answer = await self._dns().resolve(name, kind)
        except _ABSENT:
            return _LONGEST, []
        return float(answer.rrset.ttl) if answer.rrset else 0.0, list(answer)

    def _dns(self) -> dns.asyncresolver.Resolver:
        if self._resolver is None:
            self._resolver = dns.asyncresolver.Resolver(configure=not self._servers)
            if self._servers:
                self._resolver.nameservers = [
                    dns.nameserver.Do53Nameserver(address, port) for address, port in self._servers
                ]
            # Each question has one try: several of them share the time of one host.
            self._resolver.lifetime = SECONDS
        return self._resolver


def _turn(record: Any) -> tuple[int, float]:
    """By priority, and within one at random by weight: the first is each with the probability that its share
    of the weight is (RFC 2782), because exponential times race."""
    if not record.weight:
        return record.priority, math.inf
    return record.priority, -math.log(1.0 - random.random()) / record.weight  # noqa: S311
