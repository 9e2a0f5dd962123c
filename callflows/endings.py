"""Every way in which a call that runs a callflow can end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Cause(StrEnum):
    """Who or what ended the call."""

    CALLER_GONE = "caller_gone"
    """The caller's leg ended by itself: hung up, cancelled before the answer, or lost."""
    CALLEE_HUNG_UP = "callee_hung_up"
    """After a transfer or dial that was answered."""
    HANGUP_STEP = "hangup_step"
    END_OF_STEPS = "end_of_steps"
    MACHINE = "machine"
    """An answering machine took the call, and the callflow wants people only."""
    TOO_MANY_STEPS = "too_many_steps"
    """The callflow went round and round."""
    NO_FLOW = "no_flow"
    """The callflow to go on with could not be had."""
    MAX_SECONDS = "max_seconds"
    """The call reached the longest time a call may take."""
    STOPPED = "stopped"
    """An operator, or the node that shuts down."""
    INTERNAL_ERROR = "internal_error"
    """A bug of ours; it is in the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Why a call ended."""

    cause: Cause
    reason: str
    """One sentence a person understands."""
    status: int | None = None
    """SIP status (400 to 699) for a caller whom nobody has answered; None: what UNANSWERED says."""


UNANSWERED: Mapping[Cause, int] = MappingProxyType(
    {
        # CALLER_GONE has no entry: there is nobody left to refuse.
        Cause.CALLEE_HUNG_UP: 480,
        Cause.HANGUP_STEP: 603,
        Cause.END_OF_STEPS: 480,
        Cause.MACHINE: 480,
        Cause.TOO_MANY_STEPS: 480,
        Cause.NO_FLOW: 480,
        Cause.MAX_SECONDS: 480,
        Cause.STOPPED: 503,
        Cause.INTERNAL_ERROR: 500,
    }
)
"""With what SIP status an unanswered caller is refused when the call ends; an answered one gets BYE."""

_PHRASES: Mapping[int, str] = MappingProxyType(
    {
        403: "Forbidden",
        404: "Not Found",
        408: "Request Timeout",
        410: "Gone",
        480: "Temporarily Unavailable",
        484: "Address Incomplete",
        486: "Busy Here",
        488: "Not Acceptable Here",
        500: "Server Internal Error",
        501: "Not Implemented",
        503: "Service Unavailable",
        504: "Server Time-out",
        600: "Busy Everywhere",
        603: "Decline",
        604: "Does Not Exist Anywhere",
        606: "Not Acceptable",
        607: "Unwanted",
    }
)
_CLASSES = {4: "Request Failure", 5: "Server Failure", 6: "Global Failure"}


def phrase(status: int) -> str:
    """The reason phrase of a final refusal (RFC 3261 section 21, RFC 8197)."""
    return _PHRASES.get(status, _CLASSES.get(status // 100, "Refused"))
