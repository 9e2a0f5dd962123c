"""A DNS server on loopback with one zone, over UDP, and over TCP for answers that were cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataset
import dns.rdatatype
import dns.zone

from tests.ports import free_port

ORIGIN = "sip.test"
_SOA = f"@ 60 IN SOA ns.{ORIGIN}. admin.{ORIGIN}. 1 3600 600 86400 60\n@ 60 IN NS ns.{ORIGIN}.\n"


class NameServer(asyncio.DatagramProtocol):
    """Answers from its zone; what it was asked is in `asked`."""

    def __init__(self, records: str) -> None:
        self.zone = dns.zone.from_text(_SOA + records, origin=f"{ORIGIN}.", relativize=False)
        self.asked: list[str] = []
        self.silent = False
        self.failing = False
        self.deaf_to: set[str] = set()
        """Types of records of which it says nothing."""
        self.fails_at: set[str] = set()
        """Those that it cannot find, and names: each a word of `asked`."""
        self.cut_off = False
        """Over UDP no answer fits."""
        self.address = ("127.0.0.1", 0)
        self.udp: asyncio.DatagramTransport | None = None

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._answer(data, whole=not self.cut_off)
        if answer is not None and self.udp is not None:
            self.udp.sendto(answer, addr)

    async def by_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2), "big")
        answer = self._answer(await reader.readexactly(size), whole=True)
        if answer is not None:
            writer.write(len(answer).to_bytes(2, "big") + answer)
            await writer.drain()
        writer.close()

    def _answer(self, data: bytes, *, whole: bool) -> bytes | None:
        query = dns.message.from_wire(data)
        (question,) = query.question
        self.asked.append(f"{dns.rdatatype.to_text(question.rdtype)} {question.name.to_text(True)}")
        words = set(self.asked[-1].split())
        if self.silent or words & self.deaf_to:
            return None
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        if self.failing or words & self.fails_at:
            response.set_rcode(dns.rcode.SERVFAIL)
            return response.to_wire()
        if not whole:
            response.flags |= dns.flags.TC
            return response.to_wire()
        if self.zone.get_node(question.name) is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
        name = question.name
        alias = self.zone.get_rrset(name, dns.rdatatype.CNAME)
        if alias is not None:
            response.answer.append(alias)
            name = alias[0].target
        found = self.zone.get_rrset(name, question.rdtype)
        if found is not None:
            response.answer.append(found)
        else:
            soa = self.zone.get_rrset(f"{ORIGIN}.", dns.rdatatype.SOA)
            assert soa is not None
            response.authority.append(soa)
        return response.to_wire()


@asynccontextmanager
async def serving(records: str) -> AsyncIterator[NameServer]:
    """Records as a zone file of `ORIGIN` writes them."""
    server = NameServer(records)
    loop = asyncio.get_running_loop()
    server.address = ("127.0.0.1", free_port())
    tcp = await asyncio.start_server(server.by_tcp, *server.address)
    server.udp, _ = await loop.create_datagram_endpoint(lambda: server, local_addr=server.address)
    try:
        yield server
    finally:
        server.udp.close()
        tcp.close()
        await tcp.wait_closed()
