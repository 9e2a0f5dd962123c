"""Legs: the two or more sides of a call (reference section 5.2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from voice.api import schemas
from voice.api.commanding import Commanding
from voice.api.faults import Family, Json, NotFound
from voice.api.operation import Operation
from voice.api.paging import PARAMETERS, Page, voice_list, voice_one
from voice.api.reply import Reply
from voice.api.request import Request
from voice.api.services import Services
from voice.objects import leg_object
from voice.store.listing import Listing, Row

_TAG: Final = "Legs"
_SCOPE: Final = "calls"


class Legs:
    def __init__(self, services: Services) -> None:
        self._listing = Listing(services.database)
        self._commanding = Commanding(services)

    async def list(self, request: Request) -> Reply:
        call_id = request.path["call"]
        if await self._listing.call(request.account_id, call_id) is None:
            raise NotFound("call", call_id)
        page = Page.of(request.query)
        found = await self._listing.legs(request.account_id, call_id, page.window)
        path = f"/calls/{call_id}/legs"
        return Reply.json(voice_list([shown_leg(row) for row in found.rows], page, found.total, path))

    async def one(self, request: Request) -> Reply:
        return _reply(await self._leg(request))

    async def hang_up(self, request: Request) -> Reply:
        """204 also for one that has ended: it is as it was meant to be."""
        leg = await self._leg(request)
        if leg["ended_at"] is None:
            await self._commanding.hang_up_leg(leg["call_id"], leg["id"])
        return Reply.empty()

    async def hold(self, request: Request) -> Reply:
        return await self._told(request, self._commanding.hold)

    async def unhold(self, request: Request) -> Reply:
        return await self._told(request, self._commanding.unhold)

    async def _told(self, request: Request, tell: Callable[[str, str], Awaitable[None]]) -> Reply:
        leg = await self._leg(request)
        await tell(leg["call_id"], leg["id"])
        return _reply(await self._leg(request))

    async def _leg(self, request: Request) -> Row:
        leg_id = request.path["leg"]
        row = await self._listing.leg(request.account_id, leg_id, call_id=request.path.get("call"))
        if row is None:
            raise NotFound("leg", leg_id)
        return row


def shown_leg(row: Row) -> Json:
    return {**leg_object(row), "_links": {"self": f"/calls/{row['call_id']}/legs/{row['id']}"}}


def operations(services: Services) -> tuple[Operation, ...]:
    legs = Legs(services)
    shown = schemas.one(schemas.LEG)
    return (
        Operation(
            method="GET",
            path="/calls/{call}/legs",
            run=legs.list,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="List the legs of a call",
            query=PARAMETERS,
            answers={200: schemas.many(schemas.LEG)},
        ),
        Operation(
            method="GET",
            path="/calls/{call}/legs/{leg}",
            run=legs.one,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="View a leg",
            answers={200: shown},
        ),
        Operation(
            method="DELETE",
            path="/legs/{leg}",
            also=("/calls/{call}/legs/{leg}",),
            run=legs.hang_up,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="Hang a leg up",
            description="Ends one side; the call goes on as its callflow says.",
            answers={204: ""},
        ),
        Operation(
            method="POST",
            path="/legs/{leg}/hold",
            run=legs.hold,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="Hold a leg",
            description="Its sound stops in both directions until it is unheld.",
            answers={200: shown},
        ),
        Operation(
            method="POST",
            path="/legs/{leg}/unhold",
            run=legs.unhold,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="Unhold a leg",
            answers={200: shown},
        ),
    )


def _reply(row: Row) -> Reply:
    shown = shown_leg(row)
    return Reply.json(voice_one(shown, shown["_links"]["self"]))
