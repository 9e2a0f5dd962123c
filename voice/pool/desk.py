"""Answers what call processes ask: sounds, callflows, places to record, tickets to dial."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from callflows.model import Utterance
from callflows.ports import Prompt, RecordingPlace, Unavailable
from voice.pool.orders import CallOrder, DialDesk
from voice.pool.wire import (
    Got,
    Want,
    WantBeep,
    WantFlow,
    WantMedia,
    WantPlace,
    WantSpeech,
    WantTicket,
    WantTranscription,
    wanted_speech,
)
from voice.pool.worker import RunningCall
from voice.records import Journal, RecordingStarted
from voice.store.errors import StoreError

log = logging.getLogger(__name__)


class SoundSource(Protocol):
    """`voice.speech`'s library, as the desk sees it.  Each raises Unavailable."""

    async def speech(self, utterance: Utterance) -> Prompt: ...

    async def media(self, source: str, account_id: str) -> Prompt: ...

    async def beep(self) -> Prompt: ...


class FlowSource(Protocol):
    """Where dynamic callflows come from.  Both return the checked document, as canonical XML, and raise
    Unavailable."""

    async def fetch(self, url: str, order: CallOrder, variables: Mapping[str, str]) -> str:
        """What this URL has for the call."""
        ...

    async def finished(
        self, url: str, recording_id: str, order: CallOrder, variables: Mapping[str, str]
    ) -> str:
        """What this URL answers when the recording is posted to it."""
        ...


class TranscriptionDesk(Protocol):
    """Who turns recordings into text."""

    async def want(self, recording_id: str, leg_id: str, language: str, order: CallOrder) -> None:
        """Once this returns it will be done.  Raises Unavailable."""
        ...


class OutgoingCalls(Protocol):
    """The queue of calls that the node places.  Raises StoreError when it cannot be asked."""

    async def dialled(self, call_id: str, leg_id: str) -> bool:
        """Once True, the call is for good marked as dialled under this claim; False: nobody may dial it."""
        ...

    async def has_legs(self, call_id: str) -> bool:
        """Whether a leg of the call was ever started."""
        ...

    def over(self, call_id: str) -> None:
        """The call has ended, or its process knows of none."""
        ...


class Desk:
    """One for all call processes of a node."""

    def __init__(
        self,
        sounds: SoundSource,
        flows: FlowSource,
        transcriptions: TranscriptionDesk,
        outgoing: OutgoingCalls,
        recordings: Path,
        journal: Journal,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sounds = sounds
        self._flows = flows
        self._transcriptions = transcriptions
        self._outgoing = outgoing
        self._recordings = recordings
        self._journal = journal
        self._clock = clock

    async def answer(self, ask_id: int, call: RunningCall, want: Want, dial_desk: DialDesk) -> Got:
        """What the process gets; a refusal is an answer too."""
        try:
            match want:
                case WantSpeech():
                    return Got(id=ask_id, prompt=await self._sounds.speech(wanted_speech(want)))
                case WantMedia():
                    return Got(id=ask_id, prompt=await self._sounds.media(want.source, call.order.account_id))
                case WantBeep():
                    return Got(id=ask_id, prompt=await self._sounds.beep())
                case WantFlow():
                    return Got(id=ask_id, text=await self._flow(want, call.order))
                case WantPlace():
                    return Got(id=ask_id, place=self._place(call, want.kind, want.leg_id))
                case WantTicket():
                    if not await self._may_dial(want, call.order):
                        call.void = True
                        return Got(id=ask_id, error="another process has the call, or it is over", void=True)
                    # By which gateways, and on whose account, is not for the process to say.
                    order = call.order
                    plan = replace(
                        want.plan, call_id=order.call_id, account_id=order.account_id, srtp=order.srtp
                    )
                    return Got(id=ask_id, ticket=dial_desk.file(plan))
                case WantTranscription():
                    await self._transcriptions.want(want.recording_id, want.leg_id, want.language, call.order)
                    return Got(id=ask_id)
        except Unavailable as reason:
            return Got(id=ask_id, error=str(reason))
        except StoreError as fault:
            return Got(id=ask_id, error=str(fault))
        except OSError as error:
            return Got(id=ask_id, error=f"{error.strerror}: {error.filename}; see to the disk of the node")
        except Exception:
            # Whoever asked would wait for ever.
            log.exception("a bug kept call %s from its %s", call.order.call_id, type(want).__name__)
            return Got(id=ask_id, error="an internal error of the node; its log says more")

    def call_over(self, order: CallOrder) -> None:
        """A call has ended, and that is on record."""
        if order.outbound is not None:
            self._outgoing.over(order.call_id)

    async def _flow(self, want: WantFlow, order: CallOrder) -> str:
        if want.recording_id is None:
            return await self._flows.fetch(want.url, order, want.variables)
        return await self._flows.finished(want.url, want.recording_id, order, want.variables)

    async def _may_dial(self, want: WantTicket, order: CallOrder) -> bool:
        """Whether the claim holds that the first leg of an outgoing call is dialled under.

        Raises Unavailable when it must not be dialled once more.
        """
        if order.outbound is None or want.plan.leg_id != order.leg_id:
            return True
        if want.again and await self._outgoing.has_legs(order.call_id):
            raise Unavailable("the node was restarted, and somebody may have been called: not once more")
        return await self._outgoing.dialled(order.call_id, order.leg_id)

    def _place(self, call: RunningCall, kind: str, leg_id: str | None) -> RecordingPlace:
        now = self._clock()
        day = time.strftime("%Y-%m-%d", time.gmtime(now))
        folder = self._recordings / call.order.account_id / day
        # Each level by itself: `parents` would make those above with everybody's permissions.
        for level in (self._recordings, folder.parent, folder):
            level.mkdir(mode=0o700, exist_ok=True)
        recording_id = str(uuid.uuid4())
        path = folder / f"{recording_id}.wav"
        call.recordings[recording_id] = path
        self._journal.write(
            RecordingStarted(
                recording_id=recording_id,
                call_id=call.order.call_id,
                leg_id=leg_id or call.order.leg_id,
                at=now,
                path=str(path),
                kind=kind,
            )
        )
        return RecordingPlace(id=recording_id, path=str(path))
