"""A whole node on real sockets, and the PBX of its customer."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.audio import Samples, read_wav
from tests.notes import PATIENCE_SECONDS, Notes
from tests.phone import Phone, phone
from tests.ports import free_rtp_range
from voice.config_file import read_config_file
from voice.node import Node, running
from voice.records import CallEnded, CallStarted, RecordingDone, RecordingStarted, StepFinished
from voice.settings import Settings
from voice.store.access_keys import AccessKeys
from voice.store.config import ConfigStore
from voice.store.database import Database
from voice.store.listing import Accounts
from voice.store.queries import CallHistory, call_history

BASE_DOMAIN = "sip.example.com"
NUMBER = "+31201234567"
USER = "pbx"
PASSWORD = "a password that is long enough"
RTP_SPAN = 512
"""UDP ports of a node: 32 call processes."""

SETTINGS = """
[node]
base_domain = "{base_domain}"
data_directory = "data"
log_level = "warning"

[node.sip]
udp = ["127.0.0.1:{udp}"]
tcp = ["127.0.0.1:{tcp}"]
inside = "127.0.0.1:{inside}"
allow_private_targets = true

[node.media]
address = "127.0.0.1"
rtp_first = {rtp}
rtp_last = {rtp_last}

[node.pool]
warm_reserve = 1
max_processes = 12
drain_seconds = 20

[node.fetch]
allow_private_networks = true

[node.api]
listen = ["127.0.0.1:{api}"]
"""


def settings_text(*, udp: int = 0, tcp: int = 0, inside: int = 0, api: int = 0) -> str:
    """Settings of a node on loopback; ports are the system's choice where they are 0."""
    rtp = free_rtp_range(RTP_SPAN)
    return SETTINGS.format(
        base_domain=BASE_DOMAIN,
        udp=udp,
        tcp=tcp,
        inside=inside,
        api=api,
        rtp=rtp,
        rtp_last=rtp + RTP_SPAN - 1,
    )


def account(
    name: str = "acme",
    *,
    networks: tuple[str, ...] = ("127.0.0.0/8",),
    users: dict[str, str] | None = None,
    flow: str | None = None,
    url: str | None = None,
    limits: str = "",
    domain: str = "",
    also: str = "",
) -> str:
    """An account with a domain of its name, one ACL, and one number that the flow or the URL answers.

    Without either, the domain is a plain trunk.  `limits` and `domain` are further lines of the tables.
    """
    users = {USER: PASSWORD} if users is None else users
    lines = [
        f"[accounts.{name}]",
        limits,
        f"[accounts.{name}.acls.office]",
        f"networks = {json.dumps(networks)}",
    ]
    lines += [f"sip_accounts.{user}.password = {json.dumps(password)}" for user, password in users.items()]
    lines += [f"[accounts.{name}.domains.{name}]", 'acls = ["office"]', domain]
    if url is not None:
        lines += [f'[accounts.{name}.numbers."{NUMBER}"]', f"callflow_url = {json.dumps(url)}"]
    if flow is not None:
        if url is None:
            lines += [f'[accounts.{name}.numbers."{NUMBER}"]', 'callflow = "main"']
        lines += [f"[accounts.{name}.callflows.main]", f"document = '''{flow}'''"]
    return "\n".join([*lines, also, ""])


def media(path: str, account: str = "acme") -> str:
    """An uploaded file of an account, by the name that it has."""
    return f'[accounts.{account}.media."{Path(path).name}"]\nfile = "{path}"\n'


def gateway(name: str, address: str, *more: str) -> str:
    """A gateway at ``host:port``, for all accounts; `more` are further lines of its table."""
    host, _, port = address.rpartition(":")
    return "\n".join([f"[gateways.{name}]", f'host = "{host}"', f"port = {port}", *more, ""])


