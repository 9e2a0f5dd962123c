"""The rate table: what a minute costs, by prefix; kept by the operator."""

from __future__ import annotations

from typing import Any, Final

from voice.api import schemas
from voice.api.admin.shapes import many
from voice.api.balance import currency
from voice.api.faults import Family, Json, NotFound
from voice.api.money import amount, shown_amount
from voice.api.operation import Account, Operation
from voice.api.paging import PARAMETERS, USUAL_REST, Page, rest_list
from voice.api.readers import Misfit, fitting
from voice.api.reply import Reply
from voice.api.request import Request
from voice.api.services import Services
from voice.store.listing import Row
from voice.store.money import Money, Rate

_TAG: Final = "Balance and rates"


def prefix(text: str) -> str:
    digits = text.strip().removeprefix("+")
    if digits and not (digits.isascii() and digits.isdigit() and len(digits) <= 15):
        raise Misfit(
            "This is no prefix: write the first digits of numbers, such as 3120, or nothing for all."
        )
    return digits


class Rates:
    def __init__(self, services: Services) -> None:
        self._money = Money(services.database)

    async def list(self, request: Request) -> Reply:
        page = Page.of(request.query, usual=USUAL_REST)
        found = await self._money.list_rates(page.window, request.account)
        items = [_shown(row, request) for row in found.rows]
        return Reply.json(rest_list(items, page, found.total, f"{request.public_url}/rates"))

    async def put(self, request: Request) -> Reply:
        body = request.body
        read = fitting(prefix)
        wanted = Rate(
            id="",
            account_id=request.account,
            prefix="" if body.raw("prefix") == "" else body.required("prefix", read),
            per_minute=body.required("perMinute", amount),
            currency=body.get("currency", fitting(currency), "EUR"),
        )
        body.check()
        kept = await self._money.put_rate(wanted)
        row = await self._money.find_rate(kept.id)
        assert row is not None
        return Reply.json(_shown(row, request), status=201)

    async def one(self, request: Request) -> Reply:
        row = await self._money.find_rate(request.path["rate"])
        if row is None:
            raise NotFound("rate", request.path["rate"])
        return Reply.json(_shown(row, request))

    async def delete(self, request: Request) -> Reply:
        if not await self._money.delete_rate(request.path["rate"]):
            raise NotFound("rate", request.path["rate"])
        return Reply.empty()


def _shown(row: Row, request: Request) -> Json:
    return {
        "id": row["id"],
        "href": f"{request.public_url}/rates/{row['id']}",
        "accountId": row["account_id"],
        "prefix": row["prefix"],
        "perMinute": shown_amount(row["per_minute"]),
        "currency": row["currency"],
    }


_RATE: Final = schemas.shape(
    {
        "id": schemas.ID,
        "href": schemas.TEXT,
        "accountId": schemas.maybe(schemas.ID),
        "prefix": schemas.TEXT,
        "perMinute": {"type": "number"},
        "currency": schemas.TEXT,
    },
    title="Rate",
)
_BODY: Final = schemas.fields(
    {
        "prefix": schemas.described(
            schemas.TEXT, "First digits of the numbers; the longest that fits counts. Empty: all numbers."
        ),
        "perMinute": schemas.described(
            {"type": "number"}, "Charged by the second begun; up to six decimals."
        ),
        "currency": schemas.described(schemas.TEXT, "ISO 4217; EUR without it."),
    },
    required=("prefix", "perMinute"),
)


def operations(services: Services) -> tuple[Operation, ...]:
    rates = Rates(services)
    common: dict[str, Any] = {
        "family": Family.REST,
        "tag": _TAG,
        "scope": "rates",
        "account": Account.OPERATOR,
    }
    return (
        Operation(
            method="GET",
            path="/rates",
            run=rates.list,
            summary="List rates",
            description="With ?account= those of an account, without it those for all.",
            query=PARAMETERS,
            answers={200: many(_RATE)},
            **common,
        ),
        Operation(
            method="POST",
            path="/rates",
            run=rates.put,
            summary="Set a rate",
            description="Replaces the one for the same prefix. With ?account= it is that account's own.",
            body=_BODY,
            answers={201: _RATE},
            **common,
        ),
        Operation(
            method="GET",
            path="/rates/{rate}",
            run=rates.one,
            summary="View a rate",
            answers={200: _RATE},
            **common,
        ),
        Operation(
            method="DELETE",
            path="/rates/{rate}",
            run=rates.delete,
            summary="Delete a rate",
            answers={204: ""},
            **common,
        ),
    )
