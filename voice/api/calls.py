"""Calls: placed, listed, looked at, told to do something else, ended (reference section 5.1)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

from voice.api import bodies, schemas
from voice.api.commanding import Commanding
from voice.api.documents import LARGEST_FLOW, ReadFlow, flow_of_body, flow_of_field
from voice.api.faults import Code, Conflict, Family, Invalid, Json, NotFound
from voice.api.fields import Fields
from voice.api.flow_schemas import FLOW_BODY
from voice.api.money import Purse
from voice.api.operation import Operation
from voice.api.paging import PARAMETERS, Page, voice_list, voice_one
from voice.api.reach import out_of_reach
from voice.api.readers import Misfit, choice, dialable_in, e164_in, integer, text, timestamp, url
from voice.api.recordings import shown_recording
from voice.api.reply import Reply
from voice.api.request import Request
from voice.api.services import Services
from voice.objects import call_object
from voice.records import CallStatus, Direction
from voice.store.callflows import CallflowListing
from voice.store.listing import Accounts, CallFilter, Listing, Row
from voice.store.outbound import NewCall, OutboundStore

_TAG: Final = "Calls"
_SCOPE: Final = "calls"
USUAL_RING_SECONDS: Final = 30
LONGEST_RING_SECONDS: Final = 600


class Calls:
    def __init__(self, services: Services) -> None:
        self._listing = Listing(services.database)
        self._flows = CallflowListing(services.database)
        self._accounts = Accounts(services.database)
        self._outbound = OutboundStore(services.database, services.clock, services.bells)
        self._commanding = Commanding(services)
        self._purse = Purse(services)
        self._clock = services.clock

    async def list(self, request: Request) -> Reply:
        query = request.query
        wanted = CallFilter(
            status=query.optional("status", choice(CallStatus)),
            direction=query.optional("direction", choice(Direction)),
            source=query.optional("source", _shown_or_stored),
            destination=query.optional("destination", _shown_or_stored),
            since=query.optional("from", timestamp),
            until=query.optional("until", timestamp),
        )
        query.check()
        page = Page.of(query)
        found = await self._listing.calls(request.account_id, page.window, wanted)
        return Reply.json(voice_list([shown_call(row) for row in found.rows], page, found.total, "/calls"))

    async def one(self, request: Request) -> Reply:
        """The Java SDK asks here for a recording, with the call's leg and recording in the query."""
        leg, recording = request.query.raw("legs"), request.query.raw("recordings")
        if isinstance(leg, str) and isinstance(recording, str):
            return await self._recording(request, leg, recording)
        return _reply(await self._call(request))

    async def _recording(self, request: Request, leg_id: str, recording_id: str) -> Reply:
        row = await self._listing.recording(
            request.account_id, recording_id, call_id=request.path["call"], leg_id=leg_id
        )
        if row is None:
            raise NotFound("recording", recording_id)
        return Reply.json(shown_recording(row))

    async def create(self, request: Request) -> Reply:
        body = request.body
        terms = await self._accounts.terms(request.account_id)
        policy = terms.identity
        source = body.required("source", e164_in(policy.country))
        destination = body.required("destination", dialable_in(policy.country))
        ring_seconds = body.get(
            "timeout", integer(least=1, most=LONGEST_RING_SECONDS), USUAL_RING_SECONDS, zero_is_unset=True
        )
        webhook_url, webhook_token = _webhook(body)
        flow_id = body.optional("callFlowId", text(longest=64), zero_is_unset=True)
        flow = None if flow_id else flow_of_field(body, "callFlow")
        if not flow_id and body.raw("callFlow") is None:
            body.fault("callFlow", "callFlow or callFlowId is missing.", code=Code.MISSING)
        owned = source and await self._flows.number(request.account_id, source) is not None
        if source and not owned and not policy.allows(source):
            body.fault("source", f"The account has no number {source}, so it cannot be the caller id.")
        document = flow.document if flow else None
        if flow_id:
            stored = await self._flows.find(request.account_id, flow_id)
            document = stored["document"] if stored else None
            if stored is None:
                body.fault("callFlowId", f"The account has no callflow `{flow_id}`.")
        if destination and (why := out_of_reach(terms.limits, destination)):
            body.fault("destination", why)
        body.check()
        if not request.is_test and destination.startswith("+"):
            await self._purse.check(request.account_id, [destination])
        call_id = str(uuid.uuid4())
        now = self._clock()
        await self._outbound.accept(
            NewCall(
                call_id=call_id,
                account_id=request.account_id,
                origin="call",
                source=source,
                destination=destination,
                document=document,
                callflow_id=flow_id,
                ring_seconds=float(ring_seconds),
                max_seconds=terms.max_call_seconds,
                simulated=request.is_test,
                webhook_url=webhook_url,
                webhook_token=webhook_token,
                not_before=now,
                created_at=now,
            )
        )
        return _reply(await self._call(request, call_id), status=201)

    async def replace(self, request: Request) -> Reply:
        """The body is a callflow, or an object with one, as in POST."""
        call = await self._call(request)
        flow = _flow_of(request)
        if call["ended_at"] is not None:
            raise Conflict("The call has ended.")
        await self._commanding.replace(call["id"], flow.document)
        return _reply(await self._call(request))

    async def hang_up(self, request: Request) -> Reply:
        """204 also for one that has ended: it is as it was meant to be."""
        call = await self._call(request)
        if call["ended_at"] is None and not await self._outbound.cancel(
            call["id"], CallStatus.ENDED, _HUNG_UP
        ):
            await self._commanding.hang_up(call["id"])
        return Reply.empty()

    async def add_leg(self, request: Request) -> Reply:
        call = await self._call(request)
        terms = await self._accounts.terms(request.account_id)
        try:
            destination = dialable_in(terms.identity.country)(request.path["destination"])
        except Misfit as misfit:
            raise Invalid.field("destination", misfit.message) from None
        if why := out_of_reach(terms.limits, destination):
            raise Invalid.field("destination", why)
        if call["ended_at"] is not None:
            raise Conflict("The call has ended.")
        await self._commanding.add_leg(call["id"], destination)
        return _reply(await self._call(request), status=201)

    async def _call(self, request: Request, call_id: str | None = None) -> Row:
        wanted = call_id or request.path["call"]
        row = await self._listing.call(request.account_id, wanted)
        if row is None:
            raise NotFound("call", wanted)
        return row


