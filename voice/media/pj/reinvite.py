"""A re-INVITE of ours, from its sending to its final response (RFC 3261 section 14.1)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import pjsua2 as pj

from voice.media.seam import MediaError

if TYPE_CHECKING:
    from voice.media.pj.leg import PjLeg

ANSWER_SECONDS = 33.0
"""Timer B (RFC 3261 section 17.1.1.2) is 32 s; then the stack itself says 408."""

REQUEST_PENDING = 491
GLARE_TRIES = 4
GLARE_SECONDS = (2.1, 4.0)
"""Both ends sent a re-INVITE at once: whoever made the dialog's Call-ID waits so long, chosen at random."""
GLARE_SECONDS_AS_CALLEE = (0.1, 2.0)


class Reinvites:
    """Those of one leg, one at a time."""

    def __init__(self, leg: PjLeg, events: asyncio.AbstractEventLoop) -> None:
        self._leg = leg
        self._events = events
        self._turn = asyncio.Lock()
        self._answer: asyncio.Future[int] | None = None
        """The status that is waited for.  Set and taken away in the pjsua2 thread."""

    async def send(self, sending: Callable[[], None], *, as_caller: bool) -> None:
        """Returns when the far end has agreed to what `sending` sends in the pjsua2 thread.

        Raises MediaError when it does not, or the leg goes.
        """
        async with self._turn:
            for _ in range(GLARE_TRIES):
                status = await self._once(sending)
                if status < 300:
                    return
                if status != REQUEST_PENDING:
                    raise MediaError(f"the far end answered the re-INVITE with {status}")
                low, high = GLARE_SECONDS if as_caller else GLARE_SECONDS_AS_CALLEE
                await asyncio.sleep(random.uniform(low, high))  # noqa: S311  # no secret
            raise MediaError(f"the far end was busy with a re-INVITE of its own {GLARE_TRIES} times")

    async def _once(self, sending: Callable[[], None]) -> int:
        answer: asyncio.Future[int] = self._events.create_future()

        def work() -> None:
            self._answer = answer
            try:
                sending()
            except BaseException:
                self._answer = None
                raise

        await self._leg.thread.run(work)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await answer
        except TimeoutError:
            raise MediaError(f"the far end did not answer a re-INVITE within {ANSWER_SECONDS:g} s") from None

    def on_transaction(self, transaction: pj.SipTransaction) -> None:
        """In the pjsua2 thread: a transaction of the leg's dialog went on."""
        if (
            self._answer is not None
            and transaction.role == pj.PJSIP_ROLE_UAC
            and transaction.method == "INVITE"
            and transaction.statusCode >= 200
        ):
            self._tell(transaction.statusCode)

    def leg_gone(self) -> None:
        """In the pjsua2 thread."""
        if self._answer is not None:
            self._tell(None)

    def _tell(self, status: int | None) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            self._events.call_soon_threadsafe(_deliver, answer, status)


def _deliver(answer: asyncio.Future[int], status: int | None) -> None:
    if answer.done():
        return
    if status is None:
        answer.set_exception(MediaError("the leg is gone"))
    else:
        answer.set_result(status)
