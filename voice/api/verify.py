"""Verify: a code is told to somebody by telephone, and entered (reference section 7)."""

from __future__ import annotations

import uuid
from typing import Any, Final

from callflows.faults import DocumentFaults
from callflows.steps.say import Voice
from sip_config.identity_policy import IdentityPolicy
from voice.api import schemas
from voice.api.faults import Code, Family, Invalid, Json, NotFound, TooManyRequests
from voice.api.fields import Fields
from voice.api.money import Purse
from voice.api.operation import Operation
from voice.api.reach import out_of_reach
from voice.api.readers import choice, e164_in, integer, text, truth, url
from voice.api.reply import Reply
from voice.api.request import Request
from voice.api.services import Services
from voice.messages import offset_time
from voice.store.keys import node_key
from voice.store.listing import Accounts, Row
from voice.store.messages import MessageStore
from voice.store.outbound import NewCall, OutboundStore
from voice.store.verifications import (
    WINDOW_SECONDS,
    Entered,
    NewVerification,
    VerificationStore,
    VerifyStatus,
)
from voice.verify import MARK, digest, new_token, spoken
from voice.webhooks.signing import sorted_query

_TAG: Final = "Verify"
_SCOPE: Final = "verify"

USUAL_TEMPLATE: Final = f"Your code is: {MARK}"
USUAL_SECONDS: Final = 30
LONGEST_SECONDS: Final = 259_200
MOST_ATTEMPTS: Final = 10
MOST_AN_HOUR: Final = 10
"""Verifications of one recipient: each is a call that somebody pays for."""
_CHANNELS: Final = ("sms", "flash", "email")
_CALL_SECONDS: Final = 120
_RING_SECONDS: Final = 30.0


