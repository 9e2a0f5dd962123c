"""A node: everything of trunkflow on one machine, composed and kept alive.

Order of start: what others are made of first; the edge before the pool, because calls that outlived an
earlier node need it, while new ones wait for the pool.  Order of stop: no new calls, the running ones to
their end (or to the limit), then everything in reverse.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from callflows.ports import Unavailable
from sip_config.directory import Directory
from sip_config.model import Transport
from voice.bells import Bells
from voice.command_worker import CommandWorker
from voice.edge.server import Edge
from voice.edge.settings import EdgeSettings, Listen
from voice.outbound import Dispatcher, Outgoing
from voice.pool.callprocess import ProcessConfig
from voice.pool.desk import Desk
from voice.pool.fleet import PoolSettings
from voice.pool.nursery import ZygoteFailed
from voice.pool.orders import CallOrder
from voice.pool.pool import Pool
from voice.pool.undertaker import Undertaker
from voice.records import Journal, Record
from voice.recovery import Recovery
from voice.settings import Settings
from voice.speech.library import SoundLibrary, SoundSettings
from voice.store.commands import Commands
from voice.store.config import ConfigStore
from voice.store.database import Database, sqlite_url
from voice.store.errors import StoreError
from voice.store.journal import StoreJournal
from voice.store.keys import node_key
from voice.store.outbound import OutboundCall, OutboundStore
from voice.store.retention import Retention
from voice.store.transcriptions import TooManyTranscriptions, TranscriptionStore
from voice.webhooks.client import ClientSettings, SafeClient
from voice.webhooks.flows import FlowFetcher, FlowQuestion

log = logging.getLogger(__name__)

RTP_PORTS_PER_PROCESS = 16
"""RTP and RTCP of eight legs: twice what the usual build carries, so that a port rests before reuse."""

SOCKET_PATH_BYTES = 107
"""Linux's bound on the path of a unix socket."""


class NodeError(Exception):
    """The node cannot start.  The message says why and what to do."""


class Flows:
    """Dynamic callflows for the pool's desk: a call's order becomes the question to the customer's server."""

    def __init__(self, fetcher: FlowFetcher) -> None:
        self._fetcher = fetcher

    async def fetch(self, url: str, order: CallOrder, variables: Mapping[str, str]) -> str:
        return await self._fetcher.fetch(
            url,
            FlowQuestion(
                call_id=order.call_id,
                source=order.source,
                destination=order.destination,
                number_id=order.number_id,
                variables=variables,
            ),
        )

    async def finished(
        self, url: str, recording_id: str, order: CallOrder, variables: Mapping[str, str]
    ) -> str:
        raise Unavailable(
            f"recording {recording_id} cannot be posted to {url}: this node posts no recordings"
        )


class Transcribers:
    """Transcriptions that callflows ask for."""

    def __init__(self, store: TranscriptionStore) -> None:
        self._store = store

    async def want(self, recording_id: str, leg_id: str, language: str, order: CallOrder) -> None:
        try:
            await self._store.request(
                recording_id=recording_id,
                call_id=order.call_id,
                leg_id=leg_id,
                account_id=order.account_id,
                language=language,
            )
        except TooManyTranscriptions:
            raise Unavailable(f"recording {recording_id} has as many transcriptions as it may") from None


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
    ) -> None:
        self._settings = settings
        self._dispatcher = dispatcher
        self.edge = edge
        self.pool = pool
        self.sounds = sounds
        self.directory = directory
        """The configuration that is in force."""

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
        except (Unavailable, ZygoteFailed) as failure:
            raise NodeError(str(failure)) from failure
        yield node


async def _start(settings: Settings, watch: Callable[[Record], None] | None, stack: AsyncExitStack) -> Node:
    began = time.time()
    bells = Bells()
    _lock(settings.data_directory, stack)
    database = await stack.enter_async_context(await Database.open(_database_url(settings)))
    journal = StoreJournal(database, clock=time.time, retention=_retention(settings))
    journal.start()
    stack.push_async_callback(journal.close)
    told = journal if watch is None else _Watched(journal, watch)
    config = ConfigStore(database, media_folder=settings.media_directory)
    current = _Current(await config.directory(base_domain=settings.base_domain, pop=settings.pop))
    client = await stack.enter_async_context(SafeClient(_client_settings(settings)))
    sounds = await stack.enter_async_context(SoundLibrary(_sound_settings(settings), client))
    flows = Flows(FlowFetcher(client, seconds=settings.fetch.total_seconds))
    undertaker = Undertaker()
    node = _own_name(settings.data_directory)
    queue = OutboundStore(database, time.time, bells)
    outgoing = Outgoing(queue, told, bells, node, flushed=journal.flushed)
    stack.push_async_callback(outgoing.close)
    writers = Transcribers(TranscriptionStore(database, clock=time.time, bells=bells))
    desk = Desk(sounds, flows, writers, outgoing, settings.recordings_directory, told)
    pool = Pool(_pool_settings(settings), _process_config(settings), desk, undertaker, told)
    edge = Edge(await _edge_settings(settings, database, node), current.get, pool, told)
    # Undone in reverse: the pool says its BYEs through the edge, so the edge goes after it.
    stack.push_async_callback(edge.stop)
    stack.push_async_callback(undertaker.stop)
    stack.push_async_callback(pool.stop, "the node was shut down")
    # The edge first: calls of an earlier node are still there, with a BYE under way or a number to dial.
    await edge.start()
    await undertaker.start(edge.inside_address)
    await pool.start(edge)
    await pool.warm()
    recovery = Recovery(database, told, node, pool.has, time.time, queue)
    commands = Commands(database, bells, time.time)
    worker = CommandWorker(commands, queue, pool, edge.is_trunk_call, bells)
    dispatcher = Dispatcher(queue, pool, edge, current.get, told, bells, node, _rehearse)
    for work in (current.follow(config, settings), recovery.run(began), worker.run(), dispatcher.run()):
        task = asyncio.create_task(work)
        task.add_done_callback(_ended)
        stack.push_async_callback(_end, task)
    return Node(settings, edge, pool, sounds, current.get, dispatcher)


