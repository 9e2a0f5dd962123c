"""The media stack of one process: one pjsua2 endpoint, one account, its legs."""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import replace
from typing import NoReturn

import pjsua2 as pj

from sip_config.model import SrtpPolicy
from voice.media.pj.dialog import request_user
from voice.media.pj.endpoint import answering_account, boot, create_quietly, destroy, placing_account
from voice.media.pj.leg import PjLeg
from voice.media.pj.thread import PjThread
from voice.media.seam import Arrival, EventSink, MediaLeg, MediaSettings
from voice.media.srtp import USUAL_SRTP

log = logging.getLogger(__name__)

PROBE_LEGS = 64
"""As many legs as `probe_legs` asks of the build."""


class _Account(pj.Account):  # type: ignore[misc]  # pjsua2 has no types
    def __init__(self, engine: PjEngine) -> None:
        super().__init__()
        self._engine = engine

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:
        self._engine.on_invite(self, prm.callId, prm.rdata.wholeMsg)


class PjEngine:
    """A `MediaEngine` over pjsua2."""

    def __init__(self, settings: MediaSettings, arrival: Arrival) -> None:
        self.settings = settings
        self.events = asyncio.get_running_loop()
        self._arrival = arrival
        self._thread = PjThread()
        self._accounts: list[_Account] = []
        self._placing: dict[SrtpPolicy, _Account] = {}
        self._legs: set[PjLeg] = set()
        self._address = ("", 0)

    @property
    def address(self) -> tuple[str, int]:
        return self._address

    async def start(self) -> None:
        self._address = await self._thread.start(self._boot)

    def _boot(self, endpoint: pj.Endpoint) -> tuple[str, int]:
        address = boot(endpoint, self.settings)
        # The stack gives an INVITE to the account that its To names, and any other to the first.
        for policy in sorted(SrtpPolicy, key=lambda one: one is not USUAL_SRTP):
            self._open(answering_account(self.settings, policy))
        for policy in SrtpPolicy:
            self._placing[policy] = self._open(placing_account(self.settings, policy))
        return address

    def _open(self, config: pj.AccountConfig) -> _Account:
        account = _Account(self)
        self._accounts.append(account)
        account.create(config)
        return account

    async def stop(self) -> None:
        def work() -> None:
            for leg in tuple(self._legs):
                leg.hang_up_now()
            while self._accounts:
                destroy(self._accounts.pop())
            self._placing.clear()

        self._thread.post(work)
        await self._thread.stop()

    def leg(self, sink: EventSink) -> MediaLeg:
        leg = PjLeg(self, self._thread)
        leg.listen(sink)
        return leg

    def place(self, leg: PjLeg, target: str, caller_id: str, srtp: SrtpPolicy) -> None:
        """In the pjsua2 thread: sends the leg's INVITE."""
        leg.place(self._placing[srtp], target, f"sip:{caller_id}@{self.settings.from_host}")
        self._legs.add(leg)

    def on_invite(self, account: pj.Account, call_id: int, message: str) -> None:
        """In the pjsua2 thread."""
        leg = PjLeg(self, self._thread)
        leg.adopt(account, call_id, message)
        self._legs.add(leg)
        self.events.call_soon_threadsafe(self._arrived, leg, request_user(message))

    def _arrived(self, leg: PjLeg, user: str) -> None:
        sink = self._arrival(leg, user)
        if sink is None:
            log.warning("refused an INVITE for %r: this process was not told of such a call", user)
            self._thread.post(lambda: leg.refuse_now(404, "Not Found"))
        else:
            leg.listen(sink)

    def forget(self, leg: PjLeg) -> None:
        """In the pjsua2 thread: the leg has ended."""
        self._legs.discard(leg)


def probe_legs(settings: MediaSettings) -> int:
    """How many legs this build of pjsua2 carries in one process.

    PJSUA_MAX_CALLS is compiled in and told nowhere.  It is tried out in a forked child, which places
    calls to itself until the library refuses.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _count_legs(settings, writing)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    if not text:
        raise RuntimeError("pjsua2 did not start in a forked process; see its messages above")
    return int(text)


def _count_legs(settings: MediaSettings, answer: int) -> NoReturn:
    endpoint = create_quietly()
    wide = replace(settings, legs=PROBE_LEGS, rtp_port=0, rtp_ports=2)
    _, port = boot(endpoint, wide, log_level=0)
    account = pj.Account()
    account.create(placing_account(wide, USUAL_SRTP))
    calls: list[pj.Call] = []
    while len(calls) < PROBE_LEGS:
        call = pj.Call(account)
        param = pj.CallOpParam(True)
        param.opt.videoCount = 0
        try:
            call.makeCall(f"sip:probe@127.0.0.1:{port}", param)
        except pj.Error:
            break
        calls.append(call)
    os.write(answer, str(len(calls)).encode())
    # Nothing of the library is torn down: this process is only a measuring instrument.
    os._exit(0)
