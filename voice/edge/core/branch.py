"""One attempt to reach one target: the client side of a relayed INVITE."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING

from voice.edge.core.best import Final
from voice.edge.core.crossing import Passage
from voice.edge.core.doors import INSIDE
from voice.edge.core.kernel import Alarm
from voice.edge.core.legs import Leg
from voice.edge.core.sdp_policy import Breach
from voice.edge.core.targets import Hop, Target
from voice.sip.builders import make_cancel
from voice.sip.flow import Flow
from voice.sip.message import Request, Response
from voice.sip.transactions import ClientTransaction

if TYPE_CHECKING:
    from voice.edge.core.invite import Invite


MEDIA_REFUSALS = (415, 488, 606)
"""Of an offer of encrypted sound (RFC 3261 section 21.4.26)."""


class Waiting(Enum):
    """What a branch waits for, and so what its alarm means."""

    ADDRESS = "address"
    ANY_RESPONSE = "any response"
    """The hop's patience; then the next hop."""
    RINGING = "ringing"
    """Then the next hop."""
    FINAL = "final response"
    """Timer C (RFC 3261 section 16.8)."""
    CANCELLED = "the end after CANCEL"
    """64*T1 (section 9.1)."""
    NOTHING = "nothing"
    """Over, for all that the caller will hear of it."""


