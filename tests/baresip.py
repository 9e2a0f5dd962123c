"""baresip as a customer's PBX: speaks from a file, records what it hears, driven over its control port."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 20.0

# Every address is loopback: without net_interface it would look for another.  1.0 has no silent player
# but a bridge that nobody listens to.  By default its sound comes from ports that nodes of tests have.
CONFIG = """
sip_listen 127.0.0.1:0
rtp_ports 2048-9998
net_interface 127.0.0.1
call_max_calls 2
audio_source aufile,{voice}
audio_player aubridge,nil
audio_alert aubridge,nil
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
module_path /usr/lib/baresip/modules
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
snd_path {folder}
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{port}
{more}
"""


class Baresip:
    """A running baresip; its events are kept in order."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, folder: Path) -> None:
        self._writer = writer
        self._folder = folder
        self.events: list[dict[str, Any]] = []
        self._more = asyncio.Condition()
        self._listener = asyncio.create_task(self._listen(reader))

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """Netstrings, each a JSON object."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length = int((await reader.readuntil(b":"))[:-1])
                message = json.loads((await reader.readexactly(length + 1))[:-1])
                async with self._more:
                    self.events.append(message)
                    self._more.notify_all()

    async def command(self, name: str, *parameters: str) -> None:
        body = json.dumps({"command": name, "params": " ".join(parameters)}).encode()
        self._writer.write(b"%d:%s," % (len(body), body))
        await self._writer.drain()

    async def event(self, kind: str) -> dict[str, Any]:
        """The first event of this type, waited for."""

        def found() -> dict[str, Any] | None:
            return next((event for event in self.events if event.get("type") == kind), None)

        try:
            async with asyncio.timeout(PATIENCE_SECONDS), self._more:
                await self._more.wait_for(lambda: found() is not None)
        except TimeoutError:
            pass
        event = found()
        assert event is not None, f"no {kind}: {self.events}"
        return event

    def heard(self) -> Path:
        """The WAV file of what came from the other side; complete once the call is closed."""
        (path,) = self._folder.glob("dump-*-dec.wav")
        return path

    async def close(self) -> None:
        self._writer.close()
        self._listener.cancel()
        await asyncio.gather(self._listener, return_exceptions=True)


@asynccontextmanager
async def baresip(
    folder: Path,
    *,
    port: int,
    voice: Path | str,
    identity: str,
    user: str,
    password: str,
    proxy: str | None,
    dns: str | None = None,
    authorities: Path | None = None,
    media_encryption: str | None = None,
) -> AsyncIterator[Baresip]:
    """Starts it with a folder of its own; `port` is for its control.

    `proxy` is ``host:port``; None: it asks the name server `dns`, ``host:port``.  `authorities`: whose
    TLS certificates it believes.  `media_encryption`: ``srtp`` offers a choice, ``srtp-mand`` insists.
    """
    folder.mkdir()
    more = "" if dns is None else f"dns_server {dns}\n"
    more += "" if media_encryption is None else "module srtp.so\n"
    more += "" if authorities is None else f"sip_cafile {authorities}\n"
    (folder / "config").write_text(CONFIG.format(voice=voice, folder=folder, port=port, more=more))
    outbound = "" if proxy is None else f'outbound="sip:{proxy}";'
    media = "" if media_encryption is None else f"mediaenc={media_encryption};"
    (folder / "accounts").write_text(
        f'<{identity}>;auth_user={user};auth_pass="{password}";{outbound}{media}regint=0\n'
    )
    process = await asyncio.create_subprocess_exec(
        "baresip",
        "-f",
        str(folder),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        reader, writer = await _connected(port, process)
        one = Baresip(reader, writer, folder)
        try:
            yield one
        finally:
            await one.close()
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _connected(
    port: int, process: asyncio.subprocess.Process
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                assert process.returncode is None, "baresip did not start"
                await asyncio.sleep(0.02)
