"""Deliveries: the log of what webhooks were told, and telling it again (docs/webhooks.md)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from voice.api import schemas
from voice.api.faults import Family, Json, NotFound
from voice.api.operation import Operation
from voice.api.paging import PARAMETERS, Page, voice_list, voice_one
from voice.api.readers import choice, text
from voice.api.reply import Reply
from voice.api.request import Request
from voice.api.services import Services
from voice.objects import timestamp
from voice.store.deliveries import Deliveries as DeliveryStore
from voice.store.listing import Row

_TAG: Final = "Deliveries"
_SCOPE: Final = "deliveries"


class State(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Deliveries:
    def __init__(self, services: Services) -> None:
        self._store = DeliveryStore(services.database, services.clock)
        self._bells = services.bells

    async def list(self, request: Request) -> Reply:
        query = request.query
        webhook = query.optional("webhookId", text(longest=64))
        call = query.optional("callId", text(longest=64))
        state = query.optional("status", choice(State))
        query.check()
        page = Page.of(query)
        found = await self._store.list(
            request.account_id, page.window, webhook_id=webhook, call_id=call, state=state
        )
        return Reply.json(voice_list([_shown(row) for row in found.rows], page, found.total, "/deliveries"))

    async def one(self, request: Request) -> Reply:
        return Reply.json(await self._seen(request))

    async def replay(self, request: Request) -> Reply:
        if not await self._store.replay(request.account_id, request.path["delivery"]):
            raise NotFound("delivery", request.path["delivery"])
        self._bells.deliveries.ring()
        return Reply.json(await self._seen(request), status=202)

    async def _seen(self, request: Request) -> Json:
        found = await self._store.get(request.account_id, request.path["delivery"])
        if found is None:
            raise NotFound("delivery", request.path["delivery"])
        row, attempts = found
        shown = {**_shown(row), "body": row["body"], "attempts": [_attempt(one) for one in attempts]}
        return voice_one(shown, shown["_links"]["self"])


def operations(services: Services) -> tuple[Operation, ...]:
    deliveries = Deliveries(services)
    shown = schemas.one(_WITH_ATTEMPTS)
    return (
        Operation(
            method="GET",
            path="/deliveries",
            run=deliveries.list,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="List deliveries",
            description="The newest first; they are kept for 30 days.",
            query={**_PAGES, **_FILTERS},
            answers={200: schemas.many(_DELIVERY)},
        ),
        Operation(
            method="GET",
            path="/deliveries/{delivery}",
            run=deliveries.one,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="View a delivery",
            description="With its body and every attempt.",
            answers={200: shown},
        ),
        Operation(
            method="POST",
            path="/deliveries/{delivery}/replay",
            run=deliveries.replay,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="Replay a delivery",
            description="Sends it again at once, with all its retries, whatever became of it before.",
            answers={202: shown},
        ),
    )


_PAGES: Final = {name: schema for name, schema in PARAMETERS.items() if name != "order"}
_FILTERS: Final[dict[str, dict[str, Any]]] = {
    "webhookId": {"type": "string"},
    "callId": {"type": "string"},
    "status": {"type": "string", "enum": [str(state) for state in State]},
}

_PROPERTIES: Final[dict[str, dict[str, Any]]] = {
    "id": schemas.described(schemas.ID, "The same at every attempt: receivers tell repeats by it."),
    "event": schemas.described(schemas.TEXT, "Such as callUpdated."),
    "status": {"enum": [str(state) for state in State]},
    "method": {"enum": ["POST", "GET"]},
    "url": schemas.URL,
    "webhookId": schemas.maybe(schemas.ID),
    "callId": schemas.maybe(schemas.ID),
    "attemptCount": schemas.WHOLE,
    "lastStatus": schemas.maybe(schemas.described(schemas.WHOLE, "What the receiver answered.")),
    "lastError": schemas.maybe(schemas.TEXT),
    "createdAt": schemas.TIME,
    "nextAttemptAt": schemas.maybe(schemas.TIME),
    "endedAt": schemas.maybe(schemas.TIME),
    "_links": schemas.LINKS,
}
_DELIVERY: Final = schemas.shape(_PROPERTIES, title="Delivery")
_ATTEMPT: Final = schemas.shape(
    {
        "at": schemas.TIME,
        "seconds": {"type": "number", "minimum": 0},
        "status": schemas.maybe(schemas.WHOLE),
        "error": schemas.maybe(schemas.TEXT),
    },
    title="DeliveryAttempt",
)
_WITH_ATTEMPTS: Final = schemas.shape(
    {**_PROPERTIES, "body": schemas.TEXT, "attempts": {"type": "array", "items": _ATTEMPT}},
    title="DeliveryWithAttempts",
)


def _shown(row: Row) -> Json:
    """Without the token, which signs it."""
    pending = row["state"] == State.PENDING
    return {
        "id": row["id"],
        "event": row["event"],
        "status": row["state"],
        "method": row["method"],
        "url": row["url"],
        "webhookId": row["webhook_id"],
        "callId": row["call_id"],
        "attemptCount": row["attempts"],
        "lastStatus": row["last_status"],
        "lastError": row["last_error"],
        "createdAt": timestamp(row["created_at"]),
        "nextAttemptAt": timestamp(row["next_at"]) if pending else None,
        "endedAt": timestamp(row["done_at"]),
        "_links": {"self": f"/deliveries/{row['id']}"},
    }


def _attempt(row: Row) -> Json:
    return {
        "at": timestamp(row["at"]),
        "seconds": round(row["seconds"], 3),
        "status": row["status"],
        "error": row["error"],
    }