def shown_call(row: Row) -> Json:
    path = f"/calls/{row['id']}"
    return {**call_object(row), "_links": {"self": path, "legs": f"{path}/legs"}}


def operations(services: Services) -> tuple[Operation, ...]:
    calls = Calls(services)
    shown = schemas.one(schemas.CALL)
    return (
        Operation(
            method="POST",
            path="/calls",
            run=calls.create,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="Place a call",
            description="201 says that the call is stored and will be placed, even if the node restarts now. "
            "With a test key it runs in simulation: the same statuses and events, and no SIP.",
            body=_BODY,
            answers={201: shown},
        ),
        Operation(
            method="GET",
            path="/calls",
            run=calls.list,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="List calls",
            query={**PARAMETERS, **_FILTERS},
            answers={200: schemas.many(schemas.CALL)},
        ),
        Operation(
            method="GET",
            path="/calls/{call}",
            run=calls.one,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="View a call",
            description="With legs and recordings in the query it is the recording: MessageBird's Java SDK "
            "asks for one so.",
            query={"legs": _OF_JAVA, "recordings": _OF_JAVA},
            answers={200: {"anyOf": [shown, schemas.one(schemas.RECORDING)]}},
        ),
        Operation(
            method="PUT",
            path="/calls/{call}",
            run=calls.replace,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="Replace the callflow of a running call",
            description="What runs now is stopped, and the call goes on with the first step of the new one.",
            body=FLOW_BODY,
            raw_body=True,
            largest_body=LARGEST_FLOW,
            answers={200: shown},
        ),
        Operation(
            method="DELETE",
            path="/calls/{call}",
            run=calls.hang_up,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="Hang a call up",
            description="All its legs end.",
            answers={204: ""},
        ),
        Operation(
            method="POST",
            path="/calls/{call}/{destination}",
            run=calls.add_leg,
            family=Family.VOICE,
            tag=_TAG,
            scope=_SCOPE,
            summary="Add a leg to a call",
            description="Calls a number or SIP URI and connects it with the call.",
            answers={201: shown},
        ),
    )


