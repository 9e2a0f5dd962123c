"""Webhooks: where an account is told what happens to its calls (reference section 5.5)."""

from __future__ import annotations

from typing import Final

from voice.api import schemas
from voice.api.faults import Conflict, Family, Json, NotFound
from voice.api.operation import Operation
from voice.api.paging import PARAMETERS, Page, voice_list, voice_one
from voice.api.readers import text, url
from voice.api.reply import Reply
from voice.api.request import Request
from voice.api.services import Services
from voice.objects import timestamp
from voice.store.listing import Row
from voice.store.webhooks import MOST_WEBHOOKS, TooManyWebhooks, WebhookStore

_TAG: Final = "Webhooks"
_SCOPE: Final = "webhooks"
_TOKEN: Final = text(longest=255)
_TITLE: Final = text(longest=255)

_BODY: Final = {
    "url": schemas.described(schemas.URL, "Gets a POST for each event; see docs/webhooks.md."),
    "token": schemas.described(schemas.maybe(schemas.TEXT), "Signs the requests to this URL as well."),
    "title": schemas.maybe(schemas.TEXT),
}


class Webhooks:
    def __init__(self, services: Services) -> None:
        self._store = WebhookStore(services.database)
        self._clock = services.clock

    async def list(self, request: Request) -> Reply:
        page = Page.of(request.query)
        found = await self._store.list(request.account_id, page.window)
        return Reply.json(voice_list([_shown(row) for row in found.rows], page, found.total, "/webhooks"))

    async def one(self, request: Request) -> Reply:
        row = await self._store.find(request.account_id, request.path["webhook"])
        return _reply(_known(row, request))

    async def create(self, request: Request) -> Reply:
        body = request.body
        address = body.required("url", url)
        token = body.optional("token", _TOKEN, zero_is_unset=True)
        title = body.optional("title", _TITLE, zero_is_unset=True)
        body.check()
        try:
            row = await self._store.create(
                request.account_id, url=address, token=token, title=title, now=self._clock()
            )
        except TooManyWebhooks:
            raise Conflict(f"An account has at most {MOST_WEBHOOKS} webhooks; delete one.") from None
        return _reply(row, status=201)

    async def change(self, request: Request) -> Reply:
        """Sets what the body names; a null token or title is taken away."""
        body = request.body
        changes: dict[str, str | None] = {}
        if (address := body.optional("url", url, zero_is_unset=True)) is not None:
            changes["url"] = address
        for name, read in (("token", _TOKEN), ("title", _TITLE)):
            if name in body:
                changes[name] = body.optional(name, read, zero_is_unset=True)
        body.check()
        webhook = request.path["webhook"]
        row = await self._store.change(request.account_id, webhook, changes, self._clock())
        return _reply(_known(row, request))

    async def delete(self, request: Request) -> Reply:
        if not await self._store.delete(request.account_id, request.path["webhook"]):
            raise NotFound("webhook", request.path["webhook"])
        return Reply.empty()


def operations(services: Services) -> tuple[Operation, ...]:
    webhooks = Webhooks(services)
    shown = schemas.one(schemas.WEBHOOK)
    return (
        Operation(
            method="GET",
            path="/webhooks",
            run=webhooks.list,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="List webhooks",
            query=PARAMETERS,
            answers={200: schemas.many(schemas.WEBHOOK)},
        ),
        Operation(
            method="POST",
            path="/webhooks",
            run=webhooks.create,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="Create a webhook",
            description="It gets every event of the account's calls, legs, recordings and transcriptions.",
            body=schemas.fields(_BODY, required=("url",)),
            answers={201: shown},
        ),
        Operation(
            method="GET",
            path="/webhooks/{webhook}",
            run=webhooks.one,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="View a webhook",
            answers={200: shown},
        ),
        Operation(
            method="PUT",
            path="/webhooks/{webhook}",
            run=webhooks.change,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="Change a webhook",
            description="Fields that are left out stay as they are.",
            body=schemas.fields(_BODY),
            answers={200: shown},
        ),
        Operation(
            method="DELETE",
            path="/webhooks/{webhook}",
            run=webhooks.delete,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="Delete a webhook",
            answers={204: ""},
        ),
    )


def _known(row: Row | None, request: Request) -> Row:
    if row is None:
        raise NotFound("webhook", request.path["webhook"])
    return row


def _reply(row: Row, *, status: int = 200) -> Reply:
    return Reply.json(voice_one(_shown(row), _path(row)), status=status)


def _shown(row: Row) -> Json:
    return {
        "id": row["id"],
        "url": row["url"],
        "token": row["token"],
        "title": row["title"],
        "createdAt": timestamp(row["created_at"]),
        "updatedAt": timestamp(row["updated_at"]),
        "_links": {"self": _path(row)},
    }


def _path(row: Row) -> str:
    return f"/webhooks/{row['id']}"
