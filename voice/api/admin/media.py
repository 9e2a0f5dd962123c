"""Media files: sounds that an account uploads, for callflows to play by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import quote

from sip_config import words
from sip_config.configuration import Configuration
from sip_config.declared_account import LARGEST_MEDIA, SOUNDS
from sip_config.faults import Unfit
from sip_config.model import MediaFile
from voice.api.admin import shapes
from voice.api.admin.editing import Editor, full, page_of
from voice.api.faults import Family, Invalid, Json, NotFound
from voice.api.operation import Operation
from voice.api.paging import PARAMETERS
from voice.api.reply import Reply
from voice.api.request import Request

MOST_FILES: Final = 500
"""Of one account."""

_SHOWN: Final = shapes.shape(
    {
        "id": shapes.TEXT,
        "href": shapes.HREF,
        "accountId": shapes.TEXT,
        "name": shapes.TEXT,
        "size": shapes.described(shapes.WHOLE, "In bytes."),
        "sha256": shapes.TEXT,
        "origin": shapes.ORIGIN,
    },
    title="MediaFile",
)


class _Media:
    def __init__(self, editor: Editor) -> None:
        self._editor = editor

    async def list(self, request: Request) -> Reply:
        mine = _of(await self._editor.load(), request)
        return page_of(request, [_shown(request, one) for one in mine])

    async def view(self, request: Request) -> Reply:
        return Reply.json(_shown(request, _found(await self._editor.load(), request)))

    async def upload(self, request: Request) -> Reply:
        name = request.path["media"]
        try:
            words.file_name(name)
        except Unfit as unfit:
            raise Invalid.field("name", str(unfit)) from None
        if PurePosixPath(name).suffix.lower() not in SOUNDS:
            raise Invalid.field("name", "This is no sound by its name. Use a .wav or .mp3 file.")
        if not request.content:
            raise Invalid.field("body", "There is no sound in the body. Send the file's bytes as they are.")
        mine = _of(await self._editor.load(), request)
        if all(one.name != name for one in mine):
            full(mine, "media files", MOST_FILES)
        return Reply.json(_shown(request, await self._editor.upload(request, name, request.content)))

    async def delete(self, request: Request) -> Reply:
        def edit(current: Configuration) -> Configuration:
            gone = _found(current, request)
            return replace(current, media=tuple(one for one in current.media if one is not gone))

        await self._editor.change(request, edit)
        return Reply.empty()


def _of(current: Configuration, request: Request) -> tuple[MediaFile, ...]:
    return tuple(one for one in current.media if one.account_id == request.account_id)


def _found(current: Configuration, request: Request) -> MediaFile:
    for one in _of(current, request):
        if one.name == request.path["media"]:
            return one
    raise NotFound("media file", request.path["media"])


def _shown(request: Request, media: MediaFile) -> Json:
    return {
        "id": media.id,
        "href": f"{request.public_url}/media/{quote(media.name, safe='')}",
        "accountId": media.account_id,
        "name": media.name,
        "size": media.size,
        "sha256": media.sha256,
        "origin": media.origin,
    }


def operations(editor: Editor) -> tuple[Operation, ...]:
    media = _Media(editor)
    every, one = "/media", "/media/{media}"

    def operation(method: str, path: str, run: Any, summary: str, **more: Any) -> Operation:
        paged = PARAMETERS if path == every else {}
        return Operation(
            method=method,
            path=path,
            run=run,
            family=Family.REST,
            tag="Media files",
            scope="media",
            summary=summary,
            query={**paged, **shapes.OWNER},
            **more,
        )

    return (
        operation(
            "GET",
            every,
            media.list,
            "List media files",
            answers={200: shapes.many(_SHOWN)},
        ),
        operation("GET", one, media.view, "View a media file", answers={200: _SHOWN}),
        operation(
            "PUT",
            one,
            media.upload,
            "Upload a media file",
            description="The body is the file: WAV or MP3. A file of the same name is replaced.",
            answers={200: _SHOWN},
            body={"type": "string", "format": "binary"},
            body_type="application/octet-stream",
            raw_body=True,
            largest_body=LARGEST_MEDIA,
        ),
        operation("DELETE", one, media.delete, "Delete a media file", answers={204: ""}),
    )
