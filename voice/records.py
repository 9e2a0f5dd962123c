"""What is worth remembering about a call, as small frozen values.

The edge, the pool and the call processes say what happened by giving one of these to a `Journal`;
the store writes them behind the call's back.  Saying it never blocks, never raises.
Times are UTC seconds since the epoch (floats); the store and the API show them as RFC 3339.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol


class Direction(StrEnum):
    INCOMING = "incoming"
    OUTGOING = "outgoing"


class CallStatus(StrEnum):
    """MessageBird's words for a call (reference, section 5.1)."""

    QUEUED = "queued"
    STARTING = "starting"
    ONGOING = "ongoing"
    ENDED = "ended"
    FAILED = "failed"
    BUSY = "busy"
    NO_ANSWER = "no_answer"


class Gate(StrEnum):
    """What stands between a packet and its call, in the order in which they are passed."""

    BAN = "ban"
    """Is the source banned, or too fast?"""
    SOURCE = "source"
    """Could anything at all admit the source?"""
    PARSE = "parse"
    REQUEST = "request"
    """Is it a request that a proxy may take on (RFC 3261 section 16.3)?"""
    DOMAIN = "domain"
    ACL = "acl"
    DIGEST = "digest"
    POP = "pop"
    """Is there a POP that handles it?  The gates after this one are that POP's."""
    IDENTITY = "identity"
    """May the account show who it says is calling?"""
    MEDIA = "media"
    """Is the sound encrypted as the trunk wants it?"""
    LIMITS = "limits"
    ROUTE = "route"
    POOL = "pool"


RUNNING_CALL: Final = "running call: "
"""How the rule of a refusal begins that a request of a call met which had been let in before."""
CALL_SOURCE: Final = "call "
"""How the source of a refusal begins that a callflow met when it dialled; the call's id follows."""


class LegStatus(StrEnum):
    """MessageBird's words for a leg (reference, section 5.2)."""

    STARTING = "starting"
    RINGING = "ringing"
    ONGOING = "ongoing"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"
    HANGUP = "hangup"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStarted:
    call_id: str
    at: float
    account_id: str
    direction: Direction
    source: str
    """Caller: E.164, SIP URI, or ``Restricted``."""
    destination: str
    domain: str | None = None
    acl: str | None = None
    """Name of the ACL that admitted it."""
    sip_account: str | None = None
    """User name that proved itself by digest; None: none was asked for."""
    number_id: str | None = None
    sip_call_id: str | None = None
    source_address: str | None = None
    relayed_by: str | None = None
    """POP that the call came to, which let it in and relayed it; None: it came to the one that handles it."""
    callflow_id: str | None = None
    node: str | None = None
    """Whose call processes run its callflow; None for a plain trunk call, which no process runs."""
    status: CallStatus = CallStatus.STARTING
    """QUEUED for a call that the API accepted and nobody dials yet."""
    origin: str | None = None
    """Who placed an outgoing call: ``call``, ``voice_message`` or ``verify``; None: it came by SIP."""
    simulated: bool = False
    """Placed with a test key: no SIP leaves."""
    webhook_url: str | None = None
    webhook_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallChanged:
    call_id: str
    at: float
    status: CallStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded:
    call_id: str
    at: float
    status: CallStatus
    reason: str
    """One sentence a person understands: who ended the call and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegStarted:
    leg_id: str
    call_id: str
    at: float
    direction: Direction
    source: str
    destination: str
    gateway: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LegChanged:
    leg_id: str
    call_id: str
    at: float
    status: LegStatus
    sip_status: int | None = None
    sip_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LegMedia:
    """Media statistics of a leg at its end; loss in packets, jitter in milliseconds, both ways."""

    leg_id: str
    call_id: str
    codec: str
    received_packets: int
    received_lost: int
    received_jitter_ms: float
    sent_packets: int
    sent_lost: int
    sent_jitter_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    call_id: str
    at: float
    seq: int
    """Counts the steps of the call from 1, repeats included."""
    step_id: str
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished:
    call_id: str
    at: float
    seq: int
    step_id: str
    action: str
    outcome: str
    """One word, such as ``done``, ``answered``, ``no_answer``, ``failed``, ``cancelled``."""
    detail: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingStarted:
    recording_id: str
    call_id: str
    leg_id: str
    at: float
    path: str
    kind: str
    """MessageBird's ``type``: ``ivr``, ``call`` or ``transfer``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingDone:
    recording_id: str
    call_id: str
    at: float
    seconds: float
    size: int
    """Of the whole file, in bytes."""
    status: str
    """``done`` or ``failed``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptionChanged:
    """A transcription came or went on; its row is written by whoever transcribes."""

    transcription_id: str
    recording_id: str
    call_id: str
    leg_id: str | None
    account_id: str
    at: float
    status: str
    """``created``, ``transcribing``, ``done`` or ``failed``."""
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request was not let in; one for every refusal."""

    at: float
    gate: str
    """The one that refused; one of `Gate`."""
    cause: str
    """Why, as one stable word for programs, such as ``acl-networks``."""
    rule: str
    """The entry or rule that decided."""
    remedy: str
    """The sentence that tells the customer what to change."""
    sip_status: int
    source_address: str
    method: str = ""
    request_uri: str = ""
    from_uri: str = ""
    sip_call_id: str = ""
    account_id: str | None = None
    domain: str | None = None
    acl: str | None = None
    """Name of the ACL that had admitted it before another gate refused."""
    sip_account: str | None = None
    count: int = 1
    """More than 1 when equal refusals of a flood were folded into one record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Anything else an operator will want to find: a process died, a fetch failed, a drain began."""

    at: float
    kind: str
    detail: str
    call_id: str | None = None
    account_id: str | None = None
    data: dict[str, str] = field(default_factory=dict)


Record = (
    CallStarted
    | CallChanged
    | CallEnded
    | LegStarted
    | LegChanged
    | LegMedia
    | StepStarted
    | StepFinished
    | RecordingStarted
    | RecordingDone
    | TranscriptionChanged
    | Refusal
    | Event
)


class Journal(Protocol):
    """Takes records at once and keeps them in order; never blocks, never raises."""

    def write(self, record: Record) -> None: ...
