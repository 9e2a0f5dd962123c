"""Accounts: the customers, and how much each may call."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sip_config import bounds
from sip_config.configuration import Configuration, new_id
from sip_config.model import Account, AccountId, Origin
from voice.api.admin import shapes
from voice.api.admin.editing import Editor
from voice.api.admin.entries import Entries, Kind, operations_of
from voice.api.admin.identity_fields import IDENTITY, read_identity, shown_identity
from voice.api.admin.limit_fields import LIMITS, read_limits, shown_limits
from voice.api.admin.reading import NAME, callflow_of
from voice.api.faults import Forbidden, Json
from voice.api.operation import Account as Owner
from voice.api.operation import Operation
from voice.api.readers import integer, number
from voice.api.request import Request

_BODY: Final = {
    "name": shapes.described(shapes.TEXT, "Unique; up to 64 characters."),
    "callsPerSecond": {
        "type": "number",
        "minimum": bounds.CALLS_PER_SECOND["least"],
        "maximum": bounds.CALLS_PER_SECOND["most"],
    },
    "concurrentCalls": {"type": "integer", "minimum": 0, "maximum": bounds.CONCURRENT_CALLS["most"]},
    "maxCallSeconds": {"type": "integer", "minimum": 1, "maximum": bounds.MAX_CALL_SECONDS["most"]},
    "fallbackCallflowId": shapes.described(
        shapes.maybe(shapes.TEXT), "Runs when a dynamic callflow cannot be had."
    ),
    "limits": LIMITS,
    "identity": IDENTITY,
}
_SHOWN: Final = shapes.shape(
    {
        "id": shapes.TEXT,
        "href": shapes.HREF,
        **_BODY,
        "fallbackCallflowId": shapes.maybe(shapes.TEXT),
        "origin": shapes.ORIGIN,
    },
    title="Account",
)
_OPERATORS: Final = (
    "name", "callsPerSecond", "concurrentCalls", "maxCallSeconds", "limits", "identity",
)  # fmt: skip


def _read(request: Request, old: Account | None, current: Configuration) -> Account:
    body = request.body
    if not request.by.is_operator:
        for name in _OPERATORS:
            if name in body:
                raise Forbidden(f"Only an operator's access key may change {name}.")
    name = body.required("name", NAME) if old is None else body.get("name", NAME, old.name)
    usual = old or Account(id=AccountId(new_id()), name=name, origin=Origin.API)
    account = replace(
        usual,
        name=name,
        calls_per_second=body.get(
            "callsPerSecond", number(**bounds.CALLS_PER_SECOND), usual.calls_per_second
        ),
        concurrent_calls=body.get(
            "concurrentCalls", integer(**bounds.CONCURRENT_CALLS), usual.concurrent_calls
        ),
        max_call_seconds=body.get(
            "maxCallSeconds", integer(**bounds.MAX_CALL_SECONDS), usual.max_call_seconds
        ),
        fallback_callflow_id=callflow_of(
            body, "fallbackCallflowId", usual.id, current, usual.fallback_callflow_id
        ),
        limits=read_limits(body, usual.limits),
        identity=read_identity(body, usual.identity),
    )
    body.check()
    return account


def _shown(account: Account, _: Configuration) -> Json:
    return {
        "name": account.name,
        "callsPerSecond": account.calls_per_second,
        "concurrentCalls": account.concurrent_calls,
        "maxCallSeconds": account.max_call_seconds,
        "fallbackCallflowId": account.fallback_callflow_id,
        "limits": shown_limits(account.limits),
        "identity": shown_identity(account.identity),
        "origin": account.origin,
    }


def operations(editor: Editor) -> tuple[Operation, ...]:
    kind: Kind[Account] = Kind(
        table="accounts",
        noun="account",
        plural="accounts",
        path="/accounts",
        called=lambda account: account.name,
        id=lambda account: account.id,
        owner=lambda account: account.id,
        shown=_shown,
        read=_read,
    )
    return operations_of(
        Entries(editor, kind),
        tag="Accounts",
        scope="accounts",
        shown=_SHOWN,
        body=_BODY,
        required=("name",),
        create=Owner.OPERATOR,
        delete=Owner.OPERATOR,
        about="An account's own key sees and changes that account; it may only change fallbackCallflowId. "
        "Deleting an account deletes all it has; records of its calls stay.",
    )
