"""Good logins at a real edge while somebody floods it."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.edge.sockets import address, running, udp_socket
from tests.edge.world import NUMBER, SDP, directory
from voice.edge.server import Edge
from voice.records import Refusal
from voice.sip.digest import answer
from voice.sip.headers import Headers
from voice.sip.message import Request, Response, parse_message

RATE = 500
"""Bogus datagrams a second, which the edge has time for also on a machine that runs other tests;
`bench.flood` sends 10,000."""
LONGEST_SECONDS = 120.0
"""Of the flood, which is ended as soon as the test is done."""
LOGINS = 5
LEFT_ASIDE = "edge-overloaded"
"""What may happen to anybody for a moment on a busy machine, until he sends again."""
DOMAIN = "acme.sip.example.com"
T1_SECONDS = 0.5
PATIENCE_SECONDS = 60.0
T2_SECONDS = 4.0


class Pbx:
    """Logs in, from an address that never did, and sends again what is not answered, as RFC 3261 has it."""

    def __init__(self, edge: Edge, host: str) -> None:
        self.sock: socket.socket = udp_socket(host)
        self.sock.connect(address(edge, "UDP"))
        self._sent = 0

    def invite(self, *more: tuple[str, str]) -> Request:
        self._sent += 1
        host, port = self.sock.getsockname()
        uri = f"sip:{NUMBER}@{DOMAIN}"
        fields = [
            ("Via", f"SIP/2.0/UDP {host}:{port};branch=z9hG4bKgood{self._sent}"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:pbx@{DOMAIN}>;tag={self._sent}"),
            ("To", f"<{uri}>"),
            ("Call-ID", f"good{self._sent}"),
            ("CSeq", f"{self._sent} INVITE"),
            ("Contact", f"<sip:pbx@{host}:{port}>"),
            *more,
        ]
        return Request("INVITE", uri, Headers(fields), SDP)

    async def ask(self, request: Request) -> Response:
        """The final response."""
        loop = asyncio.get_running_loop()
        wait = T1_SECONDS
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                self.sock.send(request.to_bytes())
                try:
                    async with asyncio.timeout(wait):
                        while True:
                            found = parse_message(await loop.sock_recv(self.sock, 65_535))
                            assert isinstance(found, Response)
                            if found.status >= 200 and found.call_id == request.call_id:
                                return found
                except TimeoutError:
                    wait = min(2 * wait, T2_SECONDS)

    async def log_in(self) -> int:
        """The status after the digest."""
        response = await self.ask(self.invite())
        assert response.status == 407
        while response.status == 407:
            given = answer(
                response,
                method="INVITE",
                uri=f"sip:{NUMBER}@{DOMAIN}",
                username="pbx",
                password="secret",
                cnonce=f"c{self._sent}",
            )
            # Once more if the answer was slow: what is sent again then comes too late for its nonce.
            response = await self.ask(self.invite((given.header, given.value)))
            assert response.status != 407 or "stale=true" in (
                response.headers.get("Proxy-Authenticate") or ""
            )
        return response.status


@asynccontextmanager
async def flooding(edge: Edge, kind: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Goes on until the end; the flood has come to the edge by then."""
    flood = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.flood", "--send", kind, "--port", str(address(edge, "UDP")[1])),
        *("--rate", str(RATE), "--seconds", str(LONGEST_SECONDS)),
    )
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while edge.snapshot().messages_received < RATE:
                await asyncio.sleep(0.02)
        yield flood
    finally:
        if flood.returncode is None:
            flood.kill()
        await flood.wait()


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("one source", "source-too-fast"),
        ("many sources", None),
        ("no domain", "unknown-domain"),
        ("wrong digest", "wrong-password"),
        ("scanner", "scanner"),
        ("garbage", "malformed"),
    ],
)
async def test_good_logins_get_through_a_flood(kind: str, cause: str | None) -> None:
    async with (
        running(directory(networks=(), users={"pbx": "secret"})) as (edge, records),
        flooding(edge, kind) as flood,
    ):
        for number in range(LOGINS):
            pbx = Pbx(edge, f"127.77.0.{number + 1}")
            try:
                # Let in, and then nothing answers the number: no gateway is configured.
                assert await pbx.log_in() == 404
            finally:
                pbx.sock.close()
        assert flood.returncode is None, "the flood ended before the logins did"
        refused = [refusal for refusal in records.all if isinstance(refusal, Refusal)]
    ours = {one.cause for one in refused if one.source_address.startswith("127.77.")} - {LEFT_ASIDE}
    bogus = {one.cause for one in refused if not one.source_address.startswith("127.77.")} - {LEFT_ASIDE}
    assert ours == {"no-gateway"}
    assert cause in bogus if cause else not bogus
