"""Bans of a whole node: imposed by its edge, listed and lifted by the command, kept through a restart."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from tests.e2e.conftest import MakePlatform
from tests.e2e.flows import flow, say
from tests.e2e.node import BASE_DOMAIN, account, settings_text, trunkflow, trunkflow_json

SCANNER = "127.0.0.66"
PATIENCE_SECONDS = 30.0


def options(host: str, port: int, branch: int, agent: str) -> bytes:
    return (
        f"OPTIONS sip:acme.{BASE_DOMAIN} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{branch}\r\nFrom: <sip:a@b>;tag={branch}\r\n"
        f"To: <sip:acme.{BASE_DOMAIN}>\r\nCall-ID: o{branch}\r\nCSeq: 1 OPTIONS\r\nUser-Agent: {agent}\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


class Sender:
    """Somebody at an address who sends OPTIONS."""

    def __init__(self, host: str, door: str) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind((host, 0))
        self._sock.setblocking(False)
        to, _, port = door.rpartition(":")
        self._sock.connect((to, int(port)))
        self._sent = 0

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def send(self, agent: str = "PBX") -> None:
        self._sent += 1
        host, port = self._sock.getsockname()
        self._sock.send(options(host, port, self._sent, agent))

    async def hears(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return b"SIP/2.0 200" in await asyncio.get_running_loop().sock_recv(self._sock, 65_535)
        except TimeoutError:
            return False

    async def heard_again(self) -> bool:
        """Asks until it is answered, or for too long."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                self.send()
                if await self.hears(0.2):
                    return True


async def listed(config: Path) -> list[dict[str, object]]:
    """The bans on record, once there are any."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (found := await trunkflow_json("bans", "list", config=config)):
            await asyncio.sleep(0.1)
    return list(found)


async def test_a_scanner_is_kept_out_through_a_restart_until_it_is_released(node: MakePlatform) -> None:
    settings = settings_text()
    accounts = account(networks=(), flow=flow(say()))
    async with node(accounts, settings) as here:
        with Sender(SCANNER, here.door()) as scanner, Sender("127.0.0.67", here.door()) as other:
            scanner.send()
            assert await scanner.hears(PATIENCE_SECONDS), "a stranger is answered"
            scanner.send("friendly-scanner")
            (ban,) = await listed(here.config)
            scanner.send()
            assert not await scanner.hears(0.5)
            other.send()
            assert await other.hears(PATIENCE_SECONDS)
    assert (ban["address"], ban["reason"], ban["proven"]) == (SCANNER, "scanner", False)
    async with node(accounts, settings) as again:
        with Sender(SCANNER, again.door()) as scanner:
            await listed(again.config)
            scanner.send()
            assert not await scanner.hears(0.5)
            await trunkflow("bans", "release", SCANNER, config=again.config)
            assert await scanner.heard_again()
            assert await trunkflow_json("bans", "list", config=again.config) == []
            await trunkflow("bans", "add", SCANNER, config=again.config)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    scanner.send()
                    if not await scanner.hears(0.5):
                        break