async def _rehearse(call: OutboundCall) -> None:
    raise Unavailable(f"call {call.call_id} is simulated, and this node simulates no calls")


def serve(settings: Settings) -> None:
    """Runs a node until it is told to stop.

    SIGTERM or SIGINT takes no new calls and waits for the running ones, up to the limit; a second
    one ends them with BYE.  Raises what `running` raises.
    """
    log_to_stderr(settings)
    asyncio.run(_serve(settings))


def log_to_stderr(settings: Settings) -> None:
    """One line for each event, with the settings' level."""
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(name)s %(levelname)s %(message)s"
    )


async def _serve(settings: Settings) -> None:
    stop, hurry = asyncio.Event(), asyncio.Event()

    def told_to_stop() -> None:
        (hurry if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop)
    async with running(settings) as node:
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
                self._directory = await config.directory(base_domain=settings.base_domain, pop=settings.pop)
            except StoreError as fault:
                log.error("configuration %d could not be loaded, the one before stays: %s", version, fault)
            else:
                log.info("configuration %d is in force", version)


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


def _retention(settings: Settings) -> Retention:
    records = settings.records
    return Retention(
        refusals=records.refusals,
        refusal_days=records.refusal_days,
        events=records.events,
        event_days=records.event_days,
    )


def _client_settings(settings: Settings) -> ClientSettings:
    fetch = settings.fetch
    return ClientSettings(
        allow_private_networks=fetch.allow_private_networks,
        total_seconds=max(fetch.total_seconds, fetch.sound_seconds),
        connect_seconds=fetch.connect_seconds,
        max_redirects=fetch.max_redirects,
    )


def _sound_settings(settings: Settings) -> SoundSettings:
    return SoundSettings(
        cache=settings.cache_directory,
        uploads=settings.media_directory,
        cache_bytes=settings.cache.sound_bytes,
        sample_rate=settings.media.clock_rate,
        max_seconds=settings.speech.max_seconds,
        max_download_bytes=settings.fetch.max_sound_bytes,
        download_seconds=settings.fetch.sound_seconds,
        job_seconds=settings.speech.job_seconds,
        queue_limit=settings.speech.queue_limit,
    )


def _pool_settings(settings: Settings) -> PoolSettings:
    pool = settings.pool
    return PoolSettings(
        run_dir=settings.data_directory / "run",
        warm_reserve=pool.warm_reserve,
        max_processes=pool.max_processes,
        calls_per_process=pool.calls_per_process,
        calls_before_recycling=pool.calls_before_recycling,
        rtp_first=settings.media.rtp_first,
        rtp_last=settings.media.rtp_last,
    )


def _process_config(settings: Settings) -> ProcessConfig:
    media = settings.media
    parent_socket = str(settings.data_directory.resolve() / "run" / "pool.sock")
    if len(os.fsencode(parent_socket)) > SOCKET_PATH_BYTES:
        raise NodeError(
            f"The path {parent_socket} is longer than the {SOCKET_PATH_BYTES} bytes that a socket's may be."
            " Choose a shorter data_directory."
        )
    return ProcessConfig(
        parent_socket=parent_socket,
        sip_host=settings.sip.inside.host,
        from_host=settings.base_domain,
        rtp_host=media.address,
        rtp_public_host=media.public_address or _own_address(media.address),
        rtp_ports=RTP_PORTS_PER_PROCESS,
        legs=0,
        clock_rate=media.clock_rate,
        log_level=settings.log_level.upper(),
    )


def _own_address(bound: str) -> str:
    """What SDP shows when nothing else is configured: the address that the system would send from."""
    if bound not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return bound
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Connecting a datagram socket sends nothing; 192.0.2.1 (RFC 5737) stands for anywhere.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        address: str = probe.getsockname()[0]
        return address


async def _edge_settings(settings: Settings, database: Database, node: str) -> EdgeSettings:
    now = time.time()
    listen = [
        Listen(transport=transport, host=address.host, port=address.port)
        for transport, addresses in ((Transport.UDP, settings.sip.udp), (Transport.TCP, settings.sip.tcp))
        for address in addresses
    ]
    return EdgeSettings(
        listen=tuple(listen),
        base_domain=settings.base_domain,
        seal_key=await node_key(database, "seal", now=now),
        digest_secret=await node_key(database, "digest", now=now),
        node=node,
        public_host=settings.sip.public_address,
        inside_host=settings.sip.inside.host,
        inside_port=settings.sip.inside.port,
        allow_private_targets=settings.sip.allow_private_targets,
    )
