"""What the edge and the pool say to each other about a call.

The edge asks for a seat; the pool answers with the loopback address of a call process that already
knows the order.  The edge then relays the INVITE there with ``sip:<call_id>@host:port`` as
Request-URI.  For a `dial`, the pool files a `DialPlan` at the edge and the call process sends one
INVITE to ``sip:<ticket>@<inside address of the edge>``; the edge forks it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from sip_config.model import SrtpPolicy
from voice.media.srtp import USUAL_SRTP


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstLeg:
    """The leg that an outgoing call begins with: who is called, and for how long it may ring."""

    target: str
    """E.164 number with ``+``, or SIP URI."""
    caller_id: str
    ring_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOrder:
    """One call to be run by a callflow."""

    call_id: str
    leg_id: str
    """Of the leg that the INVITE is."""
    account_id: str
    domain: str | None
    source: str
    """The caller, as records and the callflow know it."""
    destination: str
    number_id: str | None
    callflow_id: str | None
    document: str | None
    """Canonical XML, when the flow is stored here."""
    url: str | None
    """Else where the flow is fetched from."""
    fallback_document: str | None
    """Run when the fetch fails; None: the call is ended with the reason on record."""
    max_seconds: int
    asserted: str | None = None
    """The caller's identity, if one is believed; dials that show the caller pass it on."""
    withheld: bool = False
    """The caller wants to stay unknown to others."""
    outbound: FirstLeg | None = None
    """Set for a call that the API placed: the process dials this leg, and runs the callflow on it once it
    answers.  `leg_id` is then the id of that leg too."""
    srtp: SrtpPolicy = USUAL_SRTP
    """Of the domain, or the gateway, that the call came by; it holds for SIP URIs that are dialled, too."""

    @property
    def longest(self) -> float:
        """Seconds from the order to the end of its call, at most."""
        return self.max_seconds + (self.outbound.ring_seconds if self.outbound is not None else 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A place in a call process: its SIP address on loopback."""

    host: str
    port: int


class PoolFull(Exception):
    """No call process can take a call now.  `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CallPool(Protocol):
    """The pool, as the edge sees it."""

    async def seat(self, order: CallOrder) -> Seat:
        """A seat that expects the order's INVITE.  Raises PoolFull."""
        ...

    def release(self, call_id: str, refused: str | None = None) -> None:
        """The INVITE of this order will not come, or failed before the call process saw it.

        With `refused`, such as ``488 Not Acceptable Here``, the process answered it so: because its
        callflow wanted it, or because the media stack did not want the INVITE, of which the call process
        hears nothing.
        In that case the pool says that the call ended.
        """
        ...


class Hunting(StrEnum):
    PARALLEL = "parallel"
    SERIAL = "serial"


@dataclass(frozen=True, slots=True, kw_only=True)
class DialPlan:
    """Where one INVITE of a call process goes."""

    call_id: str
    account_id: str
    targets: tuple[str, ...]
    """E.164 numbers with ``+``, or SIP URIs."""
    hunting: Hunting
    ring_seconds: float
    """For each target when serial, for all together when parallel."""
    caller_id: str
    """E.164 number or user part for From."""
    asserted: str | None = None
    """What was asserted of the caller, when `caller_id` is the caller's own."""
    withheld: bool = False
    """That caller wants to stay unknown to whom is dialled."""
    leg_id: str | None = None
    """Of the one target's leg, when it has an id already."""
    srtp: SrtpPolicy = USUAL_SRTP
    """Of legs to SIP URIs; those to numbers follow their gateways."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A filed plan."""

    uri: str
    """Request-URI to send the INVITE to."""
    srtp: SrtpPolicy = USUAL_SRTP
    """What the INVITE has to offer, so that all gateways of the plan can be served."""


class DialDesk(Protocol):
    """The edge, as the pool sees it."""

    def file(self, plan: DialPlan) -> Ticket:
        """Keeps the plan for a short while."""
        ...

    def call_ended(self, call_id: str) -> None:
        """A callflow's call is over: its place within the account's limits becomes free."""
        ...

    def seat_lost(self, seat: Seat, reason: str) -> None:
        """The call process at this address is gone: answer what waits for it, cancel what it asked for."""
        ...
