"""Voice messages: one text, read to several people (reference section 6)."""

from __future__ import annotations

import uuid
from typing import Any, Final

from callflows.canonical import to_canonical
from callflows.faults import DocumentFaults
from callflows.json_flow import from_json
from callflows.model import IfMachine
from callflows.steps.say import Voice
from sip_config.identity_policy import IdentityPolicy
from voice.api import schemas
from voice.api.admin.shapes import many
from voice.api.faults import Code, Family, Json, NotFound
from voice.api.fields import Fields
from voice.api.money import Purse
from voice.api.operation import Operation
from voice.api.paging import PARAMETERS, USUAL_REST, Page, rest_list
from voice.api.reach import out_of_reach
from voice.api.readers import Misfit, choice, e164, integer, text, timestamp, url
from voice.api.reply import Reply
from voice.api.request import Request
from voice.api.services import Services
from voice.messages import offset_time
from voice.store.listing import Accounts, Row
from voice.store.messages import OPEN, MessageStore, NewMessage, Recipient, RecipientStatus
from voice.store.outbound import NewCall, OutboundStore

_TAG: Final = "Voice messages"
_SCOPE: Final = "voicemessages"

MOST_RECIPIENTS: Final = 50
LONGEST_BODY: Final = 1000
MOST_REPEATS: Final = 10
USUAL_LANGUAGE: Final = "en-gb"
USUAL_MACHINE_TIMEOUT: Final = 7000
RING_SECONDS: Final = 30.0

_DELIVERED: Final = (RecipientStatus.ANSWERED,)
_FAILED: Final = (RecipientStatus.FAILED, RecipientStatus.BUSY, RecipientStatus.MACHINE)


class VoiceMessages:
    def __init__(self, services: Services) -> None:
        outbound = OutboundStore(services.database, services.clock, services.bells)
        self._store = MessageStore(services.database, outbound)
        self._accounts = Accounts(services.database)
        self._purse = Purse(services)
        self._bells = services.bells
        self._clock = services.clock

    async def list(self, request: Request) -> Reply:
        page = Page.of(request.query, usual=USUAL_REST)
        found = await self._store.list(request.account_id, page.window)
        people = await self._store.recipients_of([row["id"] for row in found.rows])
        items = [_shown(row, people[row["id"]], request) for row in found.rows]
        return Reply.json(rest_list(items, page, found.total, f"{request.public_url}/voicemessages"))

    async def one(self, request: Request) -> Reply:
        return await self._reply(request, request.path["message"])

    async def create(self, request: Request) -> Reply:
        body = request.body
        now = self._clock()
        spoken = body.required("body", text(longest=LONGEST_BODY))
        terms = await self._accounts.terms(request.account_id)
        policy = terms.identity
        numbers = _recipients(body, policy.country)
        originator = body.optional("originator", text(longest=32), zero_is_unset=True)
        caller_id = await self._caller_id(request.account_id, originator, policy, body)
        scheduled = body.optional("scheduledDatetime", timestamp, zero_is_unset=True)
        message = NewMessage(
            id=uuid.uuid4().hex,
            account_id=request.account_id,
            originator=originator,
            body=spoken,
            reference=body.optional("reference", text(longest=60), zero_is_unset=True),
            language=body.get("language", text(longest=35), USUAL_LANGUAGE, zero_is_unset=True),
            voice=body.get("voice", choice(Voice), Voice.FEMALE, zero_is_unset=True),
            repeat=body.get("repeat", integer(least=1, most=MOST_REPEATS), 1, zero_is_unset=True),
            if_machine=body.get("ifMachine", choice(IfMachine), IfMachine.DELAY, zero_is_unset=True),
            machine_timeout=body.get(
                "machineTimeout",
                integer(least=400, most=10_000),
                USUAL_MACHINE_TIMEOUT,
                zero_is_unset=True,
            ),
            scheduled_at=scheduled,
            report_url=body.optional("reportUrl", url, zero_is_unset=True),
            simulated=request.is_test,
            created_at=now,
        )
        document = _document(message, body)
        for number in numbers:
            if why := out_of_reach(terms.limits, f"+{number}"):
                body.fault("recipients", why)
        body.check()
        if not request.is_test:
            await self._purse.check(request.account_id, [f"+{number}" for number in numbers])
        wanted = [
            (
                number,
                NewCall(
                    call_id=str(uuid.uuid4()),
                    account_id=request.account_id,
                    origin="voice_message",
                    source=caller_id or "",
                    destination=f"+{number}",
                    document=document,
                    ring_seconds=RING_SECONDS,
                    max_seconds=terms.max_call_seconds,
                    simulated=request.is_test,
                    not_before=max(scheduled or 0.0, now),
                    created_at=now,
                ),
            )
            for number in numbers
        ]
        await self._store.accept(message, wanted)
        return await self._reply(request, message.id, status=201)

    async def delete(self, request: Request) -> Reply:
        message_id = request.path["message"]
        if not await self._store.delete(request.account_id, message_id, _DELETED):
            raise NotFound("voice message", message_id)
        return Reply.empty()

    async def _caller_id(
        self, account_id: str, originator: str | None, policy: IdentityPolicy, body: Fields
    ) -> str | None:
        """A number that the account may show: the originator; when that is a name, the account's first."""
        wanted: str | None = None
        if originator is not None and originator.lstrip("+").replace(" ", "").isdigit():
            try:
                wanted = e164(originator, policy.country)
            except Misfit as misfit:
                body.fault("originator", misfit.message)
                return None
        if wanted is not None and policy.allows(wanted):
            return wanted
        found = await self._store.caller_id(account_id, wanted)
        if found is None:
            owned = f"The account has no number {wanted}" if wanted else "The account has no number"
            body.fault("originator", f"{owned}, so there is no caller id to show. Add the number first.")
        return found

    async def _reply(self, request: Request, message_id: str, *, status: int = 200) -> Reply:
        row = await self._store.find(request.account_id, message_id)
        if row is None:
            raise NotFound("voice message", message_id)
        people = await self._store.recipients_of([message_id])
        return Reply.json(_shown(row, people[message_id], request), status=status)


