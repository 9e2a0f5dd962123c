"""What a running call can be told to do, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    HANGUP = "hangup"
    REPLACE = "replace"
    """`body` is the callflow to go on with, as canonical XML."""
    ADD_LEG = "add_leg"
    """`body` is whom to call: E.164 with ``+``, or a SIP URI."""
    HANGUP_LEG = "hangup_leg"
    HOLD = "hold"
    UNHOLD = "unhold"


class Result(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    """The call does not allow it; the detail says why and what to do."""
    GONE = "gone"
    """The call is over, or nobody answered for it in time."""


HUNG_UP: Final = "The call was ended by the API."


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a call is to do.  `leg_id` for those about a leg; `body` of a HANGUP: why, if not `HUNG_UP`."""

    kind: Kind
    call_id: str
    leg_id: str | None = None
    body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    result: Result
    detail: str
    """A sentence."""


def done(detail: str) -> Outcome:
    return Outcome(result=Result.DONE, detail=detail)


def refused(detail: str) -> Outcome:
    return Outcome(result=Result.REFUSED, detail=detail)


def gone(detail: str) -> Outcome:
    return Outcome(result=Result.GONE, detail=detail)