class Verifications:
    def __init__(self, services: Services) -> None:
        outbound = OutboundStore(services.database, services.clock, services.bells)
        self._database = services.database
        self._store = VerificationStore(services.database, outbound, services.clock)
        self._messages = MessageStore(services.database, outbound)
        self._accounts = Accounts(services.database)
        self._purse = Purse(services)
        self._clock = services.clock

    async def create(self, request: Request) -> Reply:
        body = request.body
        _check_channel(body)
        now = self._clock()
        terms = await self._accounts.terms(request.account_id)
        policy = terms.identity
        number = body.required("recipient", e164_in(policy.country))
        originator = body.optional("originator", text(longest=32), zero_is_unset=True)
        template = body.get("template", text(longest=500), USUAL_TEMPLATE, zero_is_unset=True)
        if template and MARK not in template:
            body.fault("template", f"The template does not say where the code goes: write {MARK} there.")
        language = body.get("language", text(longest=35), "en-gb", zero_is_unset=True)
        voice = body.get("voice", choice(Voice), Voice.FEMALE, zero_is_unset=True)
        seconds = body.get(
            "timeout", integer(least=1, most=LONGEST_SECONDS), USUAL_SECONDS, zero_is_unset=True
        )
        length = body.get("tokenLength", integer(least=6, most=10), 6, zero_is_unset=True)
        attempts = body.get("maxAttempts", integer(least=1, most=MOST_ATTEMPTS), 1, zero_is_unset=True)
        returned = body.get("returnToken", truth, False)
        reference = body.optional("reference", text(longest=60), zero_is_unset=True)
        report_url = body.optional("reportUrl", url, zero_is_unset=True)
        caller_id = await self._caller_id(request.account_id, originator, policy, body)
        token = new_token(length or 6)
        document = _document(template or USUAL_TEMPLATE, token, language, voice, body)
        if number and (why := out_of_reach(terms.limits, number)):
            body.fault("recipient", why)
        body.check()
        recipient = number.removeprefix("+")
        if not request.is_test:
            await self._purse.check(request.account_id, [number])
        verification_id = uuid.uuid4().hex
        call_id = str(uuid.uuid4())
        wanted = NewVerification(
            id=verification_id,
            account_id=request.account_id,
            recipient=recipient,
            originator=originator,
            reference=reference,
            type="tts",
            template=template,
            language=language,
            voice=voice,
            token_digest=digest(await self._key(), verification_id, token),
            max_attempts=attempts,
            call_id=call_id,
            report_url=report_url,
            created_at=now,
            valid_until=now + seconds,
        )
        call = NewCall(
            call_id=call_id,
            account_id=request.account_id,
            origin="verify",
            source=caller_id or "",
            destination=number,
            document=document,
            ring_seconds=_RING_SECONDS,
            max_seconds=_CALL_SECONDS,
            simulated=request.is_test,
            not_before=now,
            created_at=now,
        )
        if not await self._store.accept(wanted, call, MOST_AN_HOUR):
            raise TooManyRequests(
                WINDOW_SECONDS,
                f"{number} was called {MOST_AN_HOUR} times within an hour. Wait, or check who asks for this.",
            )
        shown = _shown(await self._known(request, verification_id), request)
        return Reply.json({**shown, "token": token} if returned else shown, status=201)

    async def one(self, request: Request) -> Reply:
        """With ``token`` in the query, it is entered."""
        verification_id = request.path["verification"]
        if "token" in request.query:
            await self._enter(request, verification_id)
        return Reply.json(_shown(await self._known(request, verification_id), request))

    async def delete(self, request: Request) -> Reply:
        verification_id = request.path["verification"]
        if not await self._store.delete(request.account_id, verification_id, _DELETED):
            raise _unknown(verification_id)
        return Reply.empty()

    async def email(self, request: Request) -> Reply:
        """There are no e-mails yet, so none is ever found."""
        raise NotFound("email message", request.path["message"])

    async def _enter(self, request: Request, verification_id: str) -> None:
        given = request.query.raw("token")
        token = given.strip() if isinstance(given, str) else ""
        if not token:
            raise Invalid.field("token", "The token is empty.", code=Code.MISSING)
        entered = await self._store.enter(
            request.account_id,
            verification_id,
            digest(await self._key(), verification_id, token[:64]),
            _report,
        )
        match entered:
            case None:
                raise _unknown(verification_id)
            case Entered.WRONG:
                raise Invalid.field("token", "The token is incorrect.")
            case Entered.TOO_OFTEN:
                raise Invalid.field("token", "The token was entered wrongly too often: begin anew.")
            case Entered.EXPIRED:
                raise Invalid.field("token", "The token has expired: begin anew.")
            case Entered.OVER:
                raise Invalid.field("token", "The token was used before.")
            case Entered.RIGHT:
                return

    async def _known(self, request: Request, verification_id: str) -> Row:
        row = await self._store.find(request.account_id, verification_id)
        if row is None:
            raise _unknown(verification_id)
        return row

    async def _key(self) -> bytes:
        return await node_key(self._database, "verify", now=self._clock())

    async def _caller_id(
        self, account_id: str, originator: str | None, policy: IdentityPolicy, body: Fields
    ) -> str | None:
        """The number that the originator is, when the account may show it, else the account's first."""
        digits = (originator or "").strip().removeprefix("+")
        wanted = f"+{digits}" if digits.isascii() and digits.isdigit() else None
        if wanted is not None and policy.allows(wanted):
            return wanted
        found = await self._messages.caller_id(account_id, wanted)
        if found is None:
            owned = f"The account has no number {wanted}" if wanted else "The account has no number"
            body.fault("originator", f"{owned}, so there is no caller id to show. Add the number first.")
        return found


_DELETED: Final = "The verification was deleted before this call was placed."


def _check_channel(body: Fields) -> None:
    """Refuses the channels that do not exist here; without a type it is sms, as in the original service."""
    given = body.raw("type")
    kind = str(given).strip().lower() if given else "sms"
    if kind == "tts":
        return
    known = "is not available here yet" if kind in _CHANNELS else "does not exist"
    raise Invalid.field("type", f"The type {kind[:20]} {known}: codes are told by telephone, with type tts.")


