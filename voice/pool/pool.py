"""The call pool as its parent runs it: gives out seats, hears call processes, cleans up after deaths."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from pathlib import Path

import msgspec

from voice.commands import Command, Outcome
from voice.pool.aftermath import Aftermath
from voice.pool.callprocess import ProcessConfig
from voice.pool.desk import Desk
from voice.pool.fleet import Fleet, PoolSettings, retire
from voice.pool.orders import CallOrder, DialDesk, PoolFull, Seat
from voice.pool.undertaker import Undertaker
from voice.pool.wire import (
    Ask,
    CallOver,
    DialogDown,
    DialogUp,
    Did,
    Do,
    Expect,
    Expecting,
    Forget,
    FromProcess,
    Hello,
    Retiring,
    StopCall,
    Tell,
    read_from_process,
    told,
)
from voice.pool.worker import RunningCall, Worker
from voice.records import CallEnded, Journal, RecordingDone

log = logging.getLogger(__name__)

SEAT_ATTEMPTS = 2
"""Processes that are tried for a call, in case one dies as it is given the call."""

EXPECT_SECONDS = 2.0
"""A process that does not acknowledge an order for so long is taken for broken."""

MOST_MESSAGES = 20_000
"""What a process may say about a call; one that says more would fill the parent's memory and the store.
The longest callflow, of 250 steps, takes some 2,000."""

SEAT_WAIT_SECONDS = 1.5
"""How long an INVITE waits for a process that is being forked, before 503."""

RETRY_AFTER_SECONDS = 5
"""What a full pool tells callers."""

GOODBYE_SECONDS = 2.0
"""How long a pool that stops waits until the far ends of processes that died have answered BYE."""

OVERTIME_SECONDS = 60.0
SWEEP_SECONDS = 20.0
"""A process whose call lasts so much longer than it may is stuck; how often that is looked for."""


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
        self._parent_socket = Path(process.parent_socket)
        self._desk = desk
        self._aftermath = Aftermath(undertaker, journal)
        self._journal = journal
        self._fleet = Fleet(settings, process, self._process_died)
        self._by_call: dict[str, Worker] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._goodbyes: set[asyncio.Task[None]] = set()
        """Those of the tasks that end the dialogs of dead processes."""
        self._commands: dict[int, tuple[str, asyncio.Future[Outcome | None]]] = {}
        """Those under way: the call, and what becomes of them."""
        self._last_command = 0
        self._server: asyncio.Server | None = None
        self._started = asyncio.Event()

    # -- life --------------------------------------------------------------------------------

    async def start(self, dial_desk: DialDesk) -> None:
        """Listens for call processes (also those of an earlier parent), starts the zygote and the reserve.

        `dial_desk` is the edge, which has been started: what calls of an earlier parent have been waiting for
        is asked at once.  Raises ZygoteFailed.
        """
        self._dial_desk = dial_desk
        _make_room(self._settings.run_dir, self._parent_socket)
        self._server = await asyncio.start_unix_server(self._serve, self._parent_socket)
        await self._fleet.start()
        self._spawn(self._sweep())
        self._started.set()

    async def warm(self) -> None:
        """Returns when the reserve is full."""
        await self._fleet.warm()

    async def stop(self, reason: str) -> None:
        """Ends the calls that are left with BYE, and lets all processes go."""
        for call_id in tuple(self._by_call):
            self.stop_call(call_id, reason)
        await self._fleet.stop()
        if self._goodbyes:
            await asyncio.wait(self._goodbyes, timeout=GOODBYE_SECONDS)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            self._server.close()

    @property
    def running_calls(self) -> int:
        return len(self._by_call)

    def has(self, call_id: str) -> bool:
        """Whether a process of this node has this call."""
        return call_id in self._by_call

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
        """A seat that expects the order's INVITE; waits for a pool that is starting.  Raises PoolFull."""
        await self._started.wait()
        self._fleet.arrived()
        for _ in range(SEAT_ATTEMPTS):
            worker = await self._fleet.free_worker(SEAT_WAIT_SECONDS)
            if worker is None:
                raise PoolFull(self._why_full(), RETRY_AFTER_SECONDS)
            if await self._expects(worker, RunningCall(order)):
                self._fleet.top_up()
                return worker.seat
        raise PoolFull("call processes died as they were given the call", RETRY_AFTER_SECONDS)

    def _why_full(self) -> str:
        if self._fleet.is_full():
            return (
                f"all {len(self._fleet.workers)} call processes are busy"
                f" (max_processes is {self._settings.max_processes})"
            )
        return f"no call process became ready within {SEAT_WAIT_SECONDS:g} s"

    async def place(self, order: CallOrder) -> None:
        """Gives the order of an outgoing call to a process, which dials.  Raises PoolFull."""
        await self.seat(order)

    async def command(self, command: Command) -> Outcome | None:
        """Has a call's process do something; None when no process has the call, or it went meanwhile.

        Cancelled: whatever the process has begun goes on.
        """
        worker = self._by_call.get(command.call_id)
        if worker is None:
            return None
        self._last_command += 1
        number = self._last_command
        answer: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()
        self._commands[number] = command.call_id, answer
        try:
            worker.send(Do(id=number, command=command))
            return await answer
        finally:
            del self._commands[number]

    async def _expects(self, worker: Worker, call: RunningCall) -> bool:
        """Whether the process has taken the order; False when it died first."""
        call_id = call.order.call_id
        worker.calls[call_id] = call
        worker.said = 0
        self._by_call[call_id] = worker
        worker.send(Expect(order=call.order))
        try:
            async with asyncio.timeout(EXPECT_SECONDS):
                await call.expecting.wait()
        except TimeoutError:
            # Let go at once: its death must not be taken for that of the process that is tried next.
            self._unseat(worker, call_id)
            self._fleet.kill(worker, "did not answer its parent")
            return False
        except asyncio.CancelledError:
            self.release(call_id)
            raise
        return self._by_call.get(call_id) is worker

    def release(self, call_id: str, refused: str | None = None) -> None:
        """The INVITE of this order will not come, or was `refused` by the process or its media stack."""
        worker = self._by_call.get(call_id)
        if worker is None:
            return
        if refused is not None:
            # Only the process knows whether it has begun the call; if not, it says that the call is over.
            worker.send(Forget(call_id=call_id, refused=refused))
        elif not worker.calls[call_id].started:
            worker.send(Forget(call_id=call_id))
            self._done(worker, call_id)

    # -- what processes say --------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        worker: Worker | None = None
        try:
            worker = self._fleet.welcome(await _read_hello(reader), writer)
            for call_id, call in worker.calls.items():
                # A process that comes back late may find its outgoing call given to another one.
                call.void = self._by_call.get(call_id, worker).pid != worker.pid
                if not call.void:
                    self._by_call[call_id] = worker
            while worker.said < MOST_MESSAGES:
                worker.said += 1
                self._hear(worker, await read_from_process(reader))
            self._fleet.kill(worker, "told more than a call has to tell")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except (msgspec.DecodeError, KeyError) as error:
            log.error("call process %s said something that is no message: %s", worker and worker.pid, error)
            if worker is not None:
                self._fleet.kill(worker, "spoke garbage to its parent")
        finally:
            writer.close()

    def _hear(self, worker: Worker, message: FromProcess) -> None:
        if isinstance(message, Tell):
            self._note(worker, message)
            return
        if isinstance(message, Hello):
            return
        if isinstance(message, Retiring):
            worker.retiring = True
            self._fleet.top_up()
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
            case Did():
                self._did(message.id, message.call_id, message.outcome)
            case CallOver():
                worker.taken += 1
                self._done(worker, message.call_id)
                if worker.taken >= self._settings.calls_before_recycling and not worker.retiring:
                    retire(worker)
                    self._fleet.top_up()

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
        worker.note(message.number)

    def _did(self, number: int, call_id: str, outcome: Outcome) -> None:
        asked, answer = self._commands.get(number, (None, None))
        if answer is not None and asked == call_id and not answer.done():
            answer.set_result(outcome)

    async def _answer(self, worker: Worker, call: RunningCall, ask: Ask) -> None:
        worker.send(await self._desk.answer(ask.id, call, ask.want, self._dial_desk))

    def _done(self, worker: Worker, call_id: str) -> None:
        call = self._unseat(worker, call_id)
        if call is None:
            return
        if not call.void:
            self._dial_desk.call_ended(call_id)
            self._desk.call_over(call.order)
        self._fleet.changed()

    def _unseat(self, worker: Worker, call_id: str) -> RunningCall | None:
        if self._by_call.get(call_id) is worker:
            del self._by_call[call_id]
            for asked, answer in tuple(self._commands.values()):
                if asked == call_id and not answer.done():
                    answer.set_result(None)
        return worker.calls.pop(call_id, None)

    # -- deaths ------------------------------------------------------------------------------

    def _process_died(self, worker: Worker, how: str) -> None:
        if not worker.calls:
            return
        reason = f"the call process died ({how})"
        log.error("%s with %d calls: pid %d", reason, len(worker.calls), worker.pid)
        self._dial_desk.seat_lost(worker.seat, reason)
        for call_id, call in tuple(worker.calls.items()):
            if not call.expecting.is_set():
                # Its INVITE has not left the edge: `seat` takes another process.
                self._unseat(worker, call_id)
                call.expecting.set()
                continue
            if not call.void:
                self._aftermath.close(call, reason)
            for dialog in call.dialogs.values():
                goodbye = self._spawn(self._aftermath.say_goodbye(call_id, dialog))
                self._goodbyes.add(goodbye)
                goodbye.add_done_callback(self._goodbyes.discard)
            self._done(worker, call_id)

    async def _sweep(self) -> None:
        """Kills processes that are stuck: a call process ends its calls itself when their time is up."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._fleet.let_go()
            oldest = time.monotonic() - OVERTIME_SECONDS
            for worker in tuple(self._fleet.workers.values()):
                if any(call.since + call.order.longest < oldest for call in worker.calls.values()):
                    self._fleet.kill(worker, "kept a call far longer than a call may last")

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

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
