"""A node: everything of trunkflow on one machine, composed and kept alive.

Order of start: what others are made of first; the edge before the pool, because calls that outlived an
earlier node need it, while new ones wait for the pool.  Order of stop: no new calls, the running ones to
their end (or to the limit), then everything in reverse.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import logging
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from callflows.ports import Unavailable
from sip_config.directory import Directory
from voice.api.server import ApiServer
from voice.ban_keeper import BanKeeper
from voice.bells import Bells
from voice.command_worker import CommandWorker
from voice.descriptors import make_room
from voice.desk_sources import Flows, Transcribers
from voice.edge.ledger_file import LedgerFile, LedgerUnusable
from voice.edge.server import Edge, SteadyClock
from voice.edge.transports.certificates import CertificateFault
from voice.gateway_watch import GatewayWatch
from voice.limit_keeper import LimitKeeper
from voice.live import NodeState
from voice.logs import log_to_stderr
from voice.nftables import Nftables
from voice.node_settings import (
    NodeError,
    check_relay,
    client_settings,
    edge_settings,
    limits_file,
    pool_settings,
    process_config,
    retention,
    sound_settings,
)
from voice.office import Office, services_of
from voice.outbound import Dispatcher, Outgoing
from voice.pool.desk import Desk
from voice.pool.nursery import ZygoteFailed
from voice.pool.pool import Pool
from voice.pool.undertaker import Undertaker
from voice.pop_states import FILE as POPS_FILE
from voice.pop_states import keep_written
from voice.records import Journal, Record
from voice.recovery import Recovery
from voice.rehearsal import Rehearsal
from voice.settings import Settings, SocketAddress
from voice.speech.library import SoundLibrary
from voice.store.bans import BanStore
from voice.store.commands import Commands
from voice.store.config import ConfigStore
from voice.store.database import Database, sqlite_url
from voice.store.errors import StoreError
from voice.store.journal import StoreJournal
from voice.store.listing import Listing
from voice.store.outbound import OutboundStore
from voice.store.signing_keys import SigningKeys
from voice.store.transcriptions import TranscriptionStore
from voice.webhooks.client import SafeClient
from voice.webhooks.flows import FlowFetcher

__all__ = ["Node", "NodeError", "running", "serve"]

log = logging.getLogger(__name__)

_DESCRIPTORS_OF_PROCESS = 4
"""What a call process needs here: its socket, and what is open while it is made."""


class Node:
    """A running node; `running` makes one."""

    def __init__(
        self,
        settings: Settings,
        edge: Edge,
        pool: Pool,
        sounds: SoundLibrary,
        directory: Callable[[], Directory],
        dispatcher: Dispatcher,
        api: ApiServer | None,
    ) -> None:
        self._settings = settings
        self._dispatcher = dispatcher
        self._api = api
        self.edge = edge
        self.pool = pool
        self.sounds = sounds
        self.directory = directory
        """The configuration that is in force."""

    @property
    def api_address(self) -> SocketAddress | None:
        """Where the API listens first; None when it is switched off."""
        return None if self._api is None else self._api.addresses[0]

    async def drain(self, hurry: asyncio.Event) -> None:
        """Takes no new calls; returns when the last one has ended, at the limit, or when `hurry` is set."""
        self.edge.drain()
        self._dispatcher.drain()
        deadline = time.monotonic() + self._settings.pool.drain_seconds
        log.info("draining: %d calls in progress", self.pool.running_calls)
        while self.pool.running_calls and not hurry.is_set() and time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await hurry.wait()


@asynccontextmanager
async def running(
    settings: Settings, *, watch: Callable[[Record], None] | None = None
) -> AsyncIterator[Node]:
    """A started node; leaving the context ends what is left of its calls and stops it.

    `watch` hears every record as it is written.  Raises NodeError, OSError (a port that is taken) and
    StoreError.
    """
    async with AsyncExitStack() as stack:
        try:
            node = await _start(settings, watch, stack)
        except (Unavailable, ZygoteFailed, CertificateFault) as failure:
            raise NodeError(str(failure)) from failure
        yield node


async def _start(settings: Settings, watch: Callable[[Record], None] | None, stack: AsyncExitStack) -> Node:
    began = time.time()
    bells = Bells()
    _lock(settings.data_directory, stack)
    database = await stack.enter_async_context(await Database.open(_database_url(settings)))
    journal = StoreJournal(
        database,
        clock=time.time,
        retention=retention(settings),
        spool=settings.data_directory / "run" / "spool",
        told=bells.deliveries,
    )
    journal.start()
    stack.push_async_callback(journal.close)
    told = journal if watch is None else _Watched(journal, watch)
    config = ConfigStore(database, media_folder=settings.media_directory, bells=bells)
    current = _Current(await _directory(config, settings))
    check_relay(settings, current.get())
    client = await stack.enter_async_context(SafeClient(client_settings(settings)))
    sounds = await stack.enter_async_context(SoundLibrary(sound_settings(settings), client))
    secrets = SigningKeys(database, time.time)
    fetcher = FlowFetcher(client, secrets, seconds=settings.fetch.total_seconds)
    flows = Flows(fetcher, Listing(database), journal.flushed)
    undertaker = Undertaker()
    node = _own_name(settings.data_directory)
    queue = OutboundStore(database, time.time, bells)
    outgoing = Outgoing(queue, told, bells, node, flushed=journal.flushed)
    stack.push_async_callback(outgoing.close)
    writers = Transcribers(TranscriptionStore(database, clock=time.time, bells=bells))
    desk = Desk(sounds, flows, writers, outgoing, settings.recordings_directory, told)
    pool = Pool(pool_settings(settings), process_config(settings), desk, undertaker, told)
    clock = SteadyClock()
    ledger = _ledger(settings, clock(), stack)
    edge = Edge(await edge_settings(settings, database, node), current.get, pool, told, clock, ledger.ledger)
    limits = LimitKeeper(ledger, database, current.get, edge, pool)
    await limits.refresh()
    # Undone in reverse: the pool says its BYEs through the edge, so the edge goes after it.
    stack.push_async_callback(edge.stop)
    stack.push_async_callback(undertaker.stop)
    stack.push_async_callback(pool.stop, "the node was shut down")
    # The edge first: calls of an earlier node are still there, with a BYE under way or a number to dial.
    await edge.start()
    await undertaker.start(edge.inside_address)
    await pool.start(edge)
    await pool.warm()
    rehearsal = Rehearsal(told, settings.recordings_directory, fetcher)
    dispatcher = Dispatcher(queue, pool, edge, current.get, told, bells, node, rehearsal)
    commands = Commands(database, bells, time.time)

    def lives(call_id: str) -> bool:
        return pool.has(call_id) or dispatcher.is_rehearsing(call_id)

    firewall = Nftables(door.port for door in edge.addresses) if settings.bans.nftables else None
    if firewall is not None:
        stack.push_async_callback(firewall.close)
    bans = BanKeeper(edge, BanStore(database, bells.bans, time.time), bells.bans, firewall)
    office = Office(settings, database, bells, secrets, commands, queue)
    await office.start(stack)
    for work in (
        current.follow(config, settings),
        Recovery(database, told, node, lives, time.time, queue).run(began),
        CommandWorker(commands, queue, pool, edge, bells).run(),
        dispatcher.run(),
        GatewayWatch(edge, database, node).run(),
        keep_written(settings.data_directory / "run" / POPS_FILE, lambda: edge.snapshot().pops),
        bans.run(),
        limits.run(),
        *office.works(),
    ):
        task = asyncio.create_task(work)
        task.add_done_callback(_ended)
        stack.push_async_callback(_end, task)
    api: ApiServer | None = None
    if settings.api.enabled:
        services = services_of(settings, database, bells, commands, NodeState(edge, pool))
        api = await stack.enter_async_context(ApiServer(settings.api, services))
    return Node(settings, edge, pool, sounds, current.get, dispatcher, api)


def serve(settings: Settings) -> None:
    """Runs a node until it is told to stop.

    SIGTERM or SIGINT takes no new calls and waits for the running ones, up to the limit; a second
    one ends them with BYE.  Raises what `running` raises.
    """
    log_to_stderr(settings)
    of_pool = _DESCRIPTORS_OF_PROCESS * settings.pool.max_processes
    make_room(settings.sip.connections.total + settings.api.max_connections + of_pool)
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    stop, hurry = asyncio.Event(), asyncio.Event()

    def told_to_stop() -> None:
        (hurry if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop)
    async with running(settings) as node:
        loop.add_signal_handler(signal.SIGHUP, node.edge.reload_certificates)
        for door in node.edge.addresses:
            log.info("taking SIP over %s at %s for *.%s", door.transport, door.sent_by, settings.base_domain)
        await stop.wait()
        await node.drain(hurry)


class _Watched:
    """A `Journal` that somebody listens to."""

    def __init__(self, journal: Journal, watch: Callable[[Record], None]) -> None:
        self._journal = journal
        self._watch = watch

    def write(self, record: Record) -> None:
        self._journal.write(record)
        self._watch(record)


class _Current:
    """The configuration as it is now."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def get(self) -> Directory:
        return self._directory

    async def follow(self, config: ConfigStore, settings: Settings) -> None:
        """Loads each new version, whoever made it."""
        async for version in config.versions_after(self._directory.version):
            try:
                self._directory = await _directory(config, settings)
            except StoreError as fault:
                log.error("configuration %d could not be loaded, the one before stays: %s", version, fault)
            else:
                log.info("configuration %d is in force", version)


