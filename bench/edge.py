"""How many authenticated calls, and how many unwelcome packets, the edge deals with on one core.

    python -m bench.edge [--seconds 8] [--from 500] [--to 3000] [--step 250] [--no-peer]

Calls: a whole node (edge, store, records of every call in SQLite) is pinned to one core.  sipp on the
other core is the PBX and, a second sipp, the carrier.  Each call is INVITE, 407, ACK, INVITE with
digest, 100, 180, 200, ACK, BYE, 200 through a plain-trunk domain to a gateway.  The rate rises by steps
until one step has a failed call; retransmissions are shown beside.
Kamailio, as packaged and with one worker, stands in the same place in the same run; it keeps no records.

Packets: INVITEs from an address that no ACL admits, as fast as one Python process can send them, to the
same node; what was refused is counted from the refusals that the node has on record.
"""

from __future__ import annotations

import argparse
import csv
import math
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import procfs
from bench.edge_scenarios import CARRIER, KAMAILIO, PBX, toml
from bench.figures import percentile
from bench.machine import described
from bench.nodes import BenchNode, free_ports, serving

EDGE_CORE: Final = 0
PEER_CORE: Final = 1

FLOOD_SOURCE: Final = "127.0.0.2"
FLOOD_SECONDS: Final = 5.0

CALLS_TARGET: Final = 1_500
PACKETS_TARGET: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rate."""

    rate: int
    placed: int
    succeeded: int
    failed: int
    retransmissions: int
    cpu: float
    """Share of the core that the measured process used."""
    lost_in_buffers: int
    """Datagrams that the system dropped because a receive buffer was full, anywhere on the machine."""

    @property
    def good(self) -> bool:
        return self.failed == 0 and self.succeeded == self.placed


def place_calls(pid: int, port: int, rate: int, seconds: float, folder: Path) -> Step:
    """Places calls at one rate, and counts."""
    scenario = folder / "pbx.xml"
    scenario.write_text(PBX)
    statistics = folder / f"statistics-{rate}.csv"
    statistics.unlink(missing_ok=True)
    calls = int(rate * seconds)
    before, began, lost = procfs.cpu_time(pid).own, time.monotonic(), receive_buffer_errors()
    subprocess.run(
        [
            *("taskset", "-c", str(PEER_CORE), "sipp", f"127.0.0.1:{port}", "-sf", str(scenario)),
            *("-i", "127.0.0.1", "-auth_uri", "+31201234567@acme.sip.example.com"),
            *("-r", str(rate), "-m", str(calls), "-l", "100000", "-nostdin", "-buff_size", "8388608"),
            *("-timeout", f"{math.ceil(seconds) + 40}s", "-trace_stat", "-stf", str(statistics), "-fd", "1"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        check=False,
    )
    took = max(seconds, time.monotonic() - began)
    with statistics.open(newline="") as file:
        last = list(csv.DictReader(file, delimiter=";"))[-1]
    return Step(
        rate=rate,
        placed=calls,
        succeeded=int(last["SuccessfulCall(C)"]),
        failed=int(last["FailedCall(C)"]) + calls - int(last["TotalCallCreated"]),
        retransmissions=int(last["Retransmissions(C)"]),
        cpu=(procfs.cpu_time(pid).own - before) / took,
        lost_in_buffers=receive_buffer_errors() - lost,
    )


def rising(pid: int, port: int, options: argparse.Namespace, folder: Path) -> int:
    """Steps up until the first failure; the last rate without one."""
    best = 0
    print("   calls/s   placed     good  failed  retrans.   core  RcvbufErrors", flush=True)
    for rate in range(options.first, options.last + 1, options.step):
        step = place_calls(pid, port, rate, options.seconds, folder)
        print(
            f"  {rate:>8} {step.placed:>8} {step.succeeded:>8} {step.failed:>7} {step.retransmissions:>9}"
            f" {step.cpu:>5.0%} {step.lost_in_buffers:>13}",
            flush=True,
        )
        if not step.good:
            break
        best = rate
    return best


@contextmanager
def carrier(port: int, folder: Path) -> Iterator[None]:
    """A sipp that answers everything."""
    scenario = folder / "carrier.xml"
    scenario.write_text(CARRIER)
    process = subprocess.Popen(
        [
            *("taskset", "-c", str(PEER_CORE), "sipp", "-sf", str(scenario), "-i", "127.0.0.1"),
            *("-p", str(port), "-nostdin", "-buff_size", "8388608"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )
    try:
        _wait_until_taken(port)
        yield
    finally:
        process.kill()
        process.wait()


def _wait_until_taken(port: int) -> None:
    for _ in range(200):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nothing took port {port} within 10 s")


@contextmanager
def kamailio(port: int, gateway: int, folder: Path) -> Iterator[int]:
    """The peer; gives the pid of its one worker."""
    config = folder / "kamailio.cfg"
    config.write_text(KAMAILIO.format(port=port, gateway=gateway))
    process = subprocess.Popen(
        ["taskset", "-c", str(EDGE_CORE), "kamailio", "-DD", "-E", "-f", str(config), "-Y", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_until_taken(port)
        time.sleep(1)
        workers = procfs.children(process.pid)
        if not workers:
            raise RuntimeError(f"Kamailio did not start with {config}")
        yield workers[0]
    finally:
        process.terminate()
        process.wait()


def flood(node: BenchNode) -> None:
    """Sends what nobody admits, and says how much of it was dealt with."""
    packet = (
        "INVITE sip:+31201234567@acme.sip.example.com SIP/2.0\r\n"
        "Via: SIP/2.0/UDP 127.0.0.2:5060;branch=z9hG4bKx\r\n"
        "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
    ).encode("ascii")
    before, cpu, lost = _refused(node), procfs.cpu_time(node.pid).own, receive_buffer_errors()
    sender = subprocess.run(
        [
            *("taskset", "-c", str(PEER_CORE), sys.executable, "-c", _SENDER),
            *(str(node.port), str(FLOOD_SECONDS), FLOOD_SOURCE),
        ],
        input=packet,
        capture_output=True,
        check=True,
    )
    sent = int(sender.stdout)
    # Refusals of a flood are folded for some seconds before they are written.
    time.sleep(8)
    refused = _refused(node) - before
    cpu = (procfs.cpu_time(node.pid).own - cpu) / FLOOD_SECONDS
    lost = receive_buffer_errors() - lost
    reachable = refused / FLOOD_SECONDS / max(cpu, 0.01)
    print(
        f"  sent {sent / FLOOD_SECONDS:,.0f}/s, refused {refused / FLOOD_SECONDS:,.0f}/s with {cpu:.0%} core"
    )
    print(f"  {lost / FLOOD_SECONDS:,.0f}/s lost in receive buffers (RcvbufErrors)")
    verdict = _verdict(reachable >= PACKETS_TARGET)
    print(f"  at a whole core: {reachable:,.0f}/s; target {PACKETS_TARGET:,}: {verdict}", flush=True)


_SENDER = """
import socket, sys, time
port, seconds, source = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
packet = sys.stdin.buffer.read()
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind((source, 0))
sock.connect(("127.0.0.1", port))
until, sent = time.monotonic() + seconds, 0
while time.monotonic() < until:
    for _ in range(256):
        sock.send(packet)
    sent += 256
