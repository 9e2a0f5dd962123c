"""The seam between a call process and its media stack.

A `MediaEngine` owns one SIP address on loopback and the legs on it.  What happens to a leg reaches
its owner as one of the frozen `LegEvent` values, in order, in the event loop's thread; what the
owner wants is asked by coroutine.  `voice.media.pj` is the implementation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sip_config.model import SrtpPolicy

DIGIT_SECONDS = 0.16
"""A DTMF key that is passed on: long enough for any detector (ETSI ES 201 235-3 asks for 40 ms)."""


class MediaError(Exception):
    """The media stack refused something.  The message names the operation and the stack's reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSettings:
    """How the legs of a process meet the network.  Ports are UDP; a leg takes two of them (RTP and RTCP)."""

    sip_host: str
    from_host: str
    """Host part of From in INVITEs of ours: the base domain, so that no inside address shows."""
    rtp_host: str
    """Local address that RTP is bound to."""
    rtp_public_host: str
    """Address that SDP shows."""
    rtp_port: int
    """First port of this process's slice."""
    rtp_ports: int
    """Size of the slice."""
    legs: int
    """At most so many legs at once; the build of the stack may allow fewer."""
    codecs: tuple[str, ...] = ("PCMA/8000", "PCMU/8000", "G722/16000")
    """Most preferred first."""
    clock_rate: int = 8000
    """Of the bridge, in Hz: 16,000 costs four times as much when nobody negotiated wideband."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DialogFacts:
    """What somebody else needs to end this dialog (RFC 3261 section 12.1), seen from our side."""

    call_id: str
    local: str
    """Header value with our tag: From of a request that we would send."""
    remote: str
    """Header value with their tag: To of a request that we would send."""
    target: str
    """Request-URI of a request that we would send."""
    routes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaStats:
    """Statistics of a leg's stream at its end; jitter is the mean, in milliseconds."""

    codec: str
    received_packets: int
    received_lost: int
    received_jitter_ms: float
    sent_packets: int
    sent_lost: int
    sent_jitter_ms: float


def added(before: MediaStats | None, more: MediaStats) -> MediaStats:
    """The statistics of two streams of one leg: a re-INVITE ends one and begins another."""
    if before is None:
        return more
    return MediaStats(
        codec=more.codec,
        received_packets=before.received_packets + more.received_packets,
        received_lost=before.received_lost + more.received_lost,
        received_jitter_ms=max(before.received_jitter_ms, more.received_jitter_ms),
        sent_packets=before.sent_packets + more.sent_packets,
        sent_lost=before.sent_lost + more.sent_lost,
        sent_jitter_ms=max(before.sent_jitter_ms, more.sent_jitter_ms),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A provisional response to our INVITE, 100 included."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaUp:
    """Both ends agreed on the sound (RFC 3264), or agreed anew; on none, if the far end holds us."""

    early: bool
    """Sound flows before the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Established:
    """The INVITE was answered and acknowledged.

    `headers` holds the ``X-Trunkflow-`` headers of the 2xx (names in lower case).
    """

    dialog: DialogFacts
    headers: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Digit:
    """A DTMF digit of the far end, by RFC 4733 or SIP INFO."""

    digit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """The leg has ended.  `status` is the final response of its INVITE, `remote` says that the far
    end did it."""

    status: int
    reason: str
    remote: bool
    sip_call_id: str
    media: MediaStats | None


LegEvent = Progress | MediaUp | Established | Digit | Gone


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWritten:
    """A closed WAV file."""

    seconds: float
    size: int


class Playback(Protocol):
    """A file that is played to a leg.  Whoever makes one stops it, however far `start` came."""

    async def start(self) -> None: ...

    async def finished(self) -> None:
        """Returns when the file has been played to its end."""
        ...

    async def stop(self) -> None:
        """Ends it and gives back what it holds; may be called twice."""
        ...


class FileWriter(Protocol):
    """A WAV file for what a leg says, or says and hears.

    Whoever makes one stops it, however far `start` came.
    """

    async def start(self) -> None: ...

    async def silent(self, seconds: float) -> None:
        """Returns once nothing above the noise was heard for this long."""
        ...

    async def stop(self) -> FileWritten:
        """Closes the file.  Raises MediaError when there is none, or it cannot be read."""
        ...


class Ear(Protocol):
    """What a leg says, as it comes.  Whoever makes one stops it, however far `start` came."""

    @property
    def rate(self) -> int:
        """Samples per second."""
        ...

    async def start(self) -> None: ...

    async def heard(self) -> bytes:
        """What came since the last time, 16-bit mono; waits until there is something."""
        ...

    async def stop(self) -> None: ...


class MediaLeg(Protocol):
    """One SIP dialog with its sound.  Everything but `hangup` raises MediaError once the leg is gone."""

    async def invite(self, target: str, *, caller_id: str, srtp: SrtpPolicy) -> None:
        """Sends the INVITE of a leg that `MediaEngine.leg` made; returns when it is on its way.

        It offers no encryption, both, or nothing else, as `srtp` says.
        """
        ...

    async def ring(self) -> None:
        """180."""
        ...

    async def early(self) -> None:
        """183 with SDP."""
        ...

    async def answer(self) -> None:
        """200 with SDP."""
        ...

    async def reject(self, status: int, reason: str) -> None: ...

    async def hangup(self) -> None:
        """BYE, CANCEL or 603, whatever the leg's state asks for."""
        ...

    def playback(self, path: str) -> Playback: ...

    def writer(self, path: str, *, whole: bool = False) -> FileWriter:
        """For what the leg says; with `whole`, also for what it hears: sounds, tones, connected legs."""
        ...

    def ear(self) -> Ear: ...

    async def connect(self, other: MediaLeg) -> None:
        """Sound both ways, kept through re-INVITEs of either."""
        ...

    async def hold(self) -> None:
        """Re-INVITE with ``sendonly`` (RFC 3264 section 8.4): the far end hears nothing and is not heard.

        Returns when the far end has agreed; raises MediaError when it does not.
        """
        ...

    async def unhold(self) -> None:
        """Re-INVITE with ``sendrecv``; otherwise like `hold`."""
        ...

    async def send_digit(self, digit: str, seconds: float = DIGIT_SECONDS) -> None:
        """By RFC 4733; returns when it has begun."""
        ...

    async def ringback(self, on: bool) -> None:
        """The local ringing tone, for a caller who has been answered already."""
        ...


EventSink = Callable[[LegEvent], None]


class Arrival(Protocol):
    """Hears of an INVITE."""

    def __call__(self, leg: MediaLeg, user: str) -> EventSink | None:
        """`user` is that of the Request-URI.  Returns where the leg's events go; None refuses it (404)."""
        ...


class MediaEngine(Protocol):
    """The media stack of one process."""

    @property
    def address(self) -> tuple[str, int]:
        """SIP address on loopback."""
        ...

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Ends what is left and the stack with it."""
        ...

    def leg(self, sink: EventSink) -> MediaLeg:
        """A leg that calls nobody yet; its events will go to `sink`."""
        ...
