"""Calling somebody else and connecting the caller: what transfer and dial share."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from callflows.endings import Cause, Ending
from callflows.kinds import Number
from callflows.ports import (
    Answerer,
    DialRequest,
    NotAnswered,
    Party,
    Recorder,
    RecordingPlace,
    Sides,
    Unavailable,
)
from callflows.recording import closed
from callflows.steps.base import Call, Outcome, Word
from callflows.waiting import uninterrupted

log = logging.getLogger(__name__)

RING_SECONDS = Number(minimum=1, maximum=180, unit="seconds")
"""At most 180: a proxy on the way may give up after three minutes (timer C, RFC 3261 section 16.6)."""

DEFAULT_RING_SECONDS = 30.0

_BUSY = frozenset({486, 600, 603})
_NO_ANSWER = frozenset({408, 480, 487})


async def connect(
    call: Call, request: DialRequest, *, record: Sides | None = None, people_within: float | None = None
) -> Outcome:
    """Dials and, when somebody answers, connects both until either side hangs up; that ends the call.

    With `people_within`, a machine noticed in so many seconds is hung up on, and the callflow goes on.
    """
    try:
        party = await call.line.dial(request)
    except NotAnswered as failure:
        return Outcome(
            word=unanswered_word(failure.status),
            detail=f"{failure.status} {failure.reason}",
            status=failure.status,
        )
    call.reached(Outcome(word=Word.ANSWERED, detail=f"{party.name} answered"))
    try:
        if people_within is not None and await party.answerer(people_within) is Answerer.MACHINE:
            return Outcome(word=Word.NO_ANSWER, detail=f"a machine answered for {party.name}", status=480)
        await call.answer()
        async with AsyncExitStack() as recordings:
            for side in _sides(record):
                await recordings.enter_async_context(_recorded(call, party, side))
            await call.line.bridge(party)
    finally:
        await uninterrupted(party.hangup())
    reason = f"{party.name} hung up."
    return Outcome(
        word=Word.ANSWERED,
        detail=f"{party.name} answered",
        ending=Ending(cause=Cause.CALLEE_HUNG_UP, reason=reason),
    )


def _sides(record: Sides | None) -> tuple[Sides, ...]:
    match record:
        case None:
            return ()
        case Sides.BOTH:
            return (Sides.IN, Sides.OUT)
        case _:
            return (record,)


@asynccontextmanager
async def _recorded(call: Call, party: Party, side: Sides) -> AsyncIterator[None]:
    """What one side says is recorded while the context is open."""
    begun = await _begun(call, party, side)
    try:
        yield
    finally:
        if begun is not None:
            await uninterrupted(_ended(call, *begun))


async def _begun(call: Call, party: Party, side: Sides) -> tuple[RecordingPlace, Recorder] | None:
    """A recording that cannot begin is missed; who is on the line goes on talking."""
    destination = side is Sides.IN
    place: RecordingPlace | None = None
    try:
        place = await call.recordings.place("transfer", party.leg_id if destination else None)
        return place, await (party.record(place) if destination else call.line.record(place))
    except Unavailable as problem:
        log.warning("one side of a transfer is not recorded: %s", problem)
        if place is not None:
            await closed(call.recordings, place, None)
        return None


async def _ended(call: Call, place: RecordingPlace, recorder: Recorder) -> None:
    try:
        await closed(call.recordings, place, recorder)
    except Unavailable as problem:
        log.warning("the recording of a transfer was broken off: %s", problem)


def unanswered_word(status: int) -> Word:
    """603 counts as busy: somebody was there and did not want the call."""
    if status in _BUSY:
        return Word.BUSY
    return Word.NO_ANSWER if status in _NO_ANSWER else Word.FAILED
