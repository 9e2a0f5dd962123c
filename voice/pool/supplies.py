"""What a callflow needs that the node has: sounds, further callflows, places to record, transcriptions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from callflows.model import Utterance
from callflows.ports import Prompt, Recorded, RecordingPlace, Unavailable
from voice.pool.link import ParentLink
from voice.pool.orders import CallOrder
from voice.pool.wire import (
    Got,
    Recording,
    Want,
    WantBeep,
    WantFlow,
    WantMedia,
    WantPlace,
    WantTranscription,
    want_speech,
)
from voice.records import RecordingDone

log = logging.getLogger(__name__)

FLOW_SECONDS = 150.0
"""The net below the parent's own bounds (at most 120 s): a parent may be gone and never come back."""


class Supplies:
    """The `Sounds`, `Recordings` and `Flows` of one call, which ask the parent."""

    def __init__(self, order: Callable[[], CallOrder], link: ParentLink, clock: Callable[[], float]) -> None:
        self._order = order
        self._link = link
        self._clock = clock
        self._recordings: dict[str, RecordingPlace] = {}
        """Those under way, by id."""
        self._legs: dict[str, str] = {}
        """The leg of each recording of the call."""
        self._orders_to_write: set[asyncio.Task[None]] = set()

    @property
    def recordings(self) -> list[Recording]:
        """The recordings under way, for a parent that is new to them."""
        call_id = self._order().call_id
        return [Recording(call_id=call_id, place=place) for place in self._recordings.values()]

    # -- Sounds --------------------------------------------------------------------------------

    async def speech(self, utterance: Utterance) -> Prompt:
        return _prompt(await self._ask(want_speech(utterance)))

    async def media(self, source: str) -> Prompt:
        return _prompt(await self._ask(WantMedia(source=source)))

    async def beep(self) -> Prompt:
        return _prompt(await self._ask(WantBeep()))

    # -- Flows ---------------------------------------------------------------------------------

    async def fetch(self, url: str, variables: Mapping[str, str]) -> str:
        return await self._flow(WantFlow(url=url, variables=dict(variables)))

    async def finished(self, url: str, recording_id: str, variables: Mapping[str, str]) -> str:
        return await self._flow(WantFlow(url=url, variables=dict(variables), recording_id=recording_id))

    async def _flow(self, want: WantFlow) -> str:
        try:
            async with asyncio.timeout(FLOW_SECONDS):
                document = (await self._ask(want)).text
        except TimeoutError:
            raise Unavailable(f"the node had no callflow from {want.url} within {FLOW_SECONDS:g} s") from None
        if document is None:
            raise Unavailable(f"the node gave no callflow from {want.url}")
        return document

    # -- Recordings ----------------------------------------------------------------------------

    async def place(self, kind: str = "ivr", leg_id: str | None = None) -> RecordingPlace:
        leg_id = leg_id or self._order().leg_id
        place = (await self._ask(WantPlace(kind=kind, leg_id=leg_id))).place
        if place is None:
            raise Unavailable("the node gave no place for a recording")
        self._recordings[place.id] = place
        self._legs[place.id] = leg_id
        return place

    def done(self, recorded: Recorded, ok: bool) -> None:
        self._recordings.pop(recorded.id, None)
        self._link.tell(
            RecordingDone(
                recording_id=recorded.id,
                call_id=self._order().call_id,
                at=self._clock(),
                seconds=recorded.seconds,
                size=recorded.size,
                status="done" if ok else "failed",
            )
        )

    def transcribe(self, recording_id: str, language: str) -> None:
        want = WantTranscription(
            recording_id=recording_id,
            leg_id=self._legs.get(recording_id, self._order().leg_id),
            language=language,
        )
        task = asyncio.create_task(self._have_written(want))
        self._orders_to_write.add(task)
        task.add_done_callback(self._orders_to_write.discard)

    async def _have_written(self, want: WantTranscription) -> None:
        try:
            await self._ask(want)
        except Unavailable as problem:
            log.warning("recording %s will not be transcribed: %s", want.recording_id, problem)

    async def settle(self) -> None:
        """Returns once everything that was asked for behind the call's back has been taken."""
        if self._orders_to_write:
            await asyncio.wait(self._orders_to_write, timeout=FLOW_SECONDS)
        for task in tuple(self._orders_to_write):
            task.cancel()
        await asyncio.gather(*self._orders_to_write, return_exceptions=True)

    async def _ask(self, want: Want) -> Got:
        return await self._link.ask(self._order().call_id, want)


def _prompt(got: Got) -> Prompt:
    if got.prompt is None:
        raise Unavailable("the node gave no sound")
    return got.prompt
