"""nsd, a real name server, which serves one zone on loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.ports import free_port

PATIENCE_SECONDS = 20.0
HOST = "127.0.0.1"

CONFIG = """
server:
    ip-address: {host}@{port}
    do-ip6: no
    server-count: 1
    username: ""
    chroot: ""
    database: ""
    zonesdir: "{folder}"
    pidfile: ""
    xfrdfile: "{folder}/xfrd.state"
    xfrdir: "{folder}"
    zonelistfile: "{folder}/zone.list"
    logfile: "{folder}/nsd.log"
remote-control:
    control-enable: no
zone:
    name: "{name}"
    zonefile: "{folder}/zone"
"""


@asynccontextmanager
async def serving(folder: Path, name: str, zone: str) -> AsyncIterator[int]:
    """The UDP port at which the zone is answered for."""
    folder.mkdir()
    (folder / "zone").write_text(zone)
    port = free_port()
    (folder / "nsd.conf").write_text(CONFIG.format(host=HOST, port=port, folder=folder, name=name))
    process = await asyncio.create_subprocess_exec(
        "nsd",
        "-d",
        "-c",
        str(folder / "nsd.conf"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _answers(process, folder, port)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _answers(process: asyncio.subprocess.Process, folder: Path, port: int) -> None:
    """Asks for the root's name servers until there is any answer."""
    question = b"\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01"
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            assert process.returncode is None, f"nsd did not start: {_log(folder)}"
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.connect((HOST, port))
                try:
                    await loop.sock_sendall(sock, question)
                    async with asyncio.timeout(0.1):
                        await loop.sock_recv(sock, 512)
                except (TimeoutError, ConnectionRefusedError):
                    await asyncio.sleep(0.02)
                else:
                    return


def _log(folder: Path) -> str:
    path = folder / "nsd.log"
    return path.read_text() if path.exists() else "no log"