def _document(template: str, token: str, language: str, voice: str, body: Fields) -> str | None:
    try:
        return spoken(template, token, language=language, voice=voice)
    except DocumentFaults as faults:
        for fault in faults.faults:
            where = "language" if fault.element.endswith("language") else "template"
            body.fault(where, f"{fault.message} {fault.remedy}")
        return None


def _unknown(verification_id: str) -> NotFound:
    return NotFound("verification", verification_id)


def _report(row: Row, status: str) -> str:
    said = {"id": row["id"], "recipient": row["recipient"], "status": status}
    if row["reference"]:
        said["reference"] = row["reference"]
    return sorted_query(row["report_url"], said)


def _shown(row: Row, request: Request) -> Json:
    base = request.public_url
    return {
        "id": row["id"],
        "href": f"{base}/verify/{row['id']}",
        "recipient": int(row["recipient"]),
        "originator": row["originator"],
        "reference": row["reference"],
        "type": row["type"],
        "messages": {"id": row["call_id"], "href": f"{base}/calls/{row['call_id']}"},
        "status": str(row["status"]),
        "createdDatetime": offset_time(row["created_at"]),
        "validUntilDatetime": offset_time(row["valid_until"]),
    }


_SHOWN: Final = schemas.shape(
    {
        "id": schemas.TEXT,
        "href": schemas.TEXT,
        "recipient": {"type": "integer"},
        "originator": schemas.maybe(schemas.TEXT),
        "reference": schemas.maybe(schemas.TEXT),
        "type": schemas.TEXT,
        "messages": schemas.shape({"id": schemas.TEXT, "href": schemas.TEXT}),
        "status": {"type": "string", "enum": [str(one) for one in VerifyStatus]},
        "createdDatetime": schemas.TIME,
        "validUntilDatetime": schemas.TIME,
        "token": schemas.described(schemas.TEXT, "With returnToken only."),
    },
    title="Verification",
    optional=("token",),
)
_BODY: Final = schemas.fields(
    {
        "recipient": {"type": ["string", "integer"], "description": "A telephone number."},
        "type": schemas.described({"type": "string", "enum": ["tts"]}, "Codes are told by telephone only."),
        "originator": schemas.maybe(schemas.TEXT),
        "reference": schemas.maybe(schemas.TEXT),
        "template": schemas.described(schemas.TEXT, f"What is said, with {MARK} where the code goes."),
        "language": schemas.TEXT,
        "voice": {"type": "string", "enum": [str(one) for one in Voice]},
        "timeout": {"type": "integer", "minimum": 1, "maximum": LONGEST_SECONDS},
        "tokenLength": {"type": "integer", "minimum": 6, "maximum": 10},
        "maxAttempts": {"type": "integer", "minimum": 1, "maximum": MOST_ATTEMPTS},
        "returnToken": schemas.TRUTH,
        "reportUrl": schemas.maybe(schemas.URL),
    },
    required=("recipient", "type"),
)


def operations(services: Services) -> tuple[Operation, ...]:
    verifications = Verifications(services)
    common: dict[str, Any] = {"family": Family.REST, "tag": _TAG, "scope": _SCOPE}
    return (
        Operation(
            method="POST",
            path="/verify",
            run=verifications.create,
            summary="Tell somebody a code",
            description="Calls the recipient and reads a code, digit by digit and twice. "
            f"At most {MOST_AN_HOUR} times an hour for one recipient.",
            body=_BODY,
            answers={201: _SHOWN},
            **common,
        ),
        Operation(
            method="GET",
            path="/verify/{verification}",
            run=verifications.one,
            summary="View a verification, or enter its code",
            query={"token": {"type": "string", "description": "The code that was told."}},
            answers={200: _SHOWN},
            **common,
        ),
        Operation(
            method="DELETE",
            path="/verify/{verification}",
            run=verifications.delete,
            summary="Delete a verification",
            answers={204: ""},
            **common,
        ),
        Operation(
            method="GET",
            path="/verify/messages/email/{message}",
            run=verifications.email,
            summary="View an email of a verification",
            answers={200: schemas.shape({"id": schemas.TEXT, "status": schemas.TEXT})},
            **common,
        ),
    )
