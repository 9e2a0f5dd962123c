"""Whether good logins get through while somebody floods the edge with bogus INVITEs.

    python -m bench.flood [--rate 10000] [--seconds 6] [--logins 10] [KIND ...]

A whole node (edge, store, records in SQLite) is pinned to one core; the flood, the PBX and the carrier share
the other.  The PBX places `--logins` calls a second: INVITE, 407, ACK, INVITE with digest, 180, 200, ACK,
BYE, 200, through a plain trunk.  Its access control list has a SIP account and no network, so that nothing
but the password tells the PBX from a stranger: the worst case.  Each kind of flood meets a fresh node:

    none            nothing, for comparison
    one source      INVITEs for the domain from one address
    many sources    the same from 16,000 forged addresses, each in turn
    no domain       INVITEs for domains that do not exist, forged addresses
    wrong digest    INVITEs with a digest of a challenge of ours and a wrong password, forged addresses
    scanner         OPTIONS of friendly-scanner, forged addresses
    garbage         what is no SIP, forged addresses

Forged sources are addresses of 127.0.0.0/8, chosen for each datagram (IP_PKTINFO).
"""

from __future__ import annotations

import argparse
import socket
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import procfs
from bench.edge import EDGE_CORE, PEER_CORE, carrier, place_calls, receive_buffer_errors, wide_buffers
from bench.edge_scenarios import toml
from bench.machine import described
from bench.nodes import HOST, NUMBER, USER, BenchNode, free_ports, serving

SOURCES: Final = 16_000
FOLD_SECONDS: Final = 6.0
"""After the flood, until its last refusals are on record."""
KINDS: Final = ("none", "one source", "many sources", "no domain", "wrong digest", "scanner", "garbage")
PKTINFO: Final = 8
"""IP_PKTINFO of linux/in.h, which the socket module does not name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flooded:
    """What happened while one kind of flood lasted."""

    kind: str
    sent: float
    """Bogus datagrams a second."""
    lost: float
    """Datagrams a second that receive buffers had no room for, of the whole machine."""
    logins: int
    good: int
    retransmissions: int
    core: float
    memory: int
    """Bytes that the node grew by."""
    refusals: dict[str, int]
    """By cause."""


def packet(kind: str, number: int, nonce: str) -> bytes:
    """One bogus datagram; `number` makes it another call."""
    if kind == "garbage":
        return b"\x00\x01" * 300
    host = f"d{number % 997}.sip.example.com" if kind == "no domain" else HOST
    method = "OPTIONS" if kind == "scanner" else "INVITE"
    extra = ""
    if kind == "scanner":
        extra = "User-Agent: friendly-scanner\r\n"
    if kind == "wrong digest":
        extra = (
            f'Proxy-Authorization: Digest username="{USER}", realm="sip.example.com", nonce="{nonce}", '
            f'uri="sip:{NUMBER}@{host}", response="{"0" * 32}", algorithm=MD5, cnonce="c", qop=auth, '
            "nc=00000001\r\n"
        )
    return (
        f"{method} sip:{NUMBER}@{host} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 127.1.1.1:5060;branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\n"
        f"From: <sip:x@{host}>;tag={number}\r\nTo: <sip:{NUMBER}@{host}>\r\nCall-ID: flood{number}\r\n"
        f"CSeq: 1 {method}\r\nContact: <sip:x@127.1.1.1>\r\n{extra}Content-Length: 0\r\n\r\n"
    ).encode()


def challenge(port: int) -> str:
    """A nonce of the node's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.bind(("127.0.0.3", 0))
        sock.sendto(
            packet("one source", 0, "").replace(b"127.1.1.1:5060;", b"127.0.0.3;rport;"), ("127.0.0.1", port)
        )
        return sock.recv(65_535).partition(b'nonce="')[2].partition(b'"')[0].decode()