class Branch:
    """An attempt by one hop, from its request to its final response."""

    __slots__ = (
        "_last",
        "_ringing",
        "alarm",
        "began",
        "challenged",
        "client",
        "datagram",
        "end_as",
        "flows",
        "hop",
        "invite",
        "leg",
        "passage",
        "target",
        "unfit",
        "waiting",
        "wants_cancel",
    )

    def __init__(
        self, invite: Invite, target: Target, hop: Hop, leg: Leg | None, began: float | None = None
    ) -> None:
        self.invite = invite
        self.began = began
        """When the first INVITE went to the gateway, be it to another of its addresses."""
        self.target = target
        self.hop = hop
        self.leg = leg
        self.flows: Sequence[Flow] = ()
        """Further addresses of the hop (RFC 3263 section 4.3)."""
        self.datagram: Flow | None = None
        """Where the request goes if the peer takes no TCP, to which it was moved for its length."""
        self.client: ClientTransaction | None = None
        self.passage: Passage | None = None
        self.waiting = Waiting.ADDRESS
        self.unfit = False
        """It answered with a description that may not pass."""
        self.challenged = 0
        """How often a challenge was answered."""
        self._ringing: float | None = None
        """Until when it has to ring; None: it has rung, or need not."""
        self._last: float | None = None
        """Until when it has to be answered; None: as long as timer C."""
        self.wants_cancel = False
        """CANCEL follows the first provisional response (section 9.1)."""
        self.end_as: Final | None = None
        """What the branch counts as when it ends, whatever the response says."""
        self.alarm = Alarm(invite.kernel, self._alarmed)

    @property
    def over(self) -> bool:
        return self.waiting is Waiting.NOTHING

    def send(
        self, request: Request, branch: str, passage: Passage, data: bytes, flow: Flow, now: float
    ) -> None:
        """Sends the INVITE, the first time or anew after a challenge."""
        kernel = self.invite.kernel
        self.passage = passage
        if self.client is None and self.hop.gateway is not None:
            options = self.hop.gateway.options
            began = self.began = now if self.began is None else self.began
            self._ringing = None if options.ringing_seconds is None else began + options.ringing_seconds
            self._last = None if options.total_seconds is None else began + options.total_seconds
        elif self.hop.pop is not None:
            # Until it rings there, the call can be moved when the POP is found to be down.
            self._ringing = now + kernel.settings.timer_c
        self.client = kernel.layer.begin_client(request, branch, flow, now, data)
        self.client.owner = self
        if self.hop.patience is not None:
            self._wait(Waiting.ANY_RESPONSE, now + self.hop.patience)
        else:
            self._wait_on(now)

    def transaction_over(self) -> None:
        self.invite.transaction_over()

    def unreadable(self, client: ClientTransaction, response: Response, problem: str, now: float) -> None:
        """A response came that cannot be passed on; after a final one nothing else will come."""
        if client is not self.client:
            return
        if response.status < 200:
            self.heard(response, now)
        else:
            self.invite.branch_failed(self, self.end_as or Final.local(502, problem), now)

    def heard(self, response: Response, now: float) -> None:
        """A provisional response came."""
        if self.wants_cancel:
            self._send_cancel(now)
            return
        if response.status > 100:
            self._ringing = None
        waits = self.waiting in (Waiting.ANY_RESPONSE, Waiting.RINGING)
        if waits or (self.waiting is Waiting.FINAL and response.status > 100):
            self._wait_on(now)

    def cancel(self, end_as: Final, now: float) -> None:
        """Gives the branch up: at once when it never heard anything, else when CANCEL has worked."""
        if self.over or self.waiting is Waiting.CANCELLED:
            return
        self.end_as = end_as
        client = self.client
        if client is None or not client.waiting:
            self.finish()
        elif client.heard_provisional:
            self._send_cancel(now)
        elif client.flow.local == INSIDE:
            # A call process answers at once or not at all; it must hear of the end in either case.
            self.wants_cancel = True
            self._wait(Waiting.CANCELLED, now + 64 * self.invite.kernel.settings.timing.t1)
        else:
            self.wants_cancel = True
            client.abandon(now)
            self.finish()

    def wants_other_media(self, status: int) -> bool:
        """Whether it is over because of how the sound is encrypted: another gateway may like it better."""
        if self.unfit:
            return True
        exchange = self.passage.exchange if self.passage is not None and self.leg is not None else None
        return status in MEDIA_REFUSALS and exchange is not None and exchange.secure

    def breach(self, response: Response) -> Breach | None:
        """What may not pass of the description that a response brings.

        Asked of gateways and whoever is dialled, not of re-INVITEs: a call that stands is not ours to end.
        """
        exchange = self.passage.exchange if self.passage is not None and self.leg is not None else None
        return None if exchange is None else exchange.wrong(response)

    def withdraw(self, now: float) -> None:
        """Sends CANCEL for a branch that is over already; nothing that comes of it matters."""
        if self.client is not None and self.client.waiting:
            self._send_cancel(now)

    def lost(self, why: str, now: float) -> None:
        """The hop is known to be gone: the next one is tried, unless the call has rung there."""
        if self.waiting in (Waiting.ANY_RESPONSE, Waiting.RINGING):
            self._move_on(why, now)

    def _move_on(self, why: str, now: float) -> None:
        """Leaves the hop to itself for the next one; what it does all the same is still heard."""
        client = self.client
        assert client is not None
        heard = client.heard_provisional
        if not heard:
            self.wants_cancel = True
            client.abandon(now)
        self.invite.branch_failed(self, Final.local(408, why), now)
        if heard:
            self._send_cancel(now)

    def finish(self) -> None:
        self.alarm.stop()
        self.waiting = Waiting.NOTHING

    def _send_cancel(self, now: float) -> None:
        client = self.client
        assert client is not None
        self.wants_cancel = False
        kernel = self.invite.kernel
        kernel.layer.begin_client(make_cancel(client.request), str(client.key[0]), client.flow, now)
        until = now + 64 * kernel.settings.timing.t1
        if self.over:
            Alarm(kernel, client.forget).set(until)
        else:
            self._wait(Waiting.CANCELLED, until)

    def _wait_on(self, now: float) -> None:
        """Waits for ringing first, where that may not take long."""
        if self._ringing is not None:
            self._wait(Waiting.RINGING, self._ringing)
        else:
            self._wait(Waiting.FINAL, now + self.invite.kernel.settings.timer_c)

    def _wait(self, waiting: Waiting, until: float) -> None:
        self.waiting = waiting
        limits: tuple[float | None, ...] = ()
        if waiting is Waiting.ANY_RESPONSE:
            limits = self._ringing, self._last
        elif waiting is not Waiting.CANCELLED:
            limits = (self._last,)
        self.alarm.set(min((until, *(limit for limit in limits if limit is not None))))

    def _out_of_time(self, now: float) -> bool:
        """Whether its gateway had all the time that it may have: no other address of it is tried."""
        over = any(limit is not None and now >= limit for limit in (self._ringing, self._last))
        if over:
            self.flows = ()
        return over

    def _alarmed(self, now: float) -> None:
        client = self.client
        late = self._out_of_time(now)
        match self.waiting:
            case Waiting.ANY_RESPONSE:
                self.invite.gateway_failed(self, "no response", now)
                self._move_on("No response from the next hop", now)
            case Waiting.RINGING:
                self._move_on("The gateway did not ring in time", now)
            case Waiting.FINAL if late:
                self._move_on("The gateway did not answer in time", now)
            case Waiting.FINAL if client is not None and client.heard_provisional:
                self.end_as = Final.local(408, "Nobody answered in time")
                self._send_cancel(now)
            case Waiting.FINAL:
                self.invite.branch_failed(self, Final.local(408), now)
            case Waiting.CANCELLED:
                assert client is not None
                client.forget(now)
                self.invite.branch_failed(self, self.end_as or Final.local(487), now)
            case Waiting.ADDRESS | Waiting.NOTHING:
                pass
