"""A call process: runs the calls that its parent gives it seats for, each in a task of its own.

It is forked by the zygote, connects to the parent, and waits for orders.  It ends when the parent
retires it and its last call is over, when something unforeseen happened in one of its calls and the
others are over, or when it is idle and no parent has come back.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from dataclasses import dataclass

import msgspec

from callflows.endings import Cause, Ending
from voice.commands import gone
from voice.media.pj import PjEngine, probe_legs
from voice.media.seam import EventSink, MediaLeg, MediaSettings
from voice.pool.link import ParentLink
from voice.pool.orders import CallOrder
from voice.pool.session import Session
from voice.pool.wire import (
    CallOver,
    Did,
    Do,
    Expect,
    Expecting,
    Forget,
    FromParent,
    Hello,
    Retire,
    Retiring,
    StopCall,
)
from voice.records import CallEnded, CallStatus

log = logging.getLogger(__name__)

IDLE_ORPHAN_SECONDS = 10.0
"""An idle process whose parent is away for longer leaves: the next parent forks its own."""


UNTOLD_SECONDS = 3600.0
"""A process that still has records to tell waits so long for a parent who takes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessConfig:
    """What every call process of a node shares."""

    parent_socket: str
    sip_host: str
    from_host: str
    rtp_host: str
    rtp_public_host: str
    rtp_ports: int
    """UDP ports of each process."""
    legs: int
    """At most so many legs in a process; 0: as many as the build of the media stack carries."""
    clock_rate: int
    log_level: str

    @classmethod
    def from_json(cls, text: str) -> ProcessConfig:
        return msgspec.json.decode(text, type=cls)

    def to_json(self) -> str:
        return msgspec.json.encode(self).decode()

    def media(self, rtp_port: int, legs: int) -> MediaSettings:
        return MediaSettings(
            sip_host=self.sip_host,
            from_host=self.from_host,
            rtp_host=self.rtp_host,
            rtp_public_host=self.rtp_public_host,
            rtp_port=rtp_port,
            rtp_ports=self.rtp_ports,
            legs=legs,
            clock_rate=self.clock_rate,
        )


def count_legs(config: ProcessConfig) -> int:
    """How many legs a process will carry: what the build can, or fewer when the configuration says so."""
    possible = probe_legs(config.media(0, 1))
    return min(possible, config.legs) if config.legs else possible


def run(config: ProcessConfig, legs: int, rtp_port: int) -> None:
    """The whole life of a call process."""
    # A terminal's Ctrl-C is for the parent, which ends calls in good order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(_live(config, legs, rtp_port))


async def _live(config: ProcessConfig, legs: int, rtp_port: int) -> None:
    await CallProcess(config, legs, rtp_port).live()


