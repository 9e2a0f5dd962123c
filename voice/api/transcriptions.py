"""Transcriptions: what was said in a recording, as text (reference section 5.4)."""

from __future__ import annotations

from typing import Final

from voice.api import schemas
from voice.api.faults import Conflict, Family, Json, NotFound
from voice.api.operation import Operation
from voice.api.paging import PARAMETERS, Page, voice_list, voice_one
from voice.api.readers import text
from voice.api.recordings import find_recording
from voice.api.reply import Reply
from voice.api.request import Request
from voice.api.services import Services
from voice.objects import transcription_object
from voice.store.listing import Listing, Row
from voice.store.transcriptions import TooManyTranscriptions, TranscriptionStore

_TAG: Final = "Transcriptions"
_SCOPE: Final = "transcriptions"
_OF_RECORDING: Final = "/recordings/{recording}/transcriptions"
_NESTED: Final = "/calls/{call}/legs/{leg}" + _OF_RECORDING


class Transcriptions:
    def __init__(self, services: Services) -> None:
        self._listing = Listing(services.database)
        self._store = TranscriptionStore(services.database, clock=services.clock, bells=services.bells)

    async def create(self, request: Request) -> Reply:
        recording = await find_recording(self._listing, request)
        language = request.body.optional("language", text(longest=20), zero_is_unset=True)
        request.body.check()
        try:
            row = await self._store.request(
                recording_id=recording["id"],
                call_id=recording["call_id"],
                leg_id=recording["leg_id"],
                account_id=request.account_id,
                language=language,
            )
        except TooManyTranscriptions:
            raise Conflict("This recording has as many transcriptions as it may have.") from None
        return Reply.json(_shown(row), status=201)

    async def list(self, request: Request) -> Reply:
        recording = await find_recording(self._listing, request)
        page = Page.of(request.query)
        found = await self._store.list(request.account_id, recording["id"], page.window)
        path = f"/recordings/{recording['id']}/transcriptions"
        shown = [transcription_object(row) for row in found.rows]
        return Reply.json(voice_list(shown, page, found.total, path))

    async def one(self, request: Request) -> Reply:
        return Reply.json(_shown(await self._find(request)))

    async def words(self, request: Request) -> Reply:
        row = await self._find(request)
        if row["status"] == "failed":
            raise Conflict(f"There is no text: {row['reason']}")
        if row["status"] != "done":
            raise Conflict("The transcription is still being made. Wait until its status is done.")
        return Reply.text(row["text"] or "", download=f"{row['id']}.txt")

    async def _find(self, request: Request) -> Row:
        path = request.path
        row = await self._store.find(
            request.account_id, path["transcription"], recording_id=path.get("recording")
        )
        if row is None or path.get("call") not in (None, row["call_id"]):
            raise NotFound("transcription", path["transcription"])
        return row


def operations(services: Services) -> tuple[Operation, ...]:
    transcriptions = Transcriptions(services)
    shown = schemas.one(schemas.TRANSCRIPTION)
    return (
        Operation(
            method="POST",
            path=_OF_RECORDING,
            also=(_NESTED,),
            run=transcriptions.create,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="Transcribe a recording",
            description="Made behind the request: look at the status, or wait for the event.",
            bare="language",
            body=schemas.fields(
                {"language": schemas.described(schemas.TEXT, "Such as en-US, which is meant without it.")}
            ),
            answers={201: shown},
        ),
        Operation(
            method="GET",
            path=_OF_RECORDING,
            also=(_NESTED,),
            run=transcriptions.list,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="List the transcriptions of a recording",
            query=PARAMETERS,
            answers={200: schemas.many(schemas.TRANSCRIPTION)},
        ),
        Operation(
            method="GET",
            path="/transcriptions/{transcription}",
            also=(_NESTED + "/{transcription}", _OF_RECORDING + "/{transcription}"),
            run=transcriptions.one,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="View a transcription",
            answers={200: shown},
        ),
        Operation(
            method="GET",
            path="/transcriptions/{transcription}.txt",
            also=(_NESTED + "/{transcription}.txt", _OF_RECORDING + "/{transcription}.txt"),
            run=transcriptions.words,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="Download a transcription",
            answers={200: "text/plain"},
        ),
    )


def _shown(row: Row) -> Json:
    shown = transcription_object(row)
    links = shown["_links"]
    return voice_one(shown, links["self"], file=links["file"])
