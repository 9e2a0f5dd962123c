"""The call processes of a node: forked ahead of need, welcomed, watched, replaced.

The fleet knows processes and seats; what the calls in them are about is the pool's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from voice.pool.callprocess import ProcessConfig
from voice.pool.nursery import Nursery
from voice.pool.reserve import Reserve
from voice.pool.rtp_ports import PortsExhausted, RtpPorts
from voice.pool.wire import Hello, Retire
from voice.pool.worker import Worker

log = logging.getLogger(__name__)

STOP_SECONDS = 5.0
"""How long processes may take to send their BYEs and leave when the node stops."""

MAX_FORKING = 4
"""Forks under way at once: more would take the cores from the calls that run."""

MAX_START_DELAY_SECONDS = 5.0
"""The longest pause between forks when call processes do not start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """How large the pool is.  Seats are calls."""

    run_dir: Path
    """Where the socket of the local protocol lives; not readable by others."""
    warm_reserve: int
    max_processes: int
    calls_per_process: int
    calls_before_recycling: int
    rtp_first: int
    rtp_last: int


class Fleet:
    """Processes by pid.  `died` is called when one that had said Hello is gone, with how it ended."""

    def __init__(
        self, settings: PoolSettings, process: ProcessConfig, died: Callable[[Worker, str], None]
    ) -> None:
        self._settings = settings
        self._process = process
        self._died = died
        self._ports = RtpPorts(settings.rtp_first, settings.rtp_last, process.rtp_ports)
        self._reserve = Reserve(settings.warm_reserve)
        self.workers: dict[int, Worker] = {}
        self._booting: dict[int, int] = {}
        """RTP ports of processes that were forked and have not said Hello, by pid."""
        self._asked_forks = 0
        self._failed_starts = 0
        """Processes in a row that ended before they were ready."""
        self._nursery: Nursery | None = None
        self._restart: asyncio.Task[None] | None = None
        self._seats_per_process = 1
        self._changed = asyncio.Event()
        self._stopping = False

    # -- life --------------------------------------------------------------------------------

    async def start(self) -> None:
        """Starts the zygote and begins to fill the reserve.  Raises ZygoteFailed."""
        nursery = Nursery(self._process, self._forked, self._exited, self._zygote_lost)
        legs = await nursery.start()
        self._nursery = nursery
        self._seats_per_process = min(self._settings.calls_per_process, legs)
        if self._seats_per_process < self._settings.calls_per_process:
            log.warning(
                "calls_per_process is %d, this build of pjsua2 carries %d legs: using %d",
                self._settings.calls_per_process,
                legs,
                self._seats_per_process,
            )
        self.top_up()

    async def warm(self) -> None:
        """Returns when the reserve is full."""
        while self._free_seats() < self._reserve.wanted(time.monotonic()):
            await self._change()

    async def stop(self) -> None:
        """Lets all processes go; who does not leave is killed."""
        self._stopping = True
        for worker in self.workers.values():
            retire(worker)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                while self.workers or self._coming():
                    await self._change()
        for worker in tuple(self.workers.values()):
            self.kill(worker, "did not leave when the node stopped")
        if self._restart is not None:
            await asyncio.gather(self._restart, return_exceptions=True)
        if self._nursery is not None:
            await self._nursery.stop()

    def _zygote_lost(self) -> None:
        self._nursery, self._asked_forks = None, 0
        for pid, rtp_port in self._booting.items():
            log.error("call process %d was lost with its zygote before it was ready", pid)
            self._ports.give_back(rtp_port)
        self._booting.clear()
        for worker in tuple(self.workers.values()):
            # Nobody reaps it for us any more: its own descriptor tells when it goes.
            self._watch(worker.pid)
        if not self._stopping:
            self._restart = asyncio.create_task(self.start(), name="new zygote")

    # -- seats -------------------------------------------------------------------------------

    def arrived(self) -> None:
        """A call is looking for a seat: the reserve follows the rate of these."""
        self._reserve.arrived(time.monotonic())
        self.top_up()

    async def free_worker(self, within: float) -> Worker | None:
        """A process with a free seat; None when there is none within so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while True:
                    free = [worker for worker in self.workers.values() if worker.free_seats > 0]
                    if free:
                        # The fullest first: processes without a call cost little and can be let go.
                        return min(free, key=lambda worker: worker.free_seats)
                    if self._stopping or self._at_limit():
                        return None
                    await self._change()
        return None

    def changed(self) -> None:
        """Seats came free, or processes came or went."""
        self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _free_seats(self) -> int:
        return sum(worker.free_seats for worker in self.workers.values())

    def _coming(self) -> int:
        return len(self._booting) + self._asked_forks

    def _at_limit(self) -> bool:
        return not self._coming() and len(self.workers) >= self._settings.max_processes

    def top_up(self) -> None:
        """Asks for as many processes as the reserve lacks."""
        if self._stopping or self._nursery is None:
            return
        missing = self._reserve.wanted(time.monotonic()) - self._free_seats()
        processes = math.ceil(missing / self._seats_per_process) - self._coming()
        room = self._settings.max_processes - len(self.workers) - self._coming()
        for _ in range(min(processes, room, MAX_FORKING - self._coming())):
            try:
                port = self._ports.take()
            except PortsExhausted as error:
                log.error("%s", error)
                return
            self._asked_forks += 1
            self._nursery.fork(port)

    # -- processes ---------------------------------------------------------------------------

    def _forked(self, pid: int, rtp_port: int) -> None:
        self._asked_forks -= 1
        if pid not in self.workers:
            self._booting[pid] = rtp_port

    def welcome(self, hello: Hello, writer: asyncio.StreamWriter) -> Worker:
        """A process has said Hello."""
        worker = Worker(hello, writer, self._seats_per_process)
        self._booting.pop(hello.pid, None)
        self._failed_starts = 0
        self.workers[hello.pid] = worker
        if self._nursery is None or hello.zygote != self._nursery.pid:
            # Of an earlier parent, with a build and settings of its own: it ends its calls and leaves.
            self._ports.keep(hello.rtp_port)
            retire(worker)
            self._watch(hello.pid)
        elif self._stopping:
            retire(worker)
        self.changed()
        self.top_up()
        return worker

    def _watch(self, pid: int) -> None:
        """Hears of the end of a process that is not our zygote's child."""
        loop = asyncio.get_running_loop()
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            self._exited(pid, "gone")
            return

        def gone() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            self._exited(pid, "gone")

        loop.add_reader(descriptor, gone)

    def _exited(self, pid: int, how: str) -> None:
        port = self._booting.pop(pid, None)
        if port is not None:
            self._failed_starts += 1
            log.error("call process %d ended before it was ready: %s", pid, how)
        worker = self.workers.pop(pid, None)
        if worker is not None:
            port = worker.rtp_port
            worker.hang_up()
            self._died(worker, how)
        if port is not None:
            self._ports.give_back(port)
        self.changed()
        if self._failed_starts:
            # Whatever keeps processes from starting must not become a storm of forks.
            delay = min(2.0**self._failed_starts / 10, MAX_START_DELAY_SECONDS)
            asyncio.get_running_loop().call_later(delay, self.top_up)
        else:
            self.top_up()

    def kill(self, worker: Worker, why: str) -> None:
        """Ends a process that cannot be reasoned with; `died` follows."""
        log.error("killing call process %d: it %s", worker.pid, why)
        worker.retiring = True
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)


def retire(worker: Worker) -> None:
    """The process takes no further call, and leaves after its last one."""
    worker.retiring = True
    worker.send(Retire())