class Platform:
    """A running node; what it writes down is in `notes`."""

    def __init__(self, node: Node, settings: Settings, notes: Notes, config: Path) -> None:
        self.node = node
        self.settings = settings
        self.notes = notes
        self.config = config

    def door(self, transport: str = "udp") -> str:
        """``host:port`` at which the node takes SIP."""
        return next(door.sent_by for door in self.node.edge.addresses if door.transport == transport.upper())

    @property
    def account_id(self) -> str:
        """Of the account that began the first call."""
        return self.notes.all(CallStarted)[0].account_id

    @property
    def api_url(self) -> str:
        """Where the API is."""
        assert self.node.api_address is not None
        return f"http://{self.node.api_address}"

    async def key(self, account: str | None = "acme", *, test: bool = False) -> str:
        """A new access key of an account; None: of the operator."""
        return await access_key(self.settings, account, test=test)

    @property
    def inside(self) -> str:
        """``host:port`` at which the edge takes SIP from call processes: nothing for others to see."""
        host, port = self.node.edge.inside_address
        return f"{host}:{port}"

    def pbx(
        self, *arguments: str, number: str = NUMBER, transport: str = "udp"
    ) -> AbstractAsyncContextManager[Phone]:
        """The customer's PBX placing a call."""
        return phone(*pbx_arguments(self.door(transport), number, transport), *arguments)

    async def call_id(self) -> str:
        """Of the first call."""
        return (await self.notes.first(CallStarted)).call_id

    async def ended(self, call_id: str | None = None) -> CallEnded:
        """The end of a call, or of the first to end."""
        return await self.notes.first(CallEnded, lambda end: call_id in (None, end.call_id))

    async def recording(self) -> Samples:
        """What the first finished recording holds."""
        done = await self.notes.first(RecordingDone)
        started = await self.notes.first(
            RecordingStarted, lambda record: record.recording_id == done.recording_id
        )
        assert done.status == "done"
        return read_wav(started.path)

    async def prompt(self) -> Samples:
        """The longest sound that the node has made, as it lies in its cache, once the first step is done."""
        await self.notes.first(StepFinished)
        sounds = self.settings.cache_directory.glob("*.wav")
        return read_wav(max(sounds, key=lambda path: path.stat().st_size))

    async def recorded(self, seconds: float) -> None:
        """Waits until the first recording holds so much."""
        started = await self.notes.first(RecordingStarted)
        path = Path(started.path)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not path.exists() or path.stat().st_size < seconds * 16_000:
                await asyncio.sleep(0.05)

    def worker_pid(self, call_id: str) -> int:
        """Of the process that has this call."""
        worker = self.node.pool.worker_of(call_id)
        assert worker is not None, f"no process has call {call_id}"
        return worker.pid

    async def messages(self, count: int) -> None:
        """Waits until the edge has received so many."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.node.edge.snapshot().messages_received < count:
                await asyncio.sleep(0.01)

    async def idle(self) -> None:
        """Waits until no account has a place taken, and no call process a call."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while self.node.edge.snapshot().calls or self.node.pool.running_calls:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(
                f"places taken {self.node.edge.snapshot().calls}, {self.node.pool.running_calls} in the pool:"
                f" {self.notes.records}"
            ) from None


def pbx_arguments(door: str, number: str = NUMBER, transport: str = "udp") -> list[str]:
    """How a telephone calls a number of the domain acme through this edge."""
    host = f"acme.{BASE_DOMAIN}"
    return [
        "call", f"sip:{number}@{host}",
        "--identity", f"sip:{USER}@{host}",
        "--proxy", door,
        "--transport", transport,
        "--user", USER,
        "--password", PASSWORD,
    ]  # fmt: skip


@asynccontextmanager
async def platform(folder: Path, declaration: str, settings: str | None = None) -> AsyncIterator[Platform]:
    """Starts a node with these accounts and gateways, in this process."""
    config = folder / "trunkflow.toml"
    config.write_text((settings or settings_text()) + declaration)
    read = read_config_file(config, {})
    notes = Notes()
    await apply(config)
    async with running(read.settings, watch=notes.write) as node:
        here = Platform(node, read.settings, notes, config)
        yield here
        # However a call ends, it must give back what it had.
        await here.idle()
        assert node.edge.snapshot().bugs == 0, "the edge met a bug of its own: see the log"


async def apply(config: Path) -> None:
    """What ``trunkflow apply`` does."""
    read = read_config_file(config, {})
    assert read.declaration is not None
    async with await Database.of(read.settings) as database:
        await ConfigStore(database, media_folder=read.settings.media_directory).apply(read.declaration)


async def access_key(settings: Settings, account: str | None, *, test: bool = False) -> str:
    """A new access key of an account, by name; None: of the operator."""
    async with await Database.of(settings) as database:
        account_id = None if account is None else await Accounts(database).id_of(account)
        key, _ = await AccessKeys(database, time.time).create(account_id, test=test)
    return key


async def stored(settings: Settings, call_id: str) -> CallHistory:
    """What the store holds of a call; complete once the node has stopped."""
    async with await Database.of(settings, make=False) as database:
        history = await call_history(database, call_id)
    assert history is not None, f"call {call_id} is not in the store"
    return history


async def trunkflow(*arguments: str, config: Path) -> str:
    """What a command prints, run as an operator runs it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "voice.cli.main", *arguments, "--config", str(config),
        env=os.environ | {"COLUMNS": "250"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def trunkflow_json(*arguments: str, config: Path) -> Any:
    return json.loads(await trunkflow(*arguments, "--json", config=config))
