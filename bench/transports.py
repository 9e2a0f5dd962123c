"""What connections cost the edge: CPU of a new one and of a message, memory of one that is quiet.

    python -m bench.transports

The edge runs in this process, its clients in another; CPU is that of this process alone.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from bench.machine import described
from bench.procfs import resident
from tests.edge.authority import Authority
from tests.edge.sockets import address, running, settings
from tests.edge.test_edge_websocket import UPGRADE, frame
from tests.edge.world import BASE, DOMAIN, directory
from voice.edge.settings import StreamLimits

CONNECTIONS: Final = 500
MESSAGES: Final = 5_000
_OPTIONS: Final = (
    "OPTIONS sip:{base} SIP/2.0\r\nVia: SIP/2.0/{transport} 127.0.0.1:5060;branch=z9hG4bK{branch};rport\r\n"
    "From: <sip:a@b>;tag=1\r\nTo: <sip:{base}>\r\nCall-ID: c{branch}\r\nCSeq: 1 OPTIONS\r\n"
    "Content-Length: 0\r\n\r\n"
)


def options(transport: str, branch: int) -> bytes:
    data = _OPTIONS.format(base=BASE, transport=transport, branch=branch).encode()
    return frame(0x81, data) if transport in ("WS", "WSS") else data


def connect(transport: str, port: int, context: ssl.SSLContext) -> socket.socket:
    """A client's connection on which one message has been answered."""
    if transport == "UDP":
        plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        plain.connect(("127.0.0.1", port))
    else:
        plain = socket.create_connection(("127.0.0.1", port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    secure = transport in ("TLS", "WSS")
    sock = context.wrap_socket(plain, server_hostname=DOMAIN) if secure else plain
    if transport in ("WS", "WSS"):
        sock.sendall(UPGRADE)
        sock.recv(4_096)
    sock.sendall(options(transport, 0))
    sock.recv(4_096)
    return sock


def peer(transport: str, port: int, authority: str) -> None:
    """The clients: at each line of standard input, one phase."""
    context = ssl.create_default_context(cafile=authority)
    sockets = []
    for line in sys.stdin:
        if line.strip() == "connect":
            sockets += [connect(transport, port, context) for _ in range(CONNECTIONS)]
        else:
            for branch in range(1, MESSAGES + 1):
                sockets[0].sendall(options(transport, branch))
                sockets[0].recv(4_096)
        print("done", flush=True)


async def measure(transport: str, key: str, authority: Authority, certificate: Path) -> None:
    chosen = settings(
        tls=authority.settings(certificate),
        streams=StreamLimits(total=10_000, per_source=10_000, handshakes=10_000),
    )
    async with running(directory(networks=("127.0.0.0/8",)), chosen) as (edge, _):
        _, port = address(edge, transport)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.transports", "--peer", transport, str(port), str(authority.file),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip

        async def phase(name: str) -> tuple[float, float, int]:
            """CPU and wall seconds, and bytes that memory grew by."""
            assert process.stdin is not None
            assert process.stdout is not None
            gc.collect()
            before, cpu, wall = resident(os.getpid()), time.process_time(), time.perf_counter()
            process.stdin.write(name.encode() + b"\n")
            assert await process.stdout.readline() == b"done\n"
            return time.process_time() - cpu, time.perf_counter() - wall, resident(os.getpid()) - before

        made, _, grew = await phase("connect")
        said, lasted, _ = await phase("talk")
        await process.communicate(b"")
    print(
        f"{transport:<4} {key:<9} new, with a message {made / CONNECTIONS * 1e3:6.2f} ms CPU"
        f"   memory {grew / CONNECTIONS / 1024:5.1f} KiB"
        f"   a message {said / MESSAGES * 1e6:6.1f} us CPU, {MESSAGES / lasted:6.0f}/s one after another",
        flush=True,
    )


async def main(transport: str, key: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder) / "tls")
        await measure(
            transport, key, authority, authority.issue("edge.pem", DOMAIN, rsa=key.startswith("RSA"))
        )


def all_of_them() -> None:
    """Each in a process of its own, whose memory nobody used before."""
    print(described(), flush=True)
    for transport, key in (
        ("UDP", ""), ("TCP", ""), ("WS", ""), ("TLS", "P-256"), ("WSS", "P-256"), ("TLS", "RSA 2048"),
        ("WSS", "RSA 2048"),
    ):  # fmt: skip
        subprocess.run([sys.executable, "-m", "bench.transports", "--edge", transport, key], check=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", nargs=3, metavar=("TRANSPORT", "PORT", "AUTHORITY"))
    parser.add_argument("--edge", nargs=2, metavar=("TRANSPORT", "KEY"))
    given = parser.parse_args()
    if given.peer:
        peer(given.peer[0], int(given.peer[1]), given.peer[2])
    elif given.edge:
        asyncio.run(main(*given.edge))
    else:
        all_of_them()
