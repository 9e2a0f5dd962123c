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
from voice.pool.nursery import Nursery, ZygoteFailed
from voice.pool.reserve import Reserve
from voice.pool.rtp_ports import PortsExhausted, RtpPorts
from voice.pool.wire import Hello, Retire
from voice.pool.worker import Worker

log = logging.getLogger(__name__)

STOP_SECONDS = 5.0
"""How long processes may take to send their BYEs and leave when the node stops."""

KILL_SECONDS = 1.0
"""How long the end of a killed process may take to be heard of."""

MAX_FORKING = 4
"""Forks under way at once: more would take the cores from the calls that run."""

BOOT_SECONDS = 20.0
"""A process that is not ready so long after its fork never will be; it takes 25 ms."""

MAX_START_DELAY_SECONDS = 5.0
"""The longest pause between forks when call processes do not start."""

HOPELESS_STARTS = 6
"""So many processes in a row that did not start, at the start of the node: it will not help to go on."""


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
        self.most = min(settings.max_processes, self._ports.slices)
        """Processes at once."""
        self._reserve = Reserve(settings.warm_reserve)
        self.workers: dict[int, Worker] = {}
        self._booting: dict[int, int] = {}
        """RTP ports of processes that were forked and have not said Hello, by pid."""
        self._asked: set[int] = set()
        """RTP ports of processes that the zygote was asked for."""
        self._watched: dict[int, int] = {}
        """Descriptors of processes that are not our zygote's children, by pid."""
        self._failed_starts = 0
        """Processes in a row that ended before they were ready."""
        self._pause_until = 0.0
        """Until then no process is asked for, because the last ones did not start."""
        self._nursery: Nursery | None = None
        self._restart: asyncio.Task[None] | None = None
        self._seats_per_process = 1
        self._changed = asyncio.Event()
        self._stopping = False

    # -- life --------------------------------------------------------------------------------

    async def start(self) -> None:
        """Starts the zygote and begins to fill the reserve.  Raises ZygoteFailed and OSError."""
        if self.most < self._settings.max_processes:
            log.warning(
                "the RTP ports %d to %d are enough for %d call processes, max_processes is %d:"
                " widen them or lower it",
                *(self._settings.rtp_first, self._settings.rtp_last),
                *(self.most, self._settings.max_processes),
            )
        await self._start_zygote()

    async def _start_zygote(self) -> None:
        nursery = Nursery(self._process, self)
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
        """Returns when the reserve is full, or as full as calls of an earlier parent let it be.

        Raises ZygoteFailed when processes do not start.
        """
        while self._free_seats() < self._reserve.wanted(time.monotonic()) and not self.is_full():
            if self._failed_starts >= HOPELESS_STARTS:
                raise ZygoteFailed("Call processes do not start: see their messages in the log.")
            await self._change()

    async def stop(self) -> None:
        """Lets all processes go; who does not leave is killed."""
        self._stopping = True
        for worker in self.workers.values():
            retire(worker)
        await self._left(STOP_SECONDS)
        for worker in tuple(self.workers.values()):
            self.kill(worker, "did not leave when the node stopped")
        # Their ends are waited for as well: whoever they talked to is owed a BYE.
        await self._left(KILL_SECONDS)
        if self._restart is not None:
            self._restart.cancel()
            await asyncio.gather(self._restart, return_exceptions=True)
        if self._nursery is not None:
            await self._nursery.stop()
        for pid in tuple(self._watched):
            self._unwatch(pid)

    async def _left(self, within: float) -> None:
        """Returns when no process is left, or after so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self.workers or self._coming():
                    await self._change()

    def zygote_lost(self) -> None:
        self._nursery = None
        for rtp_port in (*self._asked, *self._booting.values()):
            self._ports.give_back(rtp_port)
        self._asked.clear()
        self._booting.clear()
        for worker in tuple(self.workers.values()):
            # Nobody reaps it for us any more: its own descriptor tells when it goes.
            self._watch(worker.pid)
        if not self._stopping:
            self._restart = asyncio.create_task(self._restart_zygote(), name="new zygote")

    async def _restart_zygote(self) -> None:
        while True:
            try:
                await self._start_zygote()
            except (ZygoteFailed, OSError) as error:
                log.error("no new zygote, trying again in %g s: %s", MAX_START_DELAY_SECONDS, error)
                await asyncio.sleep(MAX_START_DELAY_SECONDS)
            else:
                return

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
                    if self._stopping or self.is_full():
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
        return len(self._booting) + len(self._asked)

    def is_full(self) -> bool:
        """Whether no further process can come before a call ends; one that is leaving makes room."""
        leaving = sum(worker.retiring and not worker.calls for worker in self.workers.values())
        return not self._coming() and len(self.workers) - leaving >= self.most

    def top_up(self) -> None:
        """Asks for as many processes as the reserve lacks."""
        if self._stopping or self._nursery is None or time.monotonic() < self._pause_until:
            return
        missing = self._reserve.wanted(time.monotonic()) - self._free_seats()
        processes = math.ceil(missing / self._seats_per_process) - self._coming()
        room = self.most - len(self.workers) - self._coming()
        for _ in range(min(processes, room, MAX_FORKING - self._coming())):
            try:
                port = self._ports.take()
            except PortsExhausted as error:
                log.error("%s", error)
                return
            self._asked.add(port)
            self._nursery.fork(port)

    def let_go(self) -> None:
        """Retires processes that a busier hour needed."""
        surplus = self._free_seats() - 2 * self._reserve.wanted(time.monotonic())
        for worker in tuple(self.workers.values()):
            if not worker.calls and not worker.retiring and surplus >= self._seats_per_process:
                surplus -= self._seats_per_process
                retire(worker)

    # -- processes ---------------------------------------------------------------------------

    def forked(self, pid: int, rtp_port: int) -> None:
        self._asked.discard(rtp_port)
        if pid not in self.workers:
            self._booting[pid] = rtp_port
            asyncio.get_running_loop().call_later(BOOT_SECONDS, self._too_late, pid, rtp_port)

    def _too_late(self, pid: int, rtp_port: int) -> None:
        if self._booting.get(pid) == rtp_port:
            log.error("killing call process %d: it was not ready after %g s", pid, BOOT_SECONDS)
            _kill(pid)

    def unforked(self, rtp_port: int, why: str) -> None:
        log.error("no new call process: %s", why)
        self._asked.discard(rtp_port)
        self._ports.give_back(rtp_port)
        self._not_started()

    def welcome(self, hello: Hello, writer: asyncio.StreamWriter) -> Worker:
        """A process has said Hello."""
        worker = Worker(hello, writer, self._seats_per_process)
        self._booting.pop(hello.pid, None)
        self.workers[hello.pid] = worker
        if self._nursery is None or hello.zygote != self._nursery.pid:
            # Of an earlier parent, with a build and settings of its own: it ends its calls and leaves.
            self._ports.keep(hello.rtp_port)
            retire(worker)
            self._watch(hello.pid)
        else:
            self._failed_starts, self._pause_until = 0, 0.0
            if self._stopping:
                retire(worker)
        self.changed()
        self.top_up()
        return worker

    def _watch(self, pid: int) -> None:
        """Hears of the end of a process that is not our zygote's child."""
        if pid in self._watched:
            return
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            self.exited(pid, "gone")
            return

        def gone() -> None:
            self._unwatch(pid)
            self.exited(pid, "gone")

        self._watched[pid] = descriptor
        asyncio.get_running_loop().add_reader(descriptor, gone)

    def _unwatch(self, pid: int) -> None:
        descriptor = self._watched.pop(pid)
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)

    def exited(self, pid: int, how: str) -> None:
        port = self._booting.pop(pid, None)
        if port is not None:
            log.error("call process %d ended before it was ready: %s", pid, how)
            self._ports.give_back(port)
            self._not_started()
        worker = self.workers.pop(pid, None)
        if worker is not None:
            self._ports.give_back(worker.rtp_port)
            worker.hang_up()
            self._died(worker, how)
        self.changed()
        self.top_up()

    def _not_started(self) -> None:
        """Whatever keeps processes from starting must not become a storm of forks."""
        self._failed_starts += 1
        delay = min(2.0**self._failed_starts / 10, MAX_START_DELAY_SECONDS)
        self._pause_until = time.monotonic() + delay
        asyncio.get_running_loop().call_later(delay + 0.01, self.top_up)
        self.changed()

    def kill(self, worker: Worker, why: str) -> None:
        """Ends a process that cannot be reasoned with; `died` follows."""
        log.error("killing call process %d: it %s", worker.pid, why)
        worker.retiring = True
        _kill(worker.pid)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def retire(worker: Worker) -> None:
    """The process takes no further call, and leaves after its last one."""
    worker.retiring = True
    worker.send(Retire())
