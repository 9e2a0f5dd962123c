"""Answers what call processes ask: sounds, callflows, places to record, tickets to dial."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
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
    wanted_speech,
)
from voice.pool.worker import RunningCall
from voice.records import Journal, RecordingStarted

log = logging.getLogger(__name__)


class SoundSource(Protocol):
    """`voice.speech`'s library, as the desk sees it.  Each raises Unavailable."""

    async def speech(self, utterance: Utterance) -> Prompt: ...

    async def media(self, source: str, account_id: str) -> Prompt: ...

    async def beep(self) -> Prompt: ...


class FlowSource(Protocol):
    """Where dynamic callflows come from."""

    async def fetch(self, url: str, order: CallOrder) -> str:
        """The checked document, as canonical XML.  Raises Unavailable."""
        ...


class Desk:
    """One for all call processes of a node."""

    def __init__(
        self,
        sounds: SoundSource,
        flows: FlowSource,
        recordings: Path,
        journal: Journal,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sounds = sounds
        self._flows = flows
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
                    return Got(id=ask_id, text=await self._flows.fetch(want.url, call.order))
                case WantPlace():
                    return Got(id=ask_id, place=self._place(call))
                case WantTicket():
                    # By which gateways, and on whose account, is not for the process to say.
                    plan = replace(want.plan, call_id=call.order.call_id, account_id=call.order.account_id)
                    return Got(id=ask_id, text=dial_desk.file(plan))
        except Unavailable as reason:
            return Got(id=ask_id, error=str(reason))
        except OSError as error:
            return Got(id=ask_id, error=f"{error.strerror}: {error.filename}; see to the disk of the node")
        except Exception:
            # Whoever asked would wait for ever.
            log.exception("a bug kept call %s from its %s", call.order.call_id, type(want).__name__)
            return Got(id=ask_id, error="an internal error of the node; its log says more")

    def _place(self, call: RunningCall) -> RecordingPlace:
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
                leg_id=call.order.leg_id,
                at=now,
                path=str(path),
                kind="ivr",
            )
        )
        return RecordingPlace(id=recording_id, path=str(path))
