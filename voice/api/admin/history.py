"""Refusals and events: who was not let in and why, and what else happened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from voice.api.admin import shapes
from voice.api.faults import Family, Json
from voice.api.operation import Account as Owner
from voice.api.operation import Operation
from voice.api.paging import PARAMETERS, USUAL_REST, Page, rest_list
from voice.api.readers import text, timestamp
from voice.api.reply import Reply
from voice.api.request import Request
from voice.api.services import Services
from voice.explain import gates_of_refusal
from voice.objects import timestamp as shown_time
from voice.records import Gate
from voice.store.administration import EventFilter, RefusalFilter, events_page, refusals_page
from voice.store.listing import Found

_SINCE: Final = shapes.described(shapes.TIME, "Only from this time on.")
_REFUSAL: Final = shapes.shape(
    {
        "id": shapes.WHOLE,
        "at": shapes.TIME,
        "gate": shapes.described(shapes.word(*Gate), "Which check it was."),
        "cause": shapes.described(shapes.TEXT, "Why, as one stable word."),
        "rule": shapes.described(shapes.TEXT, "What decided."),
        "remedy": shapes.described(shapes.TEXT, "What would have to change."),
        "sipStatus": shapes.WHOLE,
        "source": shapes.described(shapes.TEXT, "The address it came from."),
        "method": shapes.TEXT,
        "requestUri": shapes.TEXT,
        "fromUri": shapes.TEXT,
        "sipCallId": shapes.TEXT,
        "accountId": shapes.maybe(shapes.TEXT),
        "domain": shapes.maybe(shapes.TEXT),
        "acl": shapes.described(shapes.maybe(shapes.TEXT), "The list that had admitted it."),
        "sipAccount": shapes.maybe(shapes.TEXT),
        "gates": shapes.described(
            shapes.listed(
                shapes.shape({"gate": shapes.word(*Gate), "verdict": shapes.TEXT, "entry": shapes.TEXT})
            ),
            "All gates in order: what each decided, and by which entry.",
        ),
        "count": shapes.described(shapes.WHOLE, "How many of the kind this stands for."),
    },
    title="Refusal",
)
_EVENT: Final = shapes.shape(
    {
        "id": shapes.WHOLE,
        "at": shapes.TIME,
        "kind": shapes.TEXT,
        "detail": shapes.TEXT,
        "callId": shapes.maybe(shapes.TEXT),
        "accountId": shapes.maybe(shapes.TEXT),
        "data": {"type": "object", "additionalProperties": shapes.TEXT},
    },
    title="Event",
)


class _History:
    def __init__(self, services: Services) -> None:
        self._database = services.database

    async def refusals(self, request: Request) -> Reply:
        query = request.query
        wanted = RefusalFilter(
            account_id=request.account,
            domain=_lower(query.optional("domain", text())),
            source=query.optional("source", text()),
            gate=query.optional("gate", text()),
            cause=query.optional("cause", text()),
            sip_call_id=query.optional("sipCallId", text()),
            since=query.optional("since", timestamp),
        )
        query.check()
        page = Page.of(query, usual=USUAL_REST)
        return _reply(request, page, await refusals_page(self._database, wanted, page.window), _refusal)

    async def events(self, request: Request) -> Reply:
        query = request.query
        wanted = EventFilter(
            account_id=request.account,
            kind=query.optional("kind", text()),
            call_id=query.optional("callId", text()),
            since=query.optional("since", timestamp),
        )
        query.check()
        page = Page.of(query, usual=USUAL_REST)
        return _reply(request, page, await events_page(self._database, wanted, page.window), _event)


def _lower(label: str | None) -> str | None:
    return None if label is None else label.lower()


def _reply(request: Request, page: Page, found: Found, shown: Any) -> Reply:
    items = [shown(row) for row in found.rows]
    return Reply.json(rest_list(items, page, found.total, request.public_url + request.url_path))


def _refusal(row: Mapping[str, Any]) -> Json:
    return {
        "id": row["id"],
        "at": shown_time(row["at"]),
        "gate": row["gate"],
        "cause": row["cause"],
        "rule": row["rule"],
        "remedy": row["remedy"],
        "sipStatus": row["sip_status"],
        "source": row["source_address"],
        "method": row["method"],
        "requestUri": row["request_uri"],
        "fromUri": row["from_uri"],
        "sipCallId": row["sip_call_id"],
        "accountId": row["account_id"],
        "domain": row["domain"],
        "acl": row["acl"],
        "sipAccount": row["sip_account"],
        "gates": [
            {"gate": one.gate, "verdict": one.verdict, "entry": one.entry} for one in gates_of_refusal(row)
        ],
        "count": row["count"],
    }


def _event(row: Mapping[str, Any]) -> Json:
    return {
        "id": row["id"],
        "at": shown_time(row["at"]),
        "kind": row["kind"],
        "detail": row["detail"],
        "callId": row["call_id"],
        "accountId": row["account_id"],
        "data": json.loads(row["data"]),
    }


def operations(services: Services) -> tuple[Operation, ...]:
    history = _History(services)
    return (
        Operation(
            method="GET",
            path="/sip/refusals",
            run=history.refusals,
            family=Family.REST,
            tag="Refusals and events",
            scope="refusals",
            account=Owner.OPTIONAL,
            summary="List refusals",
            description="Each names the gates in order, the rule that decided and what to change. Those of "
            "nobody's domain are shown to operators only.",
            query={
                **PARAMETERS,
                **shapes.OWNER,
                "domain": shapes.described(shapes.TEXT, "A domain's label."),
                "source": shapes.described(shapes.TEXT, "The address they came from."),
                "gate": shapes.described(shapes.TEXT, "The check, such as acl."),
                "cause": shapes.described(shapes.TEXT, "Why, such as acl-networks."),
                "sipCallId": shapes.TEXT,
                "since": _SINCE,
            },
            answers={200: shapes.many(_REFUSAL)},
        ),
        Operation(
            method="GET",
            path="/events",
            run=history.events,
            family=Family.REST,
            tag="Refusals and events",
            scope="events",
            account=Owner.OPTIONAL,
            summary="List events",
            description="What happened apart from calls going as they should, such as a call process that "
            "died.",
            query={
                **PARAMETERS,
                **shapes.OWNER,
                "kind": shapes.TEXT,
                "callId": shapes.TEXT,
                "since": _SINCE,
            },
            answers={200: shapes.many(_EVENT)},
        ),
    )