class CallProcess:
    """The calls of one process, its media stack, and its link to the parent."""

    def __init__(self, config: ProcessConfig, legs: int, rtp_port: int) -> None:
        self._rtp_port = rtp_port
        self._zygote = os.getppid()
        self._engine = PjEngine(config.media(rtp_port, legs), self._arrived)
        self._link = ParentLink(config.parent_socket, self._hello, self._heard)
        self._expected: dict[str, CallOrder] = {}
        self._sessions: dict[str, Session] = {}
        self._tasks: set[asyncio.Task[Ending]] = set()
        self._commands: set[asyncio.Task[None]] = set()
        self._taken = 0
        self._retiring = False
        self._leave = asyncio.Event()

    async def live(self) -> None:
        """Until there is nothing more to do."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._retire)
        await self._engine.start()
        link = asyncio.create_task(self._link.run(), name="link to the parent")
        try:
            await self._until_done()
            self._leave.set()
        finally:
            await self._engine.stop()
            await self._link.flush(UNTOLD_SECONDS)
            link.cancel()
            await asyncio.gather(link, return_exceptions=True)

    async def _until_done(self) -> None:
        while not self._leave.is_set():
            try:
                async with asyncio.timeout(IDLE_ORPHAN_SECONDS):
                    await self._leave.wait()
            except TimeoutError:
                since = self._link.orphaned_since
                now = asyncio.get_running_loop().time()
                if since is not None and now - since >= IDLE_ORPHAN_SECONDS and not self._tasks:
                    return

    def _hello(self) -> Hello:
        # Orders whose INVITE has not come were given by an earlier parent, whose edge is gone as well.
        self._expected.clear()
        host, port = self._engine.address
        return Hello(
            pid=os.getpid(),
            zygote=self._zygote,
            host=host,
            port=port,
            rtp_port=self._rtp_port,
            calls=[session.order for session in self._sessions.values()],
            dialogs=[up for session in self._sessions.values() for up in session.dialogs],
            recordings=[one for session in self._sessions.values() for one in session.recordings],
            taken=self._taken,
        )

    def _heard(self, message: FromParent) -> None:
        match message:
            case Expect() if self._leave.is_set():
                log.info("call %s came too late: this process is leaving", message.order.call_id)
            case Expect():
                self._link.send(Expecting(call_id=message.order.call_id))
                if message.order.outbound is None:
                    self._expected[message.order.call_id] = message.order
                else:
                    self._begin(message.order, None)
            case Forget():
                forgotten = self._expected.pop(message.call_id, None)
                if forgotten is not None and message.refused is not None:
                    # The media stack refused the INVITE by itself: no codec in common, say.
                    reason = f"the media stack refused the call with {message.refused}"
                    self._never_begun(message.call_id, reason)
                self._leave_if_done()
            case StopCall():
                session = self._sessions.get(message.call_id)
                if session is not None:
                    session.stop(message.reason)
                elif self._expected.pop(message.call_id, None) is not None:
                    self._never_begun(message.call_id, message.reason)
                self._leave_if_done()
            case Do():
                task = asyncio.create_task(self._do(message))
                self._commands.add(task)
                task.add_done_callback(self._commands.discard)
            case Retire():
                self._retire()
            case _:
                log.warning("the parent sent a %s, which is no order", type(message).__name__)

    def _arrived(self, leg: MediaLeg, user: str) -> EventSink | None:
        order = self._expected.pop(user, None)
        return None if order is None else self._begin(order, leg).line.hear

    def _begin(self, order: CallOrder, leg: MediaLeg | None) -> Session:
        session = Session(order, leg, self._engine, self._link, time.time)
        self._sessions[order.call_id] = session
        self._taken += 1
        task = asyncio.create_task(session.run(), name=f"call {order.call_id}")
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._over(order.call_id, done))
        return session

    async def _do(self, message: Do) -> None:
        call_id = message.command.call_id
        session = self._sessions.get(call_id)
        outcome = gone("The call is over.") if session is None else await session.do(message.command)
        self._link.send(Did(id=message.id, call_id=call_id, outcome=outcome))

    def _never_begun(self, call_id: str, reason: str) -> None:
        self._link.tell(CallEnded(call_id=call_id, at=time.time(), status=CallStatus.FAILED, reason=reason))
        self._link.send(CallOver(call_id=call_id))

    def _over(self, call_id: str, task: asyncio.Task[Ending]) -> None:
        del self._sessions[call_id]
        self._tasks.discard(task)
        if task.exception() is not None:
            log.error("a bug ended call %s", call_id, exc_info=task.exception())
            self._link.send(CallOver(call_id=call_id))
        if task.exception() is not None or task.result().cause is Cause.INTERNAL_ERROR:
            # Who knows what else is wrong in here: the next calls get a fresh process.
            self._retiring = True
            self._link.send(Retiring())
        self._leave_if_done()

    def _retire(self) -> None:
        self._retiring = True
        self._leave_if_done()

    def _leave_if_done(self) -> None:
        if self._retiring and not self._tasks and not self._expected:
            self._leave.set()
