"""What is done about the calls of a process that died: their far ends, their recordings, their records."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from voice.media.seam import DialogFacts
from voice.media.wav import set_sizes
from voice.pool.undertaker import Undertaker
from voice.pool.worker import RunningCall
from voice.records import CallEnded, CallStatus, Event, Journal, RecordingDone

log = logging.getLogger(__name__)


class Aftermath:
    """Closes what a dead process left open."""

    def __init__(self, undertaker: Undertaker, journal: Journal) -> None:
        self._undertaker = undertaker
        self._journal = journal

    def close(self, call: RunningCall, reason: str) -> None:
        """Makes the recordings playable and the records of a call complete."""
        now = time.time()
        call_id = call.order.call_id
        for recording_id, path in call.recordings.items():
            self._journal.write(salvaged(recording_id, call_id, path, now))
        if not call.ended:
            self._journal.write(CallEnded(call_id=call_id, at=now, status=CallStatus.FAILED, reason=reason))
        self._journal.write(
            Event(
                at=now,
                kind="call_process_died",
                detail=reason,
                call_id=call_id,
                account_id=call.order.account_id,
            )
        )

    async def say_goodbye(self, call_id: str, dialog: DialogFacts) -> None:
        """Sends BYE in the place of the dead process."""
        status = await self._undertaker.bury(dialog)
        log.info("call %s: BYE in place of the dead process was answered with %s", call_id, status)


def salvaged(recording_id: str, call_id: str, path: Path, now: float) -> RecordingDone:
    """What is left of a recording whose process died: made playable up to the last half second."""
    try:
        length = set_sizes(path)
    except (OSError, ValueError) as error:
        log.error("recording %s is lost: %s", recording_id, error)
        return RecordingDone(
            recording_id=recording_id, call_id=call_id, at=now, seconds=0.0, size=0, status="failed"
        )
    return RecordingDone(
        recording_id=recording_id,
        call_id=call_id,
        at=now,
        seconds=length.seconds,
        size=length.size,
        status="done",
    )
