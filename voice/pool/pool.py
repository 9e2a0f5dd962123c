"""The parent of the call processes: keeps a warm reserve, gives out seats, and cleans up after deaths."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import signal
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path

import msgspec

from voice.pool.aftermath import Aftermath
from voice.pool.callprocess import ProcessConfig
from voice.pool.desk import Desk
from voice.pool.nursery import Nursery
from voice.pool.orders import CallOrder, DialDesk, PoolFull, Seat
from voice.pool.reserve import Reserve
from voice.pool.rtp_ports import PortsExhausted, RtpPorts
from voice.pool.undertaker import Undertaker
from voice.pool.wire import (
    Ask,
    CallOver,
    DialogDown,
    DialogUp,
    Expect,
    Expecting,
    Forget,
    FromProcess,
    Hello,
    Retire,
    Retiring,
    StopCall,
    Tell,
    read_from_process,
    told,
)
from voice.pool.worker import RunningCall, Worker
from voice.records import CallEnded, Journal, RecordingDone

log = logging.getLogger(__name__)

EXPECT_SECONDS = 2.0
"""A process that does not acknowledge an order for so long is taken for broken."""

SEAT_WAIT_SECONDS = 1.5
"""How long an INVITE waits for a process that is being forked, before 503."""

RETRY_AFTER_SECONDS = 5
"""What a full pool tells callers."""

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


class Pool:
    """Implements `CallPool`; composed with the edge by `voice.node`."""

    def __init__(
        self,
        settings: PoolSettings,
        process: ProcessConfig,
        desk: Desk,
        undertaker: Undertaker,
        journal: Journal,
    ) -> None:
        self._settings = settings
        self._process = process
        self._desk = desk
        self._aftermath = Aftermath(undertaker, journal)
        self._journal = journal
        self._ports = RtpPorts(settings.rtp_first, settings.rtp_last, process.rtp_ports)
        self._reserve = Reserve(settings.warm_reserve)
        self._workers: dict[int, Worker] = {}
        self._booting: dict[int, int] = {}
        """RTP ports of processes that were forked and have not said Hello, by pid."""
        self._children: dict[int, int] = {}
        """RTP ports of the zygote's children, by pid."""
        self._asked_forks = 0
        self._by_call: dict[str, Worker] = {}
        self._seat_free = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._nursery: Nursery | None = None
        self._seats_per_process = 1
        self._failed_starts = 0
        """Call processes in a row that ended before they were ready."""
        self._stopping = False

    # -- life --------------------------------------------------------------------------------

    async def start(self, dial_desk: DialDesk) -> None:
        """Listens for call processes (also those of an earlier parent), starts the zygote and the reserve.

        `dial_desk` is the edge.  Raises ZygoteFailed.
        """
        self._dial_desk = dial_desk
        _make_room(self._settings.run_dir, Path(self._process.parent_socket))
        self._server = await asyncio.start_unix_server(self._serve, self._process.parent_socket)
        await self._start_zygote()

    async def _start_zygote(self) -> None:
        self._nursery = Nursery(self._process, self._forked, self._exited, self._zygote_lost)
        legs = await self._nursery.start()
        self._seats_per_process = min(self._settings.calls_per_process, legs)
        if self._seats_per_process < self._settings.calls_per_process:
            log.warning(
                "calls_per_process is %d, this build of pjsua2 carries %d legs: using %d",
                self._settings.calls_per_process,
                legs,
                self._seats_per_process,
            )
        self._top_up()

    def _zygote_lost(self) -> None:
        for pid in tuple(self._booting):
            self._exited(pid, "lost with its zygote")
        for pid in tuple(self._children):
            # Nobody reaps it for us any more: its own descriptor tells when it goes.
            self._watch(pid)
        self._children.clear()
        self._asked_forks = 0
        if not self._stopping:
            self._spawn(self._start_zygote())

    async def warm(self) -> None:
        """Returns when the reserve has been filled for the first time."""
        while self._free() < self._reserve.wanted(time.monotonic()):
            self._seat_free.clear()
            await self._seat_free.wait()

    async def stop(self, reason: str) -> None:
        """Ends the calls that are left with BYE, and lets all processes go."""
        self._stopping = True
        for call_id in tuple(self._by_call):
            self.stop_call(call_id, reason)
        for worker in self._workers.values():
            worker.retiring = True
            worker.send(Retire())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                while self._workers or self._booting:
                    self._seat_free.clear()
                    await self._seat_free.wait()
        for worker in tuple(self._workers.values()):
            self._kill(worker, "did not leave when the node stopped")
        if self._nursery is not None:
            await self._nursery.stop()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            self._server.close()

    @property
    def running_calls(self) -> int:
        return len(self._by_call)

    def worker_of(self, call_id: str) -> Worker | None:
        """The process that has this call, for the operator."""
        return self._by_call.get(call_id)

    def stop_call(self, call_id: str, reason: str) -> None:
        """Ends one call with BYE."""
        worker = self._by_call.get(call_id)
        if worker is not None:
            worker.send(StopCall(call_id=call_id, reason=reason))

    # -- seats -------------------------------------------------------------------------------

    async def seat(self, order: CallOrder) -> Seat:
        """A seat that expects the order's INVITE.  Raises PoolFull."""
        self._reserve.arrived(time.monotonic())
        self._top_up()
        worker = await self._free_worker()
        call = RunningCall(order)
        worker.calls[order.call_id] = call
        self._by_call[order.call_id] = worker
        worker.send(Expect(order=order))
        try:
            async with asyncio.timeout(EXPECT_SECONDS):
                await call.expecting.wait()
        except TimeoutError:
            self._kill(worker, "did not answer its parent")
            raise PoolFull("the call process did not answer", RETRY_AFTER_SECONDS) from None
        except asyncio.CancelledError:
            self.release(order.call_id)
            raise
        self._top_up()
        return worker.seat

    async def _free_worker(self) -> Worker:
        try:
            async with asyncio.timeout(SEAT_WAIT_SECONDS):
                while True:
                    free = [worker for worker in self._workers.values() if worker.free_seats > 0]
                    if free:
                        # The fullest first: processes without a call cost nothing and can be let go.
                        return min(free, key=lambda worker: worker.free_seats)
                    if self._stopping or self._at_limit():
                        break
                    self._seat_free.clear()
                    await self._seat_free.wait()
        except TimeoutError:
            pass
        raise PoolFull(
            f"all {len(self._workers)} call processes are busy"
            f" (max_processes is {self._settings.max_processes})",
            RETRY_AFTER_SECONDS,
        )

    def release(self, call_id: str) -> None:
        """The INVITE of this order will not come, or failed before the call process saw it."""
        worker = self._by_call.get(call_id)
        if worker is not None and not worker.calls[call_id].started:
            worker.send(Forget(call_id=call_id))
            self._done(worker, call_id)

    def _free(self) -> int:
        return sum(worker.free_seats for worker in self._workers.values())

    def _at_limit(self) -> bool:
        return (
            not self._booting and not self._asked_forks and len(self._workers) >= self._settings.max_processes
        )

    def _top_up(self) -> None:
        if self._stopping or self._nursery is None:
            return
        coming = len(self._booting) + self._asked_forks
        missing = self._reserve.wanted(time.monotonic()) - self._free()
        processes = math.ceil(missing / self._seats_per_process) - coming
        room = self._settings.max_processes - len(self._workers) - coming
        for _ in range(min(processes, room, MAX_FORKING - coming)):
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
        self._children[pid] = rtp_port
        if pid not in self._workers:
            self._booting[pid] = rtp_port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        worker: Worker | None = None
        try:
            worker = self._welcome(await _read_hello(reader), writer)
            while True:
                self._hear(worker, await read_from_process(reader))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except (msgspec.DecodeError, KeyError) as error:
            log.error("call process %s said something that is no message: %s", worker and worker.pid, error)
            if worker is not None:
                self._kill(worker, "spoke garbage to its parent")
        finally:
            writer.close()

    def _welcome(self, hello: Hello, writer: asyncio.StreamWriter) -> Worker:
        worker = Worker(hello, writer, self._seats_per_process)
        self._booting.pop(hello.pid, None)
        self._failed_starts = 0
        self._workers[hello.pid] = worker
        if hello.pid not in self._children:
            self._ports.keep(hello.rtp_port)
            # Of an earlier parent, with a build and settings of its own: it ends its calls and leaves.
            worker.retiring = True
            worker.send(Retire())
            self._watch(hello.pid)
        for call_id in worker.calls:
            self._by_call[call_id] = worker
        self._seat_free.set()
        self._top_up()
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

    def _hear(self, worker: Worker, message: FromProcess) -> None:
        if isinstance(message, Tell):
            self._note(worker, message)
            return
        if isinstance(message, Hello):
            return
        if isinstance(message, Retiring):
            worker.retiring = True
            self._top_up()
            return
        call = worker.calls.get(message.call_id)
        if call is None:
            return
        match message:
            case Expecting():
                call.expecting.set()
            case Ask():
                call.started = True
                self._spawn(self._answer(worker, call, message))
            case DialogUp():
                call.started = True
                call.dialogs[message.dialog.call_id] = message.dialog
            case DialogDown():
                call.dialogs.pop(message.sip_call_id, None)
            case CallOver():
                worker.taken += 1
                self._done(worker, message.call_id)
                if worker.taken >= self._settings.calls_before_recycling and not worker.retiring:
                    worker.retiring = True
                    worker.send(Retire())
                    self._top_up()

    def _note(self, worker: Worker, message: Tell) -> None:
        record = told(message)
        call = worker.calls.get(getattr(record, "call_id", None) or "")
        if call is not None:
            call.started = True
            if isinstance(record, RecordingDone):
                call.recordings.pop(record.recording_id, None)
            elif isinstance(record, CallEnded):
                call.ended = True
        self._journal.write(record)

    async def _answer(self, worker: Worker, call: RunningCall, ask: Ask) -> None:
        worker.send(await self._desk.answer(ask.id, call, ask.want, self._dial_desk))

    def _done(self, worker: Worker, call_id: str) -> None:
        if worker.calls.pop(call_id, None) is not None:
            self._by_call.pop(call_id, None)
            self._dial_desk.call_ended(call_id)
            self._seat_free.set()

    # -- deaths ------------------------------------------------------------------------------

    def _exited(self, pid: int, how: str) -> None:
        port = self._children.pop(pid, None) or self._booting.get(pid)
        if self._booting.pop(pid, None) is not None:
            self._failed_starts += 1
            log.error("call process %d ended before it was ready: %s", pid, how)
        worker = self._workers.pop(pid, None)
        if worker is not None:
            port = worker.rtp_port
            worker.hang_up()
            if worker.calls:
                self._clean_up(worker, how)
        if port is not None:
            self._ports.give_back(port)
        self._seat_free.set()
        if self._failed_starts:
            # Whatever keeps processes from starting must not become a storm of forks.
            delay = min(2.0**self._failed_starts / 10, MAX_START_DELAY_SECONDS)
            asyncio.get_running_loop().call_later(delay, self._top_up)
        else:
            self._top_up()

    def _kill(self, worker: Worker, why: str) -> None:
        log.error("killing call process %d: it %s", worker.pid, why)
        worker.retiring = True
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)

    def _clean_up(self, worker: Worker, how: str) -> None:
        reason = f"the call process died ({how})"
        log.error("%s with %d calls: pid %d", reason, len(worker.calls), worker.pid)
        self._dial_desk.seat_lost(worker.seat, reason)
        for call_id, call in tuple(worker.calls.items()):
            self._aftermath.close(call, reason)
            for dialog in call.dialogs.values():
                self._spawn(self._aftermath.say_goodbye(call_id, dialog))
            self._done(worker, call_id)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a bug in the call pool", exc_info=task.exception())


def _make_room(run_dir: Path, parent_socket: Path) -> None:
    """Only this user may speak to the parent; the socket of an earlier parent goes."""
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    parent_socket.unlink(missing_ok=True)


async def _read_hello(reader: asyncio.StreamReader) -> Hello:
    hello = await read_from_process(reader)
    if not isinstance(hello, Hello):
        raise msgspec.DecodeError(f"expected Hello, got {type(hello).__name__}")
    return hello
