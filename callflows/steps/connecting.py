"""Calling somebody else and connecting the caller: what transfer and dial share."""

from __future__ import annotations

from callflows.endings import Cause, Ending
from callflows.kinds import Number
from callflows.ports import DialRequest, NotAnswered
from callflows.steps.base import Call, Outcome, Word

RING_SECONDS = Number(minimum=1, maximum=180, unit="seconds")
"""At most 180: a proxy on the way may give up after three minutes (timer C, RFC 3261 section 16.6)."""

DEFAULT_RING_SECONDS = 30.0

_BUSY = frozenset({486, 600, 603})
_NO_ANSWER = frozenset({408, 480, 487})


async def connect(call: Call, request: DialRequest) -> Outcome:
    """Dials and, when somebody answers, connects both until either side hangs up; that ends the call."""
    try:
        party = await call.line.dial(request)
    except NotAnswered as failure:
        return Outcome(
            word=unanswered_word(failure.status),
            detail=f"{failure.status} {failure.reason}",
            status=failure.status,
        )
    call.reached(Outcome(word=Word.ANSWERED, detail=f"{party.name} answered"))
    await call.line.bridge(party)
    reason = f"{party.name} hung up."
    return Outcome(
        word=Word.ANSWERED,
        detail=f"{party.name} answered",
        ending=Ending(cause=Cause.CALLEE_HUNG_UP, reason=reason),
    )


def unanswered_word(status: int) -> Word:
    """603 counts as busy: somebody was there and did not want the call."""
    if status in _BUSY:
        return Word.BUSY
    return Word.NO_ANSWER if status in _NO_ANSWER else Word.FAILED