_OF_JAVA: Final = {"type": "string", "description": "An id; see above."}
_HUNG_UP: Final = "Hung up by the API before it was dialled."

_BODY: Final = schemas.fields(
    {
        "source": schemas.described(schemas.TEXT, "Caller id: a number that the account may show."),
        "destination": schemas.described(schemas.TEXT, "A telephone number in E.164, or a SIP URI."),
        "callFlow": FLOW_BODY,
        "callFlowId": schemas.described(schemas.TEXT, "Of a stored callflow, instead of callFlow."),
        "timeout": schemas.described(
            {"type": "integer", "minimum": 1, "maximum": LONGEST_RING_SECONDS},
            f"Seconds that it may ring; {USUAL_RING_SECONDS} without it.",
        ),
        "webhook": schemas.described(
            schemas.maybe(schemas.fields({"url": schemas.URL, "token": schemas.maybe(schemas.TEXT)})),
            "Gets the events of this call, beside the account's webhooks.",
        ),
        "callbackUrl": schemas.described(schemas.URL, "The same as webhook.url."),
    },
    required=("source", "destination"),
)

_FILTERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "status": {"type": "string", "enum": [str(status) for status in CallStatus]},
    "direction": {"type": "string", "enum": [str(direction) for direction in Direction]},
    "source": {"type": "string", "description": "A number, or a SIP URI."},
    "destination": {"type": "string", "description": "A number, or a SIP URI."},
    "from": {"type": "string", "format": "date-time", "description": "The earliest beginning."},
    "until": {"type": "string", "format": "date-time", "description": "Calls that began before."},
}


def _flow_of(request: Request) -> ReadFlow:
    """The callflow of a PUT: the body itself, or its field callFlow."""
    if request.content.lstrip()[:1] == b"<":
        return flow_of_body(request)
    fields = Fields(bodies.fields_of(request.content, request.content_type, bare=None))
    if fields.raw("callFlow") is None:
        return flow_of_body(request)
    flow = flow_of_field(fields, "callFlow")
    fields.check()
    assert flow is not None
    return flow


def _webhook(body: Fields) -> tuple[str | None, str | None]:
    """URL and token: of ``webhook``, which some SDKs send as JSON in a text, or ``callbackUrl``."""
    given = body.raw("webhook")
    if isinstance(given, str) and given.startswith(("http:", "https:")):
        return body.optional("webhook", url), None
    nested = body.nested("webhook")
    if nested is None:
        return body.optional("callbackUrl", url, zero_is_unset=True), None
    address = nested.optional("url", url, zero_is_unset=True)
    token = nested.optional("token", text(longest=255), zero_is_unset=True)
    return address, token


def _shown_or_stored(value: Any) -> str:
    """A number as the API shows it, without +, or as it is stored; also what is no number, as Restricted."""
    given = text(longest=255)(value).strip()
    return f"+{given}" if given.isascii() and given.isdigit() else given


def _reply(row: Row, *, status: int = 200) -> Reply:
    shown = shown_call(row)
    return Reply.json(voice_one(shown, shown["_links"]["self"], legs=shown["_links"]["legs"]), status=status)
