"""A node in a process of its own, as an operator runs it: ``trunkflow serve``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.e2e.node import access_key, settings_text
from tests.ports import free_port
from voice.config_file import read_config_file

PATIENCE_SECONDS = 30.0


class Served:
    """A configuration, and the process that serves it now."""

    def __init__(self, folder: Path, declaration: str, *, api: bool = True) -> None:
        self.config = folder / "trunkflow.toml"
        udp, tcp = free_port(), free_port()
        self.door, self.tcp_door = f"127.0.0.1:{udp}", f"127.0.0.1:{tcp}"
        api_port = free_port()
        settings = settings_text(udp=udp, tcp=tcp, inside=free_port(), api=api_port)
        if not api:
            settings = settings.replace("[node.api]", "[node.api]\nenabled = false")
        self.config.write_text(settings.replace('"warning"', '"info"') + declaration)
        self.api_url = f"http://127.0.0.1:{api_port}"
        self.log = folder / "serve.log"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Returns once SIP is taken."""
        before = self._said()
        # A file, not a pipe: call processes go on writing when their node is killed.
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "voice.cli.main", "serve", str(self.config),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self._said() == before:
                assert self._process.returncode is None, self.log.read_text()
                await asyncio.sleep(0.05)

    def _said(self) -> int:
        """How often a node has said that it takes SIP."""
        return self.log.read_text().count("taking SIP over TCP") if self.log.exists() else 0

    async def key(self, account: str = "acme") -> str:
        """A new access key of an account."""
        return await access_key(read_config_file(self.config, {}).settings, account)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def call_processes(self) -> set[int]:
        """The pids of its call processes: children of a zygote that look like their parent."""
        mark = str(self.config.parent / "data").encode()
        parents = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                # It may end while it is being looked at.
                with contextlib.suppress(OSError):
                    command = (entry / "cmdline").read_bytes()
                    if b"voice.pool.zygote" in command and mark in command:
                        status = (entry / "stat").read_text().rpartition(")")[2].split()
                        parents[int(entry.name)] = int(status[1])
        return {pid for pid, parent in parents.items() if parent in parents}

    async def last_of(self, pids: set[int]) -> int:
        """Waits until only one of these is left."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(left := pids & self.call_processes()) > 1:
                await asyncio.sleep(0.05)
        (pid,) = left
        return pid

    async def said(self, text: str) -> None:
        """Waits for a line in the log."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while text not in self.log.read_text():
                await asyncio.sleep(0.02)

    async def gone(self) -> int:
        """Waits until the process has left; its exit status."""
        assert self._process is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._process.wait()

    async def stop(self) -> None:
        """Ends it, with its calls."""
        process = self._process
        while process is not None and process.returncode is None:
            # Told until it is gone: signals that come close together arrive as one.
            process.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    await process.wait()

    async def kill(self) -> None:
        """As the machine's out-of-memory killer does: the node alone, not its call processes."""
        self.signal(signal.SIGKILL)
        await self.gone()


@asynccontextmanager
async def served(folder: Path, declaration: str, *, api: bool = True) -> AsyncIterator[Served]:
    """A served node; what is left of it at the end is stopped."""
    one = Served(folder, declaration, api=api)
    try:
        await one.start()
        yield one
    finally:
        await one.stop()