_DELETED: Final = "The voice message was deleted before this call was placed."


def _recipients(body: Fields, country: str | None) -> tuple[str, ...]:
    """Numbers in digits, each once: from a list, or a text with commas between them."""
    given = body.raw("recipients")
    if given is None or given == "" or given == []:
        body.fault("recipients", "recipients is missing: name whom to call.", code=Code.MISSING)
        return ()
    listed = given.split(",") if isinstance(given, str) else given if isinstance(given, list) else [given]
    if len(listed) > MOST_RECIPIENTS:
        body.fault("recipients", f"There are {len(listed)} recipients: {MOST_RECIPIENTS} at most.")
        return ()
    numbers: dict[str, None] = {}
    for index, one in enumerate(listed):
        try:
            numbers[e164(one, country).removeprefix("+")] = None
        except Misfit as misfit:
            body.fault("recipients", misfit.message, within=f"/{index}")
    return tuple(numbers)


def _document(message: NewMessage, body: Fields) -> str | None:
    """The callflow that reads the message, in canonical XML."""
    options = {
        "payload": message.body or "-",
        "language": message.language,
        "voice": message.voice,
        "repeat": message.repeat,
        "ifMachine": message.if_machine,
        "machineTimeout": message.machine_timeout,
    }
    try:
        return to_canonical(from_json({"steps": [{"id": "message", "action": "say", "options": options}]}))
    except DocumentFaults as faults:
        for fault in faults.faults:
            where = "language" if fault.element.endswith("language") else "body"
            body.fault(where, f"{fault.message} {fault.remedy}")
        return None


def _shown(row: Row, people: tuple[Recipient, ...], request: Request) -> Json:
    def counted(*statuses: RecipientStatus) -> int:
        return sum(one.status in statuses for one in people)

    return {
        "id": row["id"],
        "href": f"{request.public_url}/voicemessages/{row['id']}",
        "originator": row["originator"],
        "body": row["body"],
        "reference": row["reference"],
        "language": row["language"],
        "voice": row["voice"],
        "repeat": row["repeat"],
        "ifMachine": row["if_machine"],
        "machineTimeout": row["machine_timeout"],
        "reportUrl": row["report_url"],
        "scheduledDatetime": None if row["scheduled_at"] is None else offset_time(row["scheduled_at"]),
        "createdDatetime": offset_time(row["created_at"]),
        "recipients": {
            "totalCount": len(people),
            "totalSentCount": len(people) - counted(*OPEN),
            "totalDeliveredCount": counted(*_DELIVERED),
            "totalDeliveryFailedCount": counted(*_FAILED),
            "items": [
                {
                    "recipient": int(one.number),
                    "originator": None,
                    "status": one.status.value,
                    "statusDatetime": None if one.status_at is None else offset_time(one.status_at),
                }
                for one in people
            ],
        },
    }