print(sent)
"""


def _refused(node: BenchNode) -> int:
    return int(node.query("SELECT coalesce(sum(count), 0) FROM refusals WHERE gate = 'source'")[0][0])


@contextmanager
def wide_buffers() -> Iterator[None]:
    """Receive buffers of 8 MiB, when we may: with the system's 208 KiB sipp is the first to fail."""
    files = [Path("/proc/sys/net/core") / name for name in ("rmem_max", "rmem_default")]
    before = [file.read_text() for file in files]
    try:
        for file in files:
            file.write_text("8388608")
    except OSError:
        print("receive buffers stay as they are (not root): sipp may lose packets before the edge does")
    try:
        yield
    finally:
        for file, value in zip(files, before, strict=True):
            if file.read_text() != value:
                file.write_text(value)


def receive_buffer_errors() -> int:
    """Of all UDP sockets of the machine, since it was started."""
    names, values = (
        line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Udp:")
    )
    return int(values[names.index("RcvbufErrors")])


def idle_latency(port: int) -> str:
    """OPTIONS to the edge, one after another: what one message takes there and back."""
    times = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        probe.settimeout(2)
        host, own = probe.getsockname()
        for count in range(500):
            request = (
                "OPTIONS sip:acme.sip.example.com SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP {host}:{own};branch=z9hG4bKlatency{count}\r\nMax-Forwards: 70\r\n"
                f"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: l{count}\r\nCSeq: 1 OPTIONS\r\n"
                "Content-Length: 0\r\n\r\n"
            )
            began = time.perf_counter()
            probe.sendto(request.encode(), ("127.0.0.1", port))
            probe.recv(4096)
            times.append((time.perf_counter() - began) * 1e6)
    return f"{percentile(times, 0.5):.0f} us p50, {percentile(times, 0.99):.0f} us p99"


def _verdict(met: bool) -> str:
    return "met" if met else "MISSED"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.edge", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=8.0, help="length of each step")
    parser.add_argument(
        "--from", dest="first", type=int, default=500, help="calls per second of the first step"
    )
    parser.add_argument("--to", dest="last", type=int, default=3_000)
    parser.add_argument("--step", type=int, default=250)
    parser.add_argument("--no-peer", action="store_true", help="without Kamailio")
    options = parser.parse_args()
    for program in ("sipp", "taskset"):
        if shutil.which(program) is None:
            print(f"{program} is not installed: apt-get install sip-tester util-linux", file=sys.stderr)
            return 1
    print(f"{described()}\n\n{__doc__.partition(chr(10) * 2)[2]}", flush=True)
    with tempfile.TemporaryDirectory(prefix="trunkflow-bench-") as name, wide_buffers():
        folder = Path(name)
        (gateway,) = free_ports(1)
        with (
            carrier(gateway, folder),
            serving(lambda port, inside: toml(port, inside, gateway), EDGE_CORE) as node,
        ):
            print(f"OPTIONS through the idle edge: {idle_latency(node.port)}")
            print("trunkflow, one core:")
            best = rising(node.pid, node.port, options, folder)
            verdict = _verdict(best >= CALLS_TARGET)
            print(f"  last rate without a failure: {best}; target {CALLS_TARGET}: {verdict}")
            print("packets from an address that no ACL admits:")
            flood(node)
            for line in node.complaints()[:5]:
                print(f"  the node complained: {line}")
        if options.no_peer or shutil.which("kamailio") is None:
            print("Kamailio: not measured" if options.no_peer else "Kamailio: not installed")
            return 0
        gateway, port = free_ports(2)
        with carrier(gateway, folder), kamailio(port, gateway, folder) as worker:
            print("Kamailio as packaged, one worker, the same core:")
            best = rising(worker, port, options, folder)
            print(f"  last rate without a failure: {best}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
