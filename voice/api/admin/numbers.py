"""Numbers: which an account owns, and what answers them.

Who owns a number is the operator's word: whoever could claim one would take its calls, and call under it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sip_config.configuration import Configuration, new_id
from sip_config.model import Number, Origin
from voice.api.admin import shapes
from voice.api.admin.editing import Editor
from voice.api.admin.entries import Entries, Kind, operations_of, owner_of
from voice.api.admin.reading import OWN_NUMBER, answer_of
from voice.api.faults import Forbidden, Invalid, Json
from voice.api.operation import Operation
from voice.api.request import Request
from voice.objects import timestamp

_BODY: Final = {
    "number": shapes.described(shapes.TEXT, "With its country code; stored as E.164, such as +31201234567."),
    "callflowId": shapes.described(
        shapes.maybe(shapes.TEXT),
        "What answers; an id or title. Without it and callflowUrl, the account's default callflow does.",
    ),
    "callflowUrl": shapes.described(
        shapes.maybe(shapes.URL), "Asked for a callflow whenever the number is called."
    ),
}
_SHOWN: Final = shapes.shape(
    {
        "id": shapes.TEXT,
        "href": shapes.HREF,
        "accountId": shapes.TEXT,
        "number": shapes.NUMBER,
        "callflowId": shapes.maybe(shapes.TEXT),
        "callflowUrl": shapes.maybe(shapes.URL),
        "origin": shapes.ORIGIN,
        "createdAt": shapes.maybe(shapes.TIME),
        "updatedAt": shapes.maybe(shapes.TIME),
    },
    title="OwnedNumber",
)


def _read(request: Request, old: Number | None, current: Configuration) -> Number:
    body = request.body
    if old is None:
        if not request.by.is_operator:
            raise Forbidden("Only an operator's access key may give a number to an account.")
        owned = Number(
            id=new_id(),
            account_id=owner_of(request),
            e164=body.required("number", OWN_NUMBER),
            origin=Origin.API,
        )
    else:
        owned = old
        if body.get("number", OWN_NUMBER, old.e164) != old.e164:
            raise Invalid.field("number", "A number cannot become another. Delete it, and create the other.")
    flow, url = answer_of(body, owned.account_id, current, (owned.callflow_id, owned.callflow_url))
    body.check()
    return replace(owned, callflow_id=flow, callflow_url=url)


def _shown(number: Number, _: Configuration) -> Json:
    return {
        "accountId": number.account_id,
        "number": number.e164,
        "callflowId": number.callflow_id,
        "callflowUrl": number.callflow_url,
        "origin": number.origin,
        "createdAt": None if number.created_at is None else timestamp(number.created_at),
        "updatedAt": None if number.updated_at is None else timestamp(number.updated_at),
    }


def operations(editor: Editor) -> tuple[Operation, ...]:
    kind: Kind[Number] = Kind(
        table="numbers",
        noun="number",
        plural="numbers",
        path="/numbers",
        called=lambda number: number.e164,
        id=lambda number: number.id,
        owner=lambda number: number.account_id,
        shown=_shown,
        read=_read,
    )
    return operations_of(
        Entries(editor, kind),
        tag="Numbers",
        scope="numbers",
        shown=_SHOWN,
        body=_BODY,
        required=("number",),
        about="An operator gives numbers to accounts; an account decides what answers them, and may give "
        "them back.",
    )