_NUMBER: Final[Json] = {"type": "integer"}
_MOMENT: Final = schemas.maybe(schemas.TIME)
_MESSAGE: Final = schemas.shape(
    {
        "id": schemas.TEXT,
        "href": schemas.TEXT,
        "originator": schemas.maybe(schemas.TEXT),
        "body": schemas.TEXT,
        "reference": schemas.maybe(schemas.TEXT),
        "language": schemas.TEXT,
        "voice": schemas.TEXT,
        "repeat": _NUMBER,
        "ifMachine": schemas.TEXT,
        "machineTimeout": _NUMBER,
        "reportUrl": schemas.maybe(schemas.TEXT),
        "scheduledDatetime": _MOMENT,
        "createdDatetime": schemas.TIME,
        "recipients": schemas.shape(
            {
                "totalCount": _NUMBER,
                "totalSentCount": _NUMBER,
                "totalDeliveredCount": _NUMBER,
                "totalDeliveryFailedCount": _NUMBER,
                "items": {
                    "type": "array",
                    "items": schemas.shape(
                        {
                            "recipient": _NUMBER,
                            "originator": schemas.maybe(schemas.TEXT),
                            "status": {"type": "string", "enum": [str(one) for one in RecipientStatus]},
                            "statusDatetime": _MOMENT,
                        }
                    ),
                },
            }
        ),
    },
    title="VoiceMessage",
)
_BODY: Final = schemas.fields(
    {
        "recipients": {
            "description": f"Up to {MOST_RECIPIENTS} numbers, in a list or with commas between them.",
            "anyOf": [{"type": "array", "items": {"type": ["integer", "string"]}}, schemas.TEXT],
        },
        "body": {"type": "string", "maxLength": LONGEST_BODY, "description": "What is read."},
        "originator": schemas.described(
            schemas.maybe(schemas.TEXT),
            "A number that the account owns; a name shows the account's first one.",
        ),
        "reference": schemas.maybe(schemas.TEXT),
        "language": schemas.described(schemas.TEXT, f"{USUAL_LANGUAGE} without it."),
        "voice": {"type": "string", "enum": [str(one) for one in Voice]},
        "repeat": {"type": "integer", "minimum": 1, "maximum": MOST_REPEATS},
        "ifMachine": {"type": "string", "enum": [str(one) for one in IfMachine]},
        "machineTimeout": {"type": "integer", "minimum": 400, "maximum": 10_000},
        "scheduledDatetime": _MOMENT,
        "reportUrl": schemas.maybe(schemas.URL),
    },
    required=("recipients", "body"),
)


def operations(services: Services) -> tuple[Operation, ...]:
    messages = VoiceMessages(services)

    def operation(method: str, path: str, run: Any, summary: str, **more: Any) -> Operation:
        return Operation(
            method=method,
            path=path,
            run=run,
            family=Family.REST,
            tag=_TAG,
            scope=_SCOPE,
            summary=summary,
            **more,
        )

    return (
        operation(
            "POST",
            "/voicemessages",
            messages.create,
            "Send a voice message",
            description="201 says that it is stored, and that everybody will be called once.",
            body=_BODY,
            answers={201: _MESSAGE},
        ),
        operation(
            "GET",
            "/voicemessages",
            messages.list,
            "List voice messages",
            query=PARAMETERS,
            answers={200: many(_MESSAGE)},
        ),
        operation(
            "GET", "/voicemessages/{message}", messages.one, "View a voice message", answers={200: _MESSAGE}
        ),
        operation(
            "DELETE",
            "/voicemessages/{message}",
            messages.delete,
            "Delete a voice message",
            description="Who was not called yet will not be.",
            answers={204: ""},
        ),
    )
