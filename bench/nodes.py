"""A real node to measure: ``trunkflow serve`` as a process of its own, on loopback, with one customer."""

from __future__ import annotations

import math
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench import procfs

USER: Final = "pbx"
PASSWORD: Final = "bench"
NUMBER: Final = "+31201234567"
HOST: Final = "acme.sip.example.com"

RTP_FIRST: Final = 30_000
RTP_LAST: Final = 59_999

START_SECONDS: Final = 40.0
SETTLE_SECONDS: Final = 1.0
STOP_SECONDS: Final = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    flow: str
    """The callflow document of the number that is called."""
    sounds: Mapping[str, Path]
    """Files that its `play` steps name."""
    max_call_seconds: int = 600
    calls_per_process: int = 1
    warm_reserve: int = 4
    max_processes: int = 400
    core: int | None = None
    """The only core that the node may use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallProcess:
    pid: int
    descriptors: int


class BenchNode:
    """A node that runs."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, directory: Path, log: Path) -> None:
        self.pid = process.pid
        self.port = port
        self.log = log
        self.directory = directory
        self._process = process
        self._zygote: int | None = None

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def zygote(self) -> int:
        """Its pid.  Raises LookupError when it is not there yet."""
        if self._zygote is None:
            found = [
                pid for pid in procfs.children(self.pid) if "voice.pool.zygote" in procfs.command_line(pid)
            ]
            if not found:
                raise LookupError("the node has no zygote yet")
            self._zygote = found[0]
        return self._zygote

    def call_processes(self) -> list[CallProcess]:
        """Those that are there now, the oldest first."""
        found = []
        for pid in procfs.children(self.zygote):
            try:
                found.append(CallProcess(pid=pid, descriptors=procfs.descriptors(pid)))
            except ProcessLookupError:
                continue
        return found

    def call_cpu(self) -> float:
        """Seconds of CPU time that call processes have used so far, those that have ended included."""
        total = procfs.cpu_time(self.zygote).reaped
        for process in self.call_processes():
            try:
                total += procfs.cpu_time(process.pid).own
            except ProcessLookupError:
                continue
        return total

    def parent_cpu(self) -> float:
        """Seconds of CPU time of edge, pool, store and zygote so far."""
        return procfs.cpu_time(self.pid).own + procfs.cpu_time(self.zygote).own

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the node's database."""
        file = self.directory / "data" / "trunkflow.db"
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            return database.execute(sql).fetchall()

    def complaints(self) -> list[str]:
        """Lines of its log: at level warning a healthy node writes none."""
        return [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]


@contextmanager
def running_node(settings: NodeSettings) -> Iterator[BenchNode]:
    """A node that answers; it is stopped, and everything it wrote is deleted, at the end."""
    with serving(lambda port, inside: _toml(settings, port, inside), settings.core) as node:
        _wait_for_reserve(node, math.ceil(settings.warm_reserve / settings.calls_per_process))
        yield node


@contextmanager
def serving(
    configuration: Callable[[int, int], str], core: int | None, code: Path | None = None
) -> Iterator[BenchNode]:
    """The same with a configuration of one's own, made for a UDP port and an inside port.

    `code`: a checkout to run instead of this one.
    """
    directory = Path(tempfile.mkdtemp(prefix="trunkflow-bench-"))
    port, inside = free_ports(2)
    config = directory / "node.toml"
    config.write_text(configuration(port, inside))
    log = directory / "node.log"
    command = [sys.executable, "-m", "voice.cli.main", "serve", str(config)]
    if core is not None:
        command = ["taskset", "-c", str(core), *command]
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=output, stdin=subprocess.DEVNULL, cwd=code
            )
        try:
            _wait_until_it_answers(process, port, log)
            yield BenchNode(process, port, directory, log)
        finally:
            _stop(process)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _toml(settings: NodeSettings, port: int, inside: int) -> str:
    sounds = "".join(
        f'[accounts.acme.media."{name}"]\nfile = "{path.absolute()}"\n'
        for name, path in settings.sounds.items()
    )
    return f"""
[node]
base_domain = "sip.example.com"
data_directory = "data"
log_level = "warning"

[node.sip]
udp = ["127.0.0.1:{port}"]
tcp = []
inside = "127.0.0.1:{inside}"

[node.media]
address = "127.0.0.1"
rtp_first = {RTP_FIRST}
rtp_last = {RTP_LAST}

[node.pool]
warm_reserve = {settings.warm_reserve}
max_processes = {settings.max_processes}
calls_per_process = {settings.calls_per_process}

[accounts.acme]
calls_per_second = 1000
concurrent_calls = 1000
max_call_seconds = {settings.max_call_seconds}

[accounts.acme.acls.office]
networks = ["127.0.0.0/8"]
sip_accounts.{USER}.password = "{PASSWORD}"

[accounts.acme.domains.acme]
acls = ["office"]

[accounts.acme.numbers."{NUMBER}"]
callflow = "bench"

[accounts.acme.callflows.bench]
document = '''{settings.flow}'''

{sounds}
"""


def free_ports(count: int) -> list[int]:
    """UDP ports that the system says are free now; below the range that RTP gets."""
    sockets: list[socket.socket] = []
    ports: list[int] = []
    try:
        for candidate in range(20_000, RTP_FIRST):
            probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                probe.close()
                continue
            sockets.append(probe)
            ports.append(candidate)
            if len(ports) == count:
                return ports
    finally:
        for one in sockets:
            one.close()
    raise RuntimeError("no free UDP ports between 20000 and 30000")


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Sends OPTIONS until something comes back."""
    deadline = time.monotonic() + START_SECONDS
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        probe.settimeout(0.2)
        host, own = probe.getsockname()
        for attempt in range(int(START_SECONDS / 0.2)):
            if process.poll() is not None or time.monotonic() > deadline:
                break
            request = (
                f"OPTIONS sip:{HOST} SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP {host}:{own};branch=z9hG4bKbench{attempt}\r\n"
                f"From: <sip:bench@{HOST}>;tag=b\r\nTo: <sip:{HOST}>\r\nCall-ID: bench{attempt}@{host}\r\n"
                "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
            )
            try:
                probe.sendto(request.encode(), ("127.0.0.1", port))
                probe.recv(4096)
            except (TimeoutError, ConnectionRefusedError):
                time.sleep(0.1)
            else:
                return
    raise RuntimeError(f"the node did not start:\n{log.read_text(errors='replace')}")


def _wait_for_reserve(node: BenchNode, processes: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while node.alive and time.monotonic() < deadline:
        with suppress(LookupError):
            if len(node.call_processes()) >= processes:
                # What a process does after its fork is over soon.
                time.sleep(SETTLE_SECONDS)
                return
        time.sleep(0.1)
    raise RuntimeError(f"the call processes did not start:\n{node.log.read_text(errors='replace')}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM lets calls end, a second one ends them."""
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(STOP_SECONDS / 2)
        except subprocess.TimeoutExpired:
            continue
