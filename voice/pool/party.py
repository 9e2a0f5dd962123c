"""A callee's leg in a call process: from the INVITE to the BYE."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from callflows.ports import Answerer, NotAnswered, RecordingPlace
from voice.media.seam import Digit, Established, Gone, LegEvent, MediaError, MediaLeg, MediaUp, Progress
from voice.pool.listening import who_answered
from voice.pool.recorder import LiveRecorder, or_unavailable, start_recorder

T = TypeVar("T")


class LiveParty:
    """A callee; a `Party` of `callflows.ports` once it has answered."""

    def __init__(self, target: str, report: Callable[[LegEvent], None]) -> None:
        self._target = target
        self._report = report
        self.leg: MediaLeg | None = None
        self.ringing = asyncio.Event()
        self.early = asyncio.Event()
        """Sound came before the answer."""
        self.answered = asyncio.Event()
        self.gone: asyncio.Future[Gone] = asyncio.get_running_loop().create_future()
        self.on_digit: Callable[[str], None] | None = None
        self.leg_id = ""
        self.bridged = False
        """It talks with the caller."""

    @property
    def name(self) -> str:
        return self._target

    def hear(self, event: LegEvent) -> None:
        """Takes what the media stack says of this leg."""
        match event:
            case Progress():
                if event.status > 100:
                    self.ringing.set()
            case MediaUp():
                if event.early:
                    self.early.set()
            case Established():
                self._target = event.headers.get("x-trunkflow-target", self._target)
                self.leg_id = event.headers.get("x-trunkflow-leg", self.leg_id)
                self.answered.set()
            case Digit():
                if self.on_digit is not None:
                    self.on_digit(event.digit)
            case Gone():
                if not self.gone.done():
                    self.gone.set_result(event)
        self._report(event)

    async def decided(self) -> None:
        """Returns when it has answered.  Raises NotAnswered when it will not."""
        answered = asyncio.create_task(self.answered.wait())
        racing: list[asyncio.Future[Any]] = [answered, self.gone]
        try:
            await asyncio.wait(racing, return_when=asyncio.FIRST_COMPLETED)
        finally:
            answered.cancel()
            await asyncio.gather(answered, return_exceptions=True)
        if not self.answered.is_set():
            gone = self.gone.result()
            raise NotAnswered(gone.status, gone.reason)

    async def record(self, place: RecordingPlace) -> LiveRecorder:
        return await start_recorder(self._live(), place, self._while_here)

    async def answerer(self, within: float) -> Answerer:
        with or_unavailable("Nobody can listen to who answered"):
            return await self._while_here(who_answered(self._live(), within))

    async def hold(self) -> None:
        """It hears nothing and is not heard until `unhold`.  Raises MediaError."""
        await self._live().hold()

    async def unhold(self) -> None:
        """Raises MediaError."""
        await self._live().unhold()

    async def _while_here(self, work: Awaitable[T]) -> T:
        """The result of `work`; raises MediaError as soon as the callee has hung up."""
        task = asyncio.ensure_future(work)
        racing: list[asyncio.Future[Any]] = [task, self.gone]
        try:
            await asyncio.wait(racing, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise MediaError("the callee has hung up")
            return await task
        finally:
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, MediaError):
                    await task

    def _live(self) -> MediaLeg:
        if self.leg is None:
            raise MediaError("this callee has not been called")
        return self.leg

    async def hangup(self) -> None:
        """BYE or CANCEL; nothing when it is gone already."""
        if self.leg is not None and not self.gone.done():
            try:
                await self.leg.hangup()
            except MediaError:  # it went meanwhile
                return