def send(kind: str, port: int, rate: int, seconds: float) -> int:
    """Sends the flood at an even pace; what the machine cannot do in time is left out."""
    nonce = challenge(port) if kind == "wrong digest" else ""
    packets = [packet(kind, number, nonce) for number in range(2_000)]
    sources = SOURCES if kind != "one source" else 1
    infos = [
        [(socket.IPPROTO_IP, PKTINFO, struct.pack("=I4s4s", 0, (0x7F010000 + n).to_bytes(4, "big"), b""))]
        for n in range(1, sources + 1)
    ]
    sent, each = 0, rate // 100
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        began = due = time.monotonic()
        while due < began + seconds:
            for _ in range(each):
                info = infos[sent % sources]
                sock.sendmsg([packets[sent % len(packets)]], info, 0, ("127.0.0.1", port))
                sent += 1
            due = max(due + 0.01, time.monotonic() - 0.1)
            time.sleep(max(0.0, due - time.monotonic()))
    return sent


def flooded(kind: str, node: BenchNode, options: argparse.Namespace, folder: Path) -> Flooded:
    seconds = options.seconds
    arguments = ("--send", kind, "--port", str(node.port), "--rate", str(options.rate))
    memory, lost = procfs.resident(node.pid), receive_buffer_errors()
    flood = None
    if kind != "none":
        flood = subprocess.Popen(
            [
                "taskset",
                "-c",
                str(PEER_CORE),
                sys.executable,
                "-m",
                "bench.flood",
                *arguments,
                "--seconds",
                str(seconds),
            ],
            stdout=subprocess.PIPE,
        )
        time.sleep(0.5)  # The flood comes first.
    step = place_calls(node.pid, node.port, options.logins, seconds - 1, folder)
    sent = 0 if flood is None else int(flood.communicate()[0])
    lost = receive_buffer_errors() - lost
    time.sleep(FOLD_SECONDS)
    causes = node.query("SELECT cause, sum(count) FROM refusals GROUP BY cause ORDER BY 2 DESC")
    return Flooded(
        kind=kind,
        sent=sent / seconds,
        lost=lost / seconds,
        logins=step.placed,
        good=step.succeeded,
        retransmissions=step.retransmissions,
        core=step.cpu,
        memory=procfs.resident(node.pid) - memory,
        refusals={str(cause): int(count) for cause, count in causes},
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.flood", description=__doc__.partition("\n")[0])
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], default=[])
    parser.add_argument("--rate", type=int, default=10_000, help="bogus datagrams a second")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--logins", type=int, default=10, help="good calls a second")
    parser.add_argument("--send", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.send:
        print(send(options.send, options.port, options.rate, options.seconds))
        return 0
    print(f"{described()}\n\n{__doc__.partition(chr(10) * 2)[2]}", flush=True)
    print("flood          sent/s  lost/s  logins  good  retrans.  core  grown MB  refused, by cause")
    failed = 0
    with tempfile.TemporaryDirectory(prefix="trunkflow-bench-") as name, wide_buffers():
        folder = Path(name)
        (gateway,) = free_ports(1)

        def configuration(port: int, inside: int) -> str:
            return toml(port, inside, gateway).replace('networks = ["127.0.0.1/32"]\n', "")

        with carrier(gateway, folder):
            for kind in options.kinds or KINDS:
                with serving(configuration, EDGE_CORE) as node:
                    found = flooded(kind, node, options, folder)
                    complaints = node.complaints()
                failed += found.logins - found.good
                causes = ", ".join(f"{cause} {count:,}" for cause, count in found.refusals.items())
                print(
                    f"{found.kind:<13} {found.sent:>7,.0f} {found.lost:>7,.0f} {found.logins:>7}"
                    f" {found.good:>5} {found.retransmissions:>9} {found.core:>5.0%}"
                    f" {found.memory / 1e6:>9.1f}  {causes}",
                    flush=True,
                )
                for line in complaints[:3]:
                    print(f"  the node complained: {line}")
    print(f"good logins that failed: {failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
