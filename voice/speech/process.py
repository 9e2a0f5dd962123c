"""The parent's side of a worker: one process that works on sounds, one job at a time.

A job that takes too long, or a process that dies under it, costs that job only: the process is
killed, the job fails with Unavailable, the next one gets a fresh process.  Messages are JSON with
their length before them (4 bytes, big endian), on the process's standard input and output.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Mapping

from callflows.ports import Unavailable

log = logging.getLogger(__name__)

LONGEST_MESSAGE = 1_000_000
START_SECONDS = 20.0
"""A cold start reads some 50 MB of libraries; on a loaded machine that takes a while."""
KEPT_OUTPUT = 2000
"""Characters of what the process said on standard error, for the log."""

Job = Mapping[str, object]


class WorkerProcess:
    """Runs ``python -P -m <module> <kind>``, started by the first job or by `start`.

    `module` ends in `voice.speech.worker.serve`.
    """

    def __init__(
        self, kind: str, *, job_seconds: float, queue_limit: int, module: str = "voice.speech.worker"
    ) -> None:
        self._kind = kind
        self._module = module
        self._job_seconds = job_seconds
        self._queue_limit = queue_limit
        self._turn = asyncio.Lock()
        self._queued = 0
        self._closed = False
        self._process: asyncio.subprocess.Process | None = None
        self._listener: asyncio.Task[None] | None = None
        self._said = ""

    @property
    def pid(self) -> int | None:
        """Of the running process; None when there is none."""
        process = self._process
        return None if process is None or process.returncode is not None else process.pid

    async def start(self) -> None:
        """Starts the process, so that no job has to wait for it.  Raises Unavailable."""
        async with self._turn:
            await self._running()

    async def close(self) -> None:
        """Ends the process; a job under way fails."""
        self._closed = True
        await self._end()
        async with self._turn:  # a process may have been on its way
            await self._end()

    async def do(self, job: Job) -> Job:
        """Has a job done.  Raises Unavailable: the worker's own sentence, or because the process failed."""
        if self._queued >= self._queue_limit:
            raise Unavailable(
                f"The {self._kind} process has {self._queued} jobs waiting already. "
                "Try again later; raise speech.queue_limit where this is usual."
            )
        self._queued += 1
        try:
            async with self._turn:
                answer = await self._exchange(job)
        finally:
            self._queued -= 1
        if (error := answer.get("error")) is not None:
            raise Unavailable(str(error))
        return answer

    async def _exchange(self, job: Job) -> Job:
        process = await self._running()
        try:
            async with asyncio.timeout(self._job_seconds):
                await _send(process, job)
                return await _receive(process)
        except TimeoutError:
            await self._end()
            raise Unavailable(
                f"The {self._kind} process took longer than {self._job_seconds:g} s and was ended. "
                "Make the text or sound shorter."
            ) from None
        except (EOFError, OSError, ValueError) as error:
            await self._end()
            log.warning("the %s process %d died at work: %s", self._kind, process.pid, self._said.strip())
            raise Unavailable(
                f"The {self._kind} process died at this job and is started anew. "
                "If it does again, the text or sound is what it cannot take."
            ) from error
        except BaseException:
            # Cancelled between question and answer: the next job must not get this one's answer.
            await self._end()
            raise

    async def _running(self) -> asyncio.subprocess.Process:
        if self._closed:
            raise Unavailable(f"The {self._kind} process is shut down.")
        if self._process is not None and self._process.returncode is None:
            return self._process
        await self._end()
        return await self._begin()

    async def _begin(self) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        self._said = ""
        try:
            self._process = process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", self._module, self._kind,
                stdin=pipe, stdout=pipe, stderr=pipe, env=_environment(),
            )  # fmt: skip
        except OSError as error:
            raise Unavailable(f"The {self._kind} process cannot be started: {error}.") from error
        self._listener = asyncio.ensure_future(self._listen(process))
        try:
            async with asyncio.timeout(0 if self._closed else START_SECONDS):
                await _receive(process)
        except (EOFError, OSError, ValueError) as error:  # TimeoutError is an OSError
            await self._end()
            log.error("the %s process does not start: %s", self._kind, self._said.strip())
            raise Unavailable(
                f"The {self._kind} process does not start; its words are in the log."
            ) from error
        except BaseException:
            await self._end()
            raise
        return process

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Keeps the last words of the process; hostile files make libraries talk, so not all of them."""
        assert process.stderr is not None
        while chunk := await process.stderr.read(1024):
            self._said = (self._said + chunk.decode(errors="replace"))[-KEPT_OUTPUT:]

    async def _end(self) -> None:
        process, self._process = self._process, None
        listener, self._listener = self._listener, None
        if process is not None:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()
        if listener is not None:
            await listener


def _environment() -> dict[str, str]:
    # One job runs at a time, so threads of the number library would only take memory.
    return {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


async def _send(process: asyncio.subprocess.Process, message: Job) -> None:
    assert process.stdin is not None
    body = json.dumps(message).encode()
    process.stdin.write(len(body).to_bytes(4, "big") + body)
    await process.stdin.drain()


async def _receive(process: asyncio.subprocess.Process) -> Job:
    """Raises IncompleteReadError when the process is gone, ValueError at what is no message."""
    assert process.stdout is not None
    length = int.from_bytes(await process.stdout.readexactly(4), "big")
    if length > LONGEST_MESSAGE:
        raise ValueError(f"a message of {length} bytes")
    message = json.loads(await process.stdout.readexactly(length))
    if not isinstance(message, dict):
        raise ValueError("a message that is no object")  # noqa: TRY004
    return message
