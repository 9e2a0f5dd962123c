"""sipp, driven by tests: one process for each run of a scenario, with its log of messages.

Scenarios stand in ``tests/scenarios``.  Beyond what sipp knows, ``<use part="ack" CSEQ="2"/>`` stands for
the file ``parts/ack.xml`` with ``@CSEQ@`` replaced; what no ``<use>`` gives comes from the test.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

SCENARIOS = Path(__file__).parent / "scenarios"
PATIENCE_SECONDS = 30
"""After which sipp gives up by itself."""


DEFAULTS = {"HEADERS": "", "LINGER": "100", "OPTIONAL": "false", "PAYLOADS": "8 101"}
"""What stands in scenarios for what neither a ``<use>`` nor the test gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SippRun:
    """How a run went."""

    failed: bool
    """A call met something that its scenario does not allow."""
    errors: str
    messages: str
    """Every message that was sent and received, in order."""

    def check(self) -> None:
        assert not self.failed, f"sipp failed:\n{self.errors}\n{self.messages}"

    def received(self, beginning: str = "", cseq: str = "") -> list[str]:
        """The messages from the other side that begin so, of requests with this CSeq."""
        blocks = re.split(r"^-{20,} .*\n", self.messages, flags=re.MULTILINE)
        found = [block.partition("\n\n")[2] for block in blocks if " message received " in block]
        return [one for one in found if one.startswith(beginning) and f"\nCSeq: {cseq}" in one]


class Sipp:
    """A running sipp."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self._process = process
        self._folder = folder

    async def done(self) -> SippRun:
        """Waits until all calls of the scenario are over."""
        output, _ = await self._process.communicate()
        return SippRun(
            failed=self._process.returncode != 0,
            errors=_text(self._folder / "errors.log") or output.decode(errors="replace")[-2000:],
            messages=self.messages(),
        )

    def messages(self) -> str:
        """What was sent and received so far."""
        return _text(self._folder / "messages.log")

    async def close(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()


@asynccontextmanager
async def sipp(
    scenario: str,
    remote: str | None,
    *arguments: str,
    folder: Path,
    host: str = "127.0.0.1",
    port: int | None = None,
    calls: int = 1,
    values: Mapping[str, str] = DEFAULTS,
    patience: int = PATIENCE_SECONDS,
) -> AsyncIterator[Sipp]:
    """Runs a scenario, with these `values` in it, against ``host:port``; without one, it waits for calls.

    `folder` is for its logs and must be this run's own.  With a `port`, returns once that is bound.
    After `patience` seconds it gives up.
    """
    folder.mkdir(parents=True)
    (folder / "scenario.xml").write_text(rendered(scenario, values))
    given = ["-p", str(port)] if port is not None else []
    process = await asyncio.create_subprocess_exec(
        "sipp", *([remote] if remote else []),
        "-sf", "scenario.xml",
        "-i", host, "-mi", host, *given,
        "-m", str(calls), "-nostdin",
        "-timeout", f"{patience}s", "-timeout_error",
        "-trace_msg", "-message_file", "messages.log",
        "-trace_err", "-error_file", "errors.log",
        *arguments,
        cwd=folder,
        # It draws its screen with curses even where there is none.
        env=os.environ | {"TERM": "dumb"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    running = Sipp(process, folder)
    try:
        if port is not None:
            await _bound(port, process)
        yield running
    finally:
        await running.close()


def rendered(scenario: str, values: Mapping[str, str]) -> str:
    """The scenario as sipp understands it."""
    defaults = {**DEFAULTS, **values}

    def part(use: re.Match[str]) -> str:
        given = dict(re.findall(r'(\w+)="([^"]*)"', use[1]))
        return filled(_text(SCENARIOS / "parts" / f"{given.pop('part')}.xml"), {**defaults, **given})

    def filled(text: str, given: Mapping[str, str]) -> str:
        for name, value in given.items():
            # A header that is not given leaves no line behind: an empty one would end the headers.
            text = re.sub(rf"^ *@{name}@ *\n", "", text, flags=re.MULTILINE) if not value else text
            text = text.replace(f"@{name}@", value)
        return re.sub(r"<use ([^>]*)/>", part, text)

    text = filled(_text(SCENARIOS / f"{scenario}.xml"), defaults)
    missing = re.findall(r"@[A-Z]+@", text)
    assert not missing, f"scenario {scenario} needs values for {missing}"
    return text


def caller_arguments(number: str, domain: str, user: str, password: str) -> list[str]:
    """How sipp plays a PBX that dials a number of this domain (whole, with the base domain)."""
    return [
        "-s", number, "-key", "domain", domain, "-key", "user", user,
        "-au", user, "-ap", password, "-auth_uri", f"{number}@{domain}",
    ]  # fmt: skip


async def _bound(port: int, process: asyncio.subprocess.Process) -> None:
    """Returns when the process listens: sipp does not say so."""
    wanted = f":{port:04X} "
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not any(wanted in _text(Path(f"/proc/net/{kind}")) for kind in ("udp", "tcp")):
            assert process.returncode is None, "sipp did not start"
            await asyncio.sleep(0.01)


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def invited(callee: Sipp) -> dict[str, set[str]]:
    """The Call-IDs with which each number, with its ``+``, was called."""
    calls: dict[str, set[str]] = {}
    for message in re.findall(r"^INVITE sip:.*?(?:\n\n|\Z)", callee.messages(), re.MULTILINE | re.DOTALL):
        number = re.search(r"^INVITE sip:\+?(\d+)@", message)
        call_id = re.search(r"^Call-ID: (\S+)", message, re.MULTILINE)
        assert number is not None
        assert call_id is not None
        calls.setdefault("+" + number[1], set()).add(call_id[1])
    return calls
