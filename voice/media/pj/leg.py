"""One leg: a pjsua2 call, what is joined to its sound, and the events it hands over.

Everything marked "in the pjsua2 thread" runs there; the coroutines run in the event loop and cross
over with `PjThread.run`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import pjsua2 as pj

from sip_config.model import SrtpPolicy
from voice.media.pj.audio import PjFileWriter, PjPlayback, Ringback
from voice.media.pj.dialog import facts_as_callee, facts_as_caller, our_headers
from voice.media.pj.ear import PjEar
from voice.media.pj.endpoint import destroy
from voice.media.pj.mix import Mix
from voice.media.pj.reinvite import Reinvites
from voice.media.seam import (
    DIGIT_SECONDS,
    DialogFacts,
    Digit,
    Ear,
    Established,
    EventSink,
    FileWriter,
    Gone,
    LegEvent,
    MediaError,
    MediaLeg,
    MediaStats,
    MediaUp,
    Playback,
    Progress,
    added,
)

if TYPE_CHECKING:
    from voice.media.pj.engine import PjEngine
    from voice.media.pj.thread import PjThread

log = logging.getLogger(__name__)

DECLINE = 603
"""Whom a caller reaches is for its callflow to say, not for REFER (RFC 3515) or Replaces (RFC 3891)."""

RESPONSE_SECONDS = 1.0
"""How long a hangup waits for the first response to the INVITE: the next hop is the edge, over loopback."""


class _Call(pj.Call):  # type: ignore[misc]  # pjsua2 has no types
    """Hands each callback to the leg, and nothing else."""

    def __init__(self, leg: PjLeg, account: pj.Account, call_id: int) -> None:
        super().__init__(account, call_id)
        self._leg = leg

    def onCallState(self, prm: pj.OnCallStateParam) -> None:
        self._leg.on_state(prm)

    def onCallMediaState(self, prm: pj.OnCallMediaStateParam) -> None:
        self._leg.on_media()

    def onCallTsxState(self, prm: pj.OnCallTsxStateParam) -> None:
        self._leg.on_transaction(prm.e.body.tsxState.tsx)

    def onStreamDestroyed(self, prm: pj.OnStreamDestroyedParam) -> None:
        self._leg.on_stream_end(prm.streamIdx)

    def onCallTransferRequest(self, prm: pj.OnCallTransferRequestParam) -> None:
        # Left alone, the stack would call the URI of a REFER by itself, past the edge and what it allows.
        prm.statusCode = DECLINE

    def onCallReplaceRequest(self, prm: pj.OnCallReplaceRequestParam) -> None:
        # Left alone, the stack would answer the new call and nobody would run it.
        prm.statusCode = DECLINE

    def onDtmfDigit(self, prm: pj.OnDtmfDigitParam) -> None:
        # Comes from a media thread: a digit is only handed over.
        self._leg.emit(Digit(digit=prm.digit.upper()))


class PjLeg:
    """A `MediaLeg` over pjsua2."""

    def __init__(self, engine: PjEngine, thread: PjThread) -> None:
        self.thread = thread
        self._engine = engine
        self._events = engine.events
        self._sink: EventSink | None = None
        self._call: _Call | None = None
        self.mix = Mix()
        self._reinvites = Reinvites(self, engine.events)
        self._ringback = Ringback(self)
        self._invite = ""
        self._answer_headers: dict[str, str] = {}
        self._hung_up = False
        self._heard = asyncio.Event()
        """Set, unless an INVITE of ours waits for its first response."""
        self._heard.set()
        self._statistics: MediaStats | None = None

    # -- the pjsua2 thread's side ------------------------------------------------------------

    def adopt(self, account: pj.Account, call_id: int, invite: str) -> None:
        """Takes an INVITE that came in.  In the pjsua2 thread."""
        self._invite = invite
        self._call = _Call(self, account, call_id)

    def place(self, account: pj.Account, target: str, from_uri: str) -> None:
        """Sends an INVITE.  In the pjsua2 thread; raises pj.Error."""
        self._call = _Call(self, account, pj.PJSUA_INVALID_ID)
        param = pj.CallOpParam(True)
        param.opt.videoCount = 0
        param.txOption.localUri = from_uri
        try:
            self._call.makeCall(target, param)
        except pj.Error:
            self._release()
            raise

    def on_state(self, prm: pj.OnCallStateParam) -> None:
        """In the pjsua2 thread."""
        call = self._call
        if call is None:
            return
        info = call.getInfo()
        outgoing = info.role == pj.PJSIP_ROLE_UAC
        if info.state == pj.PJSIP_INV_STATE_EARLY and outgoing:
            self.emit(Progress(status=info.lastStatusCode, reason=info.lastReason))
        elif info.state == pj.PJSIP_INV_STATE_CONNECTING and outgoing:
            self._answer_headers = our_headers(prm.e.body.tsxState.src.rdata.wholeMsg)
        elif info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            self.emit(Established(dialog=self._dialog(prm, outgoing), headers=self._answer_headers))
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            gone = Gone(
                status=info.lastStatusCode,
                reason=info.lastReason,
                remote=not self._hung_up,
                sip_call_id=info.callIdString,
                media=self._statistics,
            )
            # Here and now: the slot may be given to the next INVITE of the same poll, and a Call
            # freed later would hang that one up.
            self._release()
            self.emit(gone)

    def _dialog(self, prm: pj.OnCallStateParam, outgoing: bool) -> DialogFacts:
        if outgoing:
            return facts_as_caller(prm.e.body.txMsg.tdata.wholeMsg)
        return facts_as_callee(self._invite, prm.e.body.rxMsg.rdata.wholeMsg)

    def on_media(self) -> None:
        """In the pjsua2 thread: the sound began, or has another slot of the bridge after a re-INVITE."""
        call = self._call
        if call is None:
            return
        info = call.getInfo()  # held: its media are views into it
        for index, media in enumerate(info.media):
            if media.type == pj.PJMEDIA_TYPE_AUDIO and media.audioConfSlot >= 0:
                ours = media.status == pj.PJSUA_CALL_MEDIA_LOCAL_HOLD
                self.mix.moved(call.getAudioMedia(index), held=ours)
                # A 2xx has made the state another one by now.
                self.emit(MediaUp(early=info.state == pj.PJSIP_INV_STATE_EARLY))
                return
        # Inactive both ways: the slot that it had may be somebody else's soon.
        self.mix.moved(None, held=False)
        self.emit(MediaUp(early=False))

    def on_transaction(self, transaction: pj.SipTransaction) -> None:
        """In the pjsua2 thread."""
        if transaction.statusCode == 100 and transaction.method == "INVITE":
            self._trying(transaction)
        self._reinvites.on_transaction(transaction)

    def _trying(self, transaction: pj.SipTransaction) -> None:
        """100 changes no state of the call, but says that the next hop has the INVITE."""
        call = self._call
        if (
            call is not None
            and transaction.role == pj.PJSIP_ROLE_UAC
            and call.getInfo().state == pj.PJSIP_INV_STATE_CALLING
        ):
            self.emit(Progress(status=100, reason=transaction.statusText))

    def on_stream_end(self, index: int) -> None:
        """In the pjsua2 thread: the last moment at which a stream's statistics can be had."""
        call = self._call
        if call is None:
            return
        try:
            stream = call.getStreamInfo(index)
            statistics = call.getStreamStat(index)  # held: rtcp is a view into it
        except pj.Error as error:
            log.warning("no statistics of stream %d: %s", index, error.reason)
            return
        received, sent = statistics.rtcp.rxStat, statistics.rtcp.txStat
        self._statistics = added(
            self._statistics,
            MediaStats(
                codec=f"{stream.codecName}/{stream.codecClockRate}",
                received_packets=received.pkt,
                received_lost=received.loss,
                received_jitter_ms=received.jitterUsec.mean / 1000,
                sent_packets=sent.pkt,
                sent_lost=sent.loss,
                sent_jitter_ms=sent.jitterUsec.mean / 1000,
            ),
        )

    def _release(self) -> None:
        self.mix.end()
        self._reinvites.leg_gone()
        self._ringback.close()
        call, self._call = self._call, None
        if call is not None:
            self._engine.forget(self)
            destroy(call)

    def emit(self, event: LegEvent) -> None:
        """From any thread."""
        self._events.call_soon_threadsafe(self._deliver, event)

    # -- the event loop's side ---------------------------------------------------------------

    def listen(self, sink: EventSink) -> None:
        """Where events go; set before the first can come."""
        self._sink = sink

    def _deliver(self, event: LegEvent) -> None:
        self._heard.set()
        if self._sink is not None:
            self._sink(event)

    def _live(self) -> _Call:
        if self._call is None:
            raise MediaError("the leg is gone")
        return self._call

    async def invite(self, target: str, *, caller_id: str, srtp: SrtpPolicy) -> None:
        self._heard.clear()
        try:
            await self.thread.run(lambda: self._engine.place(self, target, caller_id, srtp))
        except MediaError:
            self._heard.set()
            raise

    async def ring(self) -> None:
        await self.thread.run(lambda: self._answer(180, "Ringing"))

    async def early(self) -> None:
        await self.thread.run(lambda: self._answer(183, "Session Progress"))

    async def answer(self) -> None:
        await self.thread.run(lambda: self._answer(200, "OK"))

    def _answer(self, status: int, reason: str) -> None:
        param = pj.CallOpParam()
        param.statusCode = status
        param.reason = reason
        self._live().answer(param)

    async def reject(self, status: int, reason: str) -> None:
        await self.thread.run(lambda: self.refuse_now(status, reason))

    def refuse_now(self, status: int, reason: str) -> None:
        """In the pjsua2 thread."""
        self._hung_up = True
        self._answer(status, reason)

    async def hangup(self) -> None:
        try:
            # CANCEL may follow the first response only (RFC 3261 section 9.1).  Hung up before, the stack
            # says that the call is over, and a process that leaves then never sends the CANCEL.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RESPONSE_SECONDS):
                    await self._heard.wait()
        finally:
            await self.thread.run(self.hang_up_now)

    def hang_up_now(self) -> None:
        """In the pjsua2 thread."""
        if self._call is not None:
            self._hung_up = True
            self._call.hangup(pj.CallOpParam())

    def playback(self, path: str) -> Playback:
        return PjPlayback(self, path)

    def writer(self, path: str, *, whole: bool = False) -> FileWriter:
        return PjFileWriter(self, path, self._engine.settings.clock_rate, whole=whole)

    def ear(self) -> Ear:
        return PjEar(self, self._engine.settings.clock_rate)

    async def opened(self, opening: Callable[[], None]) -> None:
        """Opens something that is joined to this leg, while there is a leg."""

        def work() -> None:
            self._live()
            opening()

        await self.thread.run(work)

    async def connect(self, other: MediaLeg) -> None:
        peer = _own(other)

        def work() -> None:
            self._live()
            peer._live()
            self.mix.add_peer(peer.mix)

        await self.thread.run(work)

    async def hold(self) -> None:
        await self._reinvites.send(
            lambda: self._live().setHold(pj.CallOpParam(True)), as_caller=not self._invite
        )

    async def unhold(self) -> None:
        def work() -> None:
            param = pj.CallOpParam(True)
            param.opt.videoCount = 0
            param.opt.flag = pj.PJSUA_CALL_UNHOLD
            self._live().reinvite(param)

        await self._reinvites.send(work, as_caller=not self._invite)

    async def send_digit(self, digit: str, seconds: float = DIGIT_SECONDS) -> None:
        def work() -> None:
            param = pj.CallSendDtmfParam()
            param.method = pj.PJSUA_DTMF_METHOD_RFC2833
            param.digits = digit
            param.duration = round(seconds * 1000)
            self._live().sendDtmf(param)

        await self.thread.run(work)

    async def ringback(self, on: bool) -> None:
        def work() -> None:
            self._ringback.close()
            if on:
                self._live()
                self._ringback.open(self._engine.settings.clock_rate)

        await self.thread.run(work)


def _own(leg: MediaLeg) -> PjLeg:
    if not isinstance(leg, PjLeg):
        raise TypeError(f"{leg!r} is no leg of this stack")
    return leg
