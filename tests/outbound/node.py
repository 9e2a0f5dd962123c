"""As much of a node as outgoing calls need: store, edge, pool, dispatcher and commands, all real.

    python -m tests.outbound.node DIRECTORY CALLEE INSIDE_PORT [DIE_AT]

runs one until its input ends or it dies: with SIGKILL, of its own, at the point that is named.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from sip_config.directory import Directory
from sip_config.model import Gateway, Transport
from tests.audio import tone, write_wav
from tests.notes import Notes
from tests.outbound.conftest import NODE, account
from tests.pool.conftest import RTP_SPAN, OneFlow, OneSound, Writers, process_config
from tests.ports import free_rtp_range
from voice.bells import Bells
from voice.command_worker import CommandWorker
from voice.edge.server import Edge
from voice.edge.settings import EdgeSettings, Listen
from voice.outbound import Dispatcher, Outgoing
from voice.pool.desk import Desk
from voice.pool.fleet import PoolSettings
from voice.pool.pool import Pool
from voice.pool.undertaker import Undertaker
from voice.records import LegStarted, Record
from voice.recovery import Recovery
from voice.store.commands import Commands
from voice.store.database import Database, sqlite_url
from voice.store.journal import StoreJournal
from voice.store.outbound import OutboundCall, OutboundStore


class Processes:
    """The pool, for commands."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.command = pool.command

    def has(self, call_id: str) -> bool:
        return self._pool.worker_of(call_id) is not None


class Node:
    def __init__(
        self, store: OutboundStore, commands: Commands, notes: Notes, pool: Pool, edge: Edge
    ) -> None:
        self.store = store
        self.commands = commands
        self.notes = notes
        self.pool = pool
        self.edge = edge


class Heard:
    """A journal with somebody beside it."""

    def __init__(self, journal: StoreJournal, notes: Notes, died: Callable[[str], None]) -> None:
        self._journal = journal
        self._notes = notes
        self._died = died

    def write(self, record: Record) -> None:
        self._journal.write(record)
        self._notes.write(record)
        if isinstance(record, LegStarted):
            self._died("leg")


class Mortal(OutboundStore):
    """A store whose node dies right after what is named."""

    died: Callable[[str], None]

    async def claim(self, call: OutboundCall, node: str) -> bool:
        claimed = await super().claim(call, node)
        self.died("claimed")
        return claimed

    async def dialled(self, call_id: str, leg_id: str, node: str) -> bool:
        dialled = await super().dialled(call_id, leg_id, node)
        self.died("dialled")
        return dialled


@asynccontextmanager
async def node(
    directory: Path, callee: str, *, inside_port: int = 0, die_at: str | None = None
) -> AsyncIterator[Node]:
    """A node whose only gateway leads to the callee, ``host:port``."""

    def died(at: str) -> None:
        if at == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    host, _, port = callee.rpartition(":")
    carrier = Gateway(id="g", account_id=None, name="carrier", host=host, port=int(port), prefixes=("31",))
    accounts = Directory(base_domain="sip.example.com", pop="eu1", accounts=(account(),), gateways=(carrier,))
    prompt = write_wav(directory / "prompt.wav", tone(440, 1.0))
    async with await Database.open(sqlite_url(directory / "x.db")) as database:
        began, bells, notes = time.time(), Bells(), Notes()
        records = StoreJournal(database, clock=time.time, gather_seconds=0.01, spool=directory / "spool")
        records.start()
        journal = Heard(records, notes, died)
        store = Mortal(database, time.time, bells)
        store.died = died
        outgoing = Outgoing(store, journal, bells, NODE, records.flushed)
        undertaker = Undertaker()
        desk = Desk(OneSound(prompt), OneFlow(), Writers(), outgoing, directory / "recordings", journal)
        pool = Pool(_sizes(directory), process_config(directory), desk, undertaker, journal)
        settings = EdgeSettings(
            listen=(Listen(transport=Transport.UDP, host="127.0.0.1", port=0),),
            base_domain="sip.example.com",
            seal_key=b"k" * 32,
            digest_secret=b"s" * 32,
            node=NODE,
            inside_port=inside_port,
            allow_private_targets=True,
        )
        edge = Edge(settings, lambda: accounts, pool, journal)
        await edge.start()
        await undertaker.start(edge.inside_address)
        await pool.start(edge)
        await pool.warm()
        commands = Commands(database, bells, time.time)
        dispatcher = Dispatcher(store, pool, edge, lambda: accounts, journal, bells, NODE, rehearse=_never)
        processes = Processes(pool)
        works: list[Awaitable[None]] = [
            dispatcher.run(),
            CommandWorker(commands, store, processes, edge, bells).run(),
            Recovery(database, journal, NODE, processes.has, time.time, store).run(began),
        ]
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            yield Node(store, commands, notes, pool, edge)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await pool.stop("the node was shut down")
            await outgoing.close()
            await undertaker.stop()
            await edge.stop()
            await records.close()


async def _never(call: OutboundCall) -> None:
    raise AssertionError(f"call {call.call_id} is no simulated one")


def _sizes(directory: Path) -> PoolSettings:
    rtp = free_rtp_range(RTP_SPAN)
    return PoolSettings(
        run_dir=directory / "run",
        warm_reserve=1,
        max_processes=4,
        calls_per_process=1,
        calls_before_recycling=50,
        rtp_first=rtp,
        rtp_last=rtp + RTP_SPAN - 1,
    )


async def _main(directory: str, callee: str, inside_port: str, die_at: str = "") -> None:
    async with node(Path(directory), callee, inside_port=int(inside_port), die_at=die_at or None):
        print("up", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
