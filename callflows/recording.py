"""The end of a recording, whatever brought it about: the file is complete, and its record is told."""

from __future__ import annotations

from callflows.ports import Recorded, Recorder, RecordingPlace, Recordings


async def closed(recordings: Recordings, place: RecordingPlace, recorder: Recorder | None) -> Recorded:
    """Stops a recorder, or says that the recording failed when it never began.  Raises Unavailable."""
    recorded = Recorded(id=place.id, seconds=0.0, size=0)
    complete = False
    try:
        if recorder:
            recorded = await recorder.stop()
            complete = True
    finally:
        recordings.done(recorded, complete)
    return recorded
