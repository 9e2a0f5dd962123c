"""Recordings: what was recorded of a call, and its sound (reference section 5.3)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from voice.api import schemas
from voice.api.faults import Conflict, Family, Json, NotFound
from voice.api.operation import Operation
from voice.api.paging import PARAMETERS, Page, voice_list, voice_one
from voice.api.reply import Reply
from voice.api.request import Request
from voice.api.services import Services
from voice.objects import recording_object
from voice.store.listing import Listing, Row

_TAG: Final = "Recordings"
_SCOPE: Final = "recordings"
_NESTED: Final = "/calls/{call}/legs/{leg}/recordings"
_UNDER_WAY: Final = "recording"


class Recordings:
    def __init__(self, services: Services) -> None:
        self._listing = Listing(services.database)
        self._directory = services.settings.recordings_directory
        self._clock = services.clock

    async def list(self, request: Request) -> Reply:
        call_id, leg_id = request.path["call"], request.path["leg"]
        if await self._listing.leg(request.account_id, leg_id, call_id=call_id) is None:
            raise NotFound("leg", leg_id)
        page = Page.of(request.query)
        found = await self._listing.recordings(request.account_id, call_id, leg_id, page.window)
        shown = [recording_object(row) for row in found.rows]
        return Reply.json(voice_list(shown, page, found.total, f"/calls/{call_id}/legs/{leg_id}/recordings"))

    async def one(self, request: Request) -> Reply:
        return Reply.json(shown_recording(await find_recording(self._listing, request)))

    async def sound(self, request: Request) -> Reply:
        row = await find_recording(self._listing, request)
        if row["status"] == _UNDER_WAY:
            raise Conflict("The recording is still being made. Wait until its status is done.")
        path = await asyncio.to_thread(self._file, row)
        if path is None:
            raise NotFound("sound of the recording", row["id"])
        return Reply.file(path, content_type="audio/wav", download=f"{row['id']}.wav")

    async def delete(self, request: Request) -> Reply:
        """Removes the file, then forgets it: in this order nothing is forgotten that is still there."""
        row = await find_recording(self._listing, request)
        if row["status"] == _UNDER_WAY:
            raise Conflict("The recording is still being made. Hang the call up, or wait.")
        path = await asyncio.to_thread(self._file, row)
        if path is not None:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        await self._listing.forget_recording(row["id"], self._clock())
        return Reply.empty()

    def _file(self, row: Row) -> Path | None:
        """The recording's file, if it is there, and inside the directory of recordings."""
        if row["path"] is None:
            return None
        path = Path(row["path"]).resolve()
        inside = path.is_relative_to(self._directory.resolve())
        return path if inside and path.is_file() else None


async def find_recording(listing: Listing, request: Request) -> Row:
    """The recording that a path names, below its call and leg or by itself.  Raises NotFound."""
    path = request.path
    recording_id = path["recording"]
    row = await listing.recording(
        request.account_id, recording_id, call_id=path.get("call"), leg_id=path.get("leg")
    )
    if row is None:
        raise NotFound("recording", recording_id)
    return row


def shown_recording(row: Row) -> Json:
    """In its envelope; the link to the file is in both places, since SDKs look in one or the other."""
    shown = recording_object(row)
    links = shown["_links"]
    return voice_one(shown, links["self"], file=links["file"])


def operations(services: Services) -> tuple[Operation, ...]:
    recordings = Recordings(services)
    return (
        Operation(
            method="GET",
            path=_NESTED,
            run=recordings.list,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="List the recordings of a leg",
            query=PARAMETERS,
            answers={200: schemas.many(schemas.RECORDING)},
        ),
        Operation(
            method="GET",
            path="/recordings/{recording}",
            also=(_NESTED + "/{recording}",),
            run=recordings.one,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="View a recording",
            answers={200: schemas.one(schemas.RECORDING)},
        ),
        Operation(
            method="GET",
            path="/recordings/{recording}.wav",
            also=(_NESTED + "/{recording}.wav",),
            run=recordings.sound,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="Download a recording",
            description="16-bit mono WAV. Ranges can be asked for (RFC 9110 section 14).",
            answers={200: "audio/wav", 206: "audio/wav"},
        ),
        Operation(
            method="DELETE",
            path="/recordings/{recording}",
            also=(_NESTED + "/{recording}",),
            run=recordings.delete,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="Delete a recording",
            description="Its file is removed at once.",
            answers={204: ""},
        ),
    )
