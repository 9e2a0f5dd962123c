"""Calls of test keys: run in simulation, with the records that a real call leaves, and no SIP.

The callflow runs on virtual time, so a call of a minute is over at once; the times on record are those
that it would have had.  Customers' web servers are asked in earnest: no money depends on it, and it is what
a developer wants to try.  Four numbers of the simulated network do not just answer: see `FATES`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
import uuid
import wave
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from callflows.canonical import parse_document
from callflows.faults import DocumentFaults
from callflows.ports import Unavailable
from callflows.simulator import Script, SimulatedCall, Transcript, VirtualTimeLoop
from voice.objects import recording_object
from voice.records import (
    CallChanged,
    CallEnded,
    CallStatus,
    Direction,
    Journal,
    LegChanged,
    LegStarted,
    LegStatus,
    RecordingDone,
    RecordingStarted,
    StepFinished,
    StepStarted,
)
from voice.store.outbound import OutboundCall
from voice.webhooks.flows import FlowFetcher, FlowQuestion

RING_SECONDS: Final = 2.0
TALK_SECONDS: Final = 60.0
"""After which the simulated callee hangs up."""
ANNOUNCEMENT_SECONDS: Final = 6.0
"""How long a simulated answering machine speaks."""
LONGEST_FILE: Final = 10.0
"""Seconds of silence that are written for a recording, however long it would have been."""
FETCH_SECONDS: Final = 30.0
_RATE: Final = 8000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """How a number of the simulated network takes a call: refused with a status, or by a machine."""

    sip_status: int = 200
    sip_reason: str = "OK"
    machine: bool = False
    leg: LegStatus = LegStatus.ONGOING
    call: CallStatus = CallStatus.ONGOING


FATES: Final[Mapping[str, Fate]] = {
    "+31600000001": Fate(sip_status=486, sip_reason="Busy Here", leg=LegStatus.BUSY, call=CallStatus.BUSY),
    "+31600000002": Fate(
        sip_status=480,
        sip_reason="Temporarily Unavailable",
        leg=LegStatus.NO_ANSWER,
        call=CallStatus.NO_ANSWER,
    ),
    "+31600000003": Fate(
        sip_status=503, sip_reason="Service Unavailable", leg=LegStatus.FAILED, call=CallStatus.FAILED
    ),
    "+31600000004": Fate(machine=True),
}
ANSWERED: Final = Fate()


class Rehearsal:
    """Runs simulated calls (`voice.outbound.Rehearse`)."""

    def __init__(
        self,
        journal: Journal,
        recordings: Path,
        fetcher: FlowFetcher,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._journal = journal
        self._recordings = recordings
        self._fetcher = fetcher
        self._clock = clock

    async def __call__(self, call: OutboundCall) -> None:
        """From the first INVITE that is not sent to the end that is put on record."""
        fate = FATES.get(call.destination, ANSWERED)
        at = self._clock()
        write = self._journal.write
        write(CallChanged(call_id=call.call_id, at=at, status=CallStatus.STARTING))
        write(
            LegStarted(
                leg_id=call.leg_id,
                call_id=call.call_id,
                at=at,
                direction=Direction.OUTGOING,
                source=call.source,
                destination=call.destination,
            )
        )
        self._leg(call, at, LegStatus.RINGING, 180, "Ringing")
        at += call.ring_seconds if fate.call is CallStatus.NO_ANSWER else RING_SECONDS
        self._leg(call, at, fate.leg, fate.sip_status, fate.sip_reason)
        if fate.leg is not LegStatus.ONGOING:
            reason = f"Not answered: {fate.sip_status} {fate.sip_reason} (simulated)."
            write(CallEnded(call_id=call.call_id, at=at, status=fate.call, reason=reason))
            return
        write(CallChanged(call_id=call.call_id, at=at, status=CallStatus.ONGOING))
        try:
            played = await self._played(call, fate)
        except (Unavailable, DocumentFaults) as problem:
            self._leg(call, at, LegStatus.HANGUP)
            reason = f"There was no callflow to run: {problem}"
            write(CallEnded(call_id=call.call_id, at=at, status=CallStatus.FAILED, reason=reason))
            return
        await self._record(call, played, at)
        ended = at + played.transcript.seconds
        self._leg(call, ended, LegStatus.HANGUP)
        write(
            CallEnded(
                call_id=call.call_id,
                at=ended,
                status=CallStatus.ENDED,
                reason=played.transcript.ending.reason,
            )
        )

    def _leg(
        self,
        call: OutboundCall,
        at: float,
        status: LegStatus,
        sip_status: int | None = None,
        sip_reason: str | None = None,
    ) -> None:
        self._journal.write(
            LegChanged(
                leg_id=call.leg_id,
                call_id=call.call_id,
                at=at,
                status=status,
                sip_status=sip_status,
                sip_reason=sip_reason,
            )
        )

    async def _played(self, call: OutboundCall, fate: Fate) -> _Played:
        """The callflow, run.  Raises Unavailable and DocumentFaults when there is none."""
        document = call.document
        if document is None:
            if call.callflow_url is None:
                raise Unavailable("the call names neither a callflow nor a URL")
            document = await self._fetcher.fetch(call.callflow_url, _question(call, {}))
        flow = parse_document(document)
        script = Script(
            outgoing=True,
            machine=fate.machine,
            announces=ANNOUNCEMENT_SECONDS if fate.machine else 0.0,
            hangs_up_at=min(TALK_SECONDS, call.max_seconds),
            max_seconds=call.max_seconds,
        )
        flows = _CustomersFlows(self._fetcher, call, asyncio.get_running_loop())

        def play() -> Transcript:
            with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
                return runner.run(_run(flow, script, flows))

        return _Played(transcript=await asyncio.to_thread(play), ids=flows.ids)

    async def _record(self, call: OutboundCall, played: _Played, at: float) -> None:
        """Steps and recordings, as a call process tells them."""
        for step in sorted(played.transcript.steps, key=lambda step: step.seq):
            began = StepStarted(
                call_id=call.call_id,
                at=at + step.started,
                seq=step.seq,
                step_id=step.step_id,
                action=step.action,
            )
            self._journal.write(began)
            self._journal.write(
                StepFinished(
                    call_id=call.call_id,
                    at=began.at + step.seconds,
                    seq=step.seq,
                    step_id=step.step_id,
                    action=step.action,
                    outcome=step.outcome,
                    detail=step.detail,
                    seconds=step.seconds,
                )
            )
        for made in played.transcript.recordings:
            recording_id = played.ids.setdefault(made.id, str(uuid.uuid4()))
            folder = self._recordings / call.account_id / "simulated"
            path = folder / f"{recording_id}.wav"
            seconds = min(made.seconds, LONGEST_FILE)
            size = await asyncio.to_thread(_write_silence, path, seconds)
            self._journal.write(
                RecordingStarted(
                    recording_id=recording_id,
                    call_id=call.call_id,
                    leg_id=call.leg_id,
                    at=at + made.started,
                    path=str(path),
                    kind=made.kind,
                )
            )
            self._journal.write(
                RecordingDone(
                    recording_id=recording_id,
                    call_id=call.call_id,
                    at=at + made.started + made.seconds,
                    seconds=seconds,
                    size=size,
                    status="done" if made.ok else "failed",
                )
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Played:
    transcript: Transcript
    ids: dict[str, str]
    """Ids of recordings, by what the simulator calls them."""


async def _run(flow: Any, script: Script, flows: _CustomersFlows) -> Transcript:
    return await SimulatedCall(flow, script, flows).run()


class _CustomersFlows:
    """A `callflows.ports.Flows` that asks the customer's server, in the loop of the node.

    The simulated call waits meanwhile without its time passing: its loop is a thread of its own.
    """

    def __init__(self, fetcher: FlowFetcher, call: OutboundCall, loop: asyncio.AbstractEventLoop) -> None:
        self._fetcher = fetcher
        self._call = call
        self._loop = loop
        self.ids: dict[str, str] = {}

    async def fetch(self, url: str, variables: Mapping[str, str]) -> str:
        return self._asked(self._fetcher.fetch(url, _question(self._call, variables)))

    async def finished(self, url: str, recording_id: str, variables: Mapping[str, str]) -> str:
        own_id = self.ids.setdefault(recording_id, str(uuid.uuid4()))
        recording = recording_object(
            {
                "id": own_id,
                "leg_id": self._call.leg_id,
                "call_id": self._call.call_id,
                "status": "done",
                "kind": "ivr",
                "seconds": 1.0,
                "started_at": self._call.created_at,
                "updated_at": None,
                "ended_at": None,
                "deleted_at": None,
            }
        )
        return self._asked(self._fetcher.finished(url, recording, _question(self._call, variables)))

    def _asked(self, question: Any) -> str:
        asked: concurrent.futures.Future[str] = asyncio.run_coroutine_threadsafe(question, self._loop)
        try:
            return asked.result(FETCH_SECONDS)
        except TimeoutError:
            asked.cancel()
            raise Unavailable("the customer's server did not answer in time") from None


def _question(call: OutboundCall, variables: Mapping[str, str]) -> FlowQuestion:
    return FlowQuestion(
        call_id=call.call_id,
        source=call.source,
        destination=call.destination,
        variables=variables,
        account_id=call.account_id,
    )


def _write_silence(path: Path, seconds: float) -> int:
    for folder in (path.parent.parent.parent, path.parent.parent, path.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes(bytes(2 * int(seconds * _RATE)))
    return path.stat().st_size
