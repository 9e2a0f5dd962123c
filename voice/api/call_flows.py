"""Callflows, and the numbers that they answer (reference sections 2.1 and 3).

They are part of the configuration: a change is in force on every node within a second or two.  What came
from a file can be changed here as well; `trunkflow apply` of that file then makes it what the file says.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from sip_config.configuration import Configuration
from sip_config.model import AccountId, Callflow, Origin
from voice.api import schemas
from voice.api.documents import LARGEST_FLOW, flow_of_body, shown_flow
from voice.api.faults import Family, Json, NotFound
from voice.api.flow_edits import flow_of, owned_numbers, with_flow, with_numbers, without_flow
from voice.api.flow_schemas import FLOW, FLOW_BODY, NUMBER
from voice.api.operation import Operation
from voice.api.paging import PARAMETERS, Page, voice_list, voice_one
from voice.api.readers import e164, several
from voice.api.reply import Reply
from voice.api.request import Request
from voice.api.services import Services
from voice.objects import shown_number, timestamp
from voice.store.callflows import CallflowListing
from voice.store.config import ConfigStore
from voice.store.listing import Row

_TAG: Final = "Callflows"
_SCOPE: Final = "call-flows"
_MOST_NUMBERS: Final = 200
"""In one request."""


class CallFlows:
    def __init__(self, services: Services) -> None:
        self._listing = CallflowListing(services.database)
        self._config = ConfigStore(
            services.database,
            media_folder=services.settings.media_directory,
            bells=services.bells,
            clock=services.clock,
        )
        self._realm = services.settings.base_domain
        self._clock = services.clock

    async def list(self, request: Request) -> Reply:
        page = Page.of(request.query)
        found = await self._listing.list(request.account_id, page.window)
        return Reply.json(voice_list([_shown(row) for row in found.rows], page, found.total, "/call-flows"))

    async def one(self, request: Request) -> Reply:
        return _reply(await self._flow(request, request.path["callflow"]), request)

    async def create(self, request: Request) -> Reply:
        read = flow_of_body(request)
        now = self._clock()
        made = Callflow(
            id=str(uuid.uuid4()),
            account_id=AccountId(request.account_id),
            title="",
            document=read.document,
            origin=Origin.API,
            created_at=now,
            updated_at=now,
            shown_title=read.title,
            is_default=read.is_default,
        )
        await self._change(lambda current: with_flow(current, made))
        return _reply(await self._flow(request, made.id), request, status=201)

    async def change(self, request: Request) -> Reply:
        read = flow_of_body(request)
        account, flow_id = AccountId(request.account_id), request.path["callflow"]
        now = self._clock()

        def edit(current: Configuration) -> Configuration:
            new = replace(
                flow_of(current, account, flow_id),
                document=read.document,
                shown_title=read.title,
                is_default=read.is_default,
                updated_at=now,
            )
            return with_flow(current, new)

        await self._change(edit)
        return _reply(await self._flow(request, flow_id), request)

    async def delete(self, request: Request) -> Reply:
        account, flow_id = AccountId(request.account_id), request.path["callflow"]
        await self._change(lambda current: without_flow(current, account, flow_id))
        return Reply.empty()

    async def numbers(self, request: Request) -> Reply:
        return await self._shown_numbers(request, status=200)

    async def add_numbers(self, request: Request) -> Reply:
        await self._set_numbers(request, only=False)
        return await self._shown_numbers(request, status=201)

    async def put_numbers(self, request: Request) -> Reply:
        await self._set_numbers(request, only=True)
        return await self._shown_numbers(request, status=200)

    async def _set_numbers(self, request: Request, *, only: bool) -> None:
        body = request.body
        wanted = body.required("numbers", several(e164, least=0 if only else 1, most=_MOST_NUMBERS))
        body.check()
        account, flow_id = AccountId(request.account_id), request.path["callflow"]
        now = self._clock()

        def edit(current: Configuration) -> Configuration:
            changed = with_numbers(current, account, flow_id, set(wanted), only=only, now=now)
            owned = owned_numbers(current, account)
            for at, number in enumerate(wanted):
                if number not in owned:
                    body.fault("numbers", f"The account has no number {number}.", within=f"/{at}")
            body.check()
            return changed

        await self._change(edit)

    async def _shown_numbers(self, request: Request, *, status: int) -> Reply:
        flow = await self._flow(request, request.path["callflow"])
        page = Page.of(request.query)
        found = await self._listing.numbers(request.account_id, flow["id"], page.window)
        shown = [_number(row) for row in found.rows]
        path = f"/call-flows/{flow['id']}/numbers"
        return Reply.json(voice_list(shown, page, found.total, path), status=status)

    async def _change(self, edit: Callable[[Configuration], Configuration]) -> None:
        await self._config.change(edit, realm=self._realm)

    async def _flow(self, request: Request, flow_id: str) -> Row:
        row = await self._listing.find(request.account_id, flow_id)
        if row is None:
            raise NotFound("call flow", flow_id)
        return row


def operations(services: Services) -> tuple[Operation, ...]:
    flows = CallFlows(services)
    shown = schemas.one(FLOW)
    numbers = schemas.many(NUMBER)
    wanted = schemas.fields({"numbers": {"type": "array", "items": schemas.TEXT}}, required=("numbers",))
    return (
        Operation(
            method="GET",
            path="/call-flows",
            run=flows.list,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="List callflows",
            query=PARAMETERS,
            answers={200: schemas.many(FLOW)},
        ),
        Operation(
            method="POST",
            path="/call-flows",
            run=flows.create,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="Create a callflow",
            description=_ENCODINGS,
            body=FLOW_BODY,
            raw_body=True,
            largest_body=LARGEST_FLOW,
            answers={201: shown},
        ),
        Operation(
            method="GET",
            path="/call-flows/{callflow}",
            run=flows.one,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="View a callflow",
            description="As JSON; as canonical XML when Accept begins with application/xml.",
            answers={200: shown},
        ),
        Operation(
            method="PUT",
            path="/call-flows/{callflow}",
            run=flows.change,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="Overwrite a callflow",
            description=f"{_ENCODINGS} Calls in progress go on as they began.",
            body=FLOW_BODY,
            raw_body=True,
            largest_body=LARGEST_FLOW,
            answers={200: shown},
        ),
        Operation(
            method="DELETE",
            path="/call-flows/{callflow}",
            run=flows.delete,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="Delete a callflow",
            description="Numbers and domains that it answered are answered by none, or by the default one.",
            answers={204: ""},
        ),
        Operation(
            method="GET",
            path="/call-flows/{callflow}/numbers",
            run=flows.numbers,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="List the numbers of a callflow",
            query=PARAMETERS,
            answers={200: numbers},
        ),
        Operation(
            method="POST",
            path="/call-flows/{callflow}/numbers",
            run=flows.add_numbers,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="Add numbers to a callflow",
            description="Numbers of the account; a callflow that answered one before does so no more.",
            bare="numbers",
            body=wanted,
            answers={201: numbers},
        ),
        Operation(
            method="PUT",
            path="/call-flows/{callflow}/numbers",
            run=flows.put_numbers,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="Set the numbers of a callflow",
            description="It answers these, and no others.",
            bare="numbers",
            body=wanted,
            answers={200: numbers},
        ),
    )


_ENCODINGS: Final = "JSON as below, canonical XML or compact XML (docs/callflows.md); at most 32 kB."


def _reply(row: Row, request: Request, *, status: int = 200) -> Reply:
    if request.wants("application/xml") or request.wants("text/xml"):
        return Reply(
            status=status, body=row["document"].encode(), content_type="application/xml; charset=utf-8"
        )
    return Reply.json(voice_one(_shown(row), _path(row)), status=status)


def _shown(row: Row) -> Json:
    return {
        "id": row["id"],
        "title": row["shown_title"] or row["title"],
        **shown_flow(row["document"]),
        "default": bool(row["is_default"]),
        "createdAt": timestamp(row["created_at"] or 0),
        "updatedAt": timestamp(row["updated_at"] or row["created_at"] or 0),
        "_links": {"self": _path(row)},
    }


def _path(row: Row) -> str:
    return f"/call-flows/{row['id']}"


def _number(row: Row) -> Json:
    return {
        "id": row["id"],
        "number": shown_number(row["e164"]),
        "callFlowId": row["callflow_id"],
        "createdAt": timestamp(row["created_at"] or 0),
        "updatedAt": timestamp(row["updated_at"] or row["created_at"] or 0),
        "_links": {"self": f"/numbers/{row['id']}"},
    }