async def _directory(config: ConfigStore, settings: Settings) -> Directory:
    # Else collections stop the edge, while it goes on beside this and ever after, for half a second each, to
    # look at a million networks.
    gc.disable()
    try:
        directory = await config.directory(base_domain=settings.base_domain, pop=settings.pop)
        if directory.is_large:
            gc.freeze()
    finally:
        gc.enable()
    return directory


def _ended(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("a bug ended %s", task.get_coro(), exc_info=task.exception())


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _lock(directory: Path, stack: AsyncExitStack) -> None:
    """One node to a data directory: two would answer for each other's call processes."""
    run = directory / "run"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        run.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as fault:
        raise NodeError(
            f"The data directory {directory} cannot be used: {fault.strerror}."
            " Choose another data_directory, or change its owner."
        ) from None
    stack.callback(os.close, lock)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise NodeError(
            f"Another node is running with the data directory {directory}. Stop it, or give this one another."
        ) from None


def _ledger(settings: Settings, now: float, stack: AsyncExitStack) -> LedgerFile:
    """Closed after the edge, whose calls it counts."""
    try:
        file = LedgerFile(limits_file(settings), now)
    except LedgerUnusable as fault:
        raise NodeError(str(fault)) from None
    stack.callback(file.close)
    return file


def _own_name(directory: Path) -> str:
    """By which a node knows its own calls in a database that others may share; it stays with the data."""
    path = directory / "run" / "node"
    name = path.read_text().strip() if path.exists() else ""
    if not name:
        name = str(uuid.uuid4())
        path.write_text(f"{name}\n")
    return name


def _database_url(settings: Settings) -> str:
    url = settings.database_url
    return sqlite_url(settings.database_file) if url is None else url.reveal()
