"""The one thread that touches pjsua2.

pjsua2 wants all of its objects created, used and destroyed by one thread that it knows.  This
thread alternates between two things: jobs that the event loop posts, and `libHandleEvents`, in
which SIP messages are handled.  The poll is one long wait, not a short one repeated, because
wake-ups are what an idle call costs; a datagram of two CRLFs to the stack's own SIP socket (a
keepalive that it ignores, RFC 5626 section 4.4.1) ends the wait when a job is posted.
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar

import pjsua2 as pj

from voice.media.pj.endpoint import create_quietly, destroy
from voice.media.seam import MediaError

log = logging.getLogger(__name__)

T = TypeVar("T")

POLL_MS = 5_000
"""The longest wait; pjsip shortens it by itself to its next timer."""

LINGER_SECONDS = 0.2
"""The stack tells a player of its file's end from another thread, a moment after the end."""


class PjThread:
    """Runs jobs against pjsua2, and its event handling, in one thread of its own."""

    def __init__(self) -> None:
        self._jobs: deque[Callable[[], None]] = deque()
        self._lingering: deque[tuple[float, pj.AudioMedia]] = deque()
        """When each is due, in order."""
        self._wakeup = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._address: tuple[str, int] | None = None
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.endpoint: pj.Endpoint

    async def start(self, boot: Callable[[pj.Endpoint], tuple[str, int]]) -> tuple[str, int]:
        """Starts the thread; `boot` runs in it, configures the endpoint and returns its SIP address.

        Raises MediaError when the library does not start.
        """
        started: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
        self._thread = threading.Thread(target=self._work, args=(boot, started), name="pjsua2", daemon=True)
        self._thread.start()
        return await started

    def post(self, job: Callable[[], None]) -> None:
        """Runs `job` in the thread, soon.  From any thread."""
        self._jobs.append(job)
        if self._address is not None:
            self._wakeup.sendto(b"\r\n\r\n", self._address)

    async def run(self, job: Callable[[], T]) -> T:
        """The result of `job`, run in the thread.  Raises MediaError for an error of pjsua2.

        When the caller is cancelled the job still runs; its result is dropped.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def deliver(result: T | None, error: Exception | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)  # type: ignore[arg-type]  # T itself may be None
            else:
                future.set_exception(error)

        def work() -> None:
            try:
                result = job()
            except pj.Error as error:
                problem: Exception = MediaError(f"{error.title}: {error.reason}")
            except Exception as error:
                problem = error
            else:
                loop.call_soon_threadsafe(deliver, result, None)
                return
            loop.call_soon_threadsafe(deliver, None, problem)

        self.post(work)
        return await future

    def destroy_later(self, player: pj.AudioMedia) -> None:
        """Destroys a player that nobody hears any more, once the stack has told it all.  In the thread.

        Destroyed at once, one that just came to the end of its file would be told so after its end, and the
        process would die of it with all of its calls.
        """
        self._lingering.append((time.monotonic() + LINGER_SECONDS, player))

    def _destroy_due(self) -> int:
        """Milliseconds until the next is due, or until there is something else to do."""
        now = time.monotonic()
        while self._lingering and self._lingering[0][0] <= now:
            destroy(self._lingering.popleft()[1])
        return min(POLL_MS, math.ceil(1000 * (self._lingering[0][0] - now))) if self._lingering else POLL_MS

    async def stop(self) -> None:
        """Ends the thread after the jobs posted so far, and waits for it."""
        self.post(self._stop)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        self._wakeup.close()

    def _stop(self) -> None:
        self._stopping = True

    def _work(
        self,
        boot: Callable[[pj.Endpoint], tuple[str, int]],
        started: asyncio.Future[tuple[str, int]],
    ) -> None:
        loop = started.get_loop()
        try:
            self.endpoint = create_quietly()
            self._address = boot(self.endpoint)
        except pj.Error as error:
            problem = MediaError(f"pjsua2 did not start: {error.title}: {error.reason}")
            loop.call_soon_threadsafe(started.set_exception, problem)
            return
        except Exception as error:
            loop.call_soon_threadsafe(started.set_exception, error)
            return
        loop.call_soon_threadsafe(started.set_result, self._address)
        while not self._stopping:
            while self._jobs:
                _do(self._jobs.popleft())
            wait_ms = self._destroy_due()
            if not self._stopping:
                self.endpoint.libHandleEvents(wait_ms)
        for due, player in self._lingering:
            time.sleep(max(0.0, due - time.monotonic()))
            destroy(player)
        # Without a network: the calls are over, and the flag spares a second of waiting for nobody.
        self.endpoint.libDestroy(pj.PJSUA_DESTROY_NO_NETWORK)
        destroy(self.endpoint)


def _do(job: Callable[[], None]) -> None:
    """A job that was posted, not waited for; the thread survives its failure."""
    try:
        job()
    except (pj.Error, MediaError) as error:
        # Such as refusing a caller who has given up meanwhile.
        log.debug("a job for pjsua2 came too late: %s", getattr(error, "reason", error))
    except Exception:
        log.exception("a bug in a job for pjsua2")
