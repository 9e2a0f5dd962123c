"""The balance of an account: looked at by its owner, set and topped up by the operator."""

from __future__ import annotations

from typing import Any, Final

from voice.api import schemas
from voice.api.faults import Conflict, Family, Json
from voice.api.money import amount, shown_amount
from voice.api.operation import Account, Operation
from voice.api.readers import Misfit, choice, fitting, truth
from voice.api.reply import Reply
from voice.api.request import Request
from voice.api.services import Services
from voice.store.money import Balance, Money, Payment

_TAG: Final = "Balance and rates"
_SCOPE: Final = "balance"

_TYPES: Final = {"EUR": "euros", "USD": "dollars", "GBP": "pounds"}
"""MessageBird's words for what an amount is of; any other currency counts as credits."""


def currency(text: str) -> str:
    """ISO 4217, in capitals."""
    given = text.strip().upper()
    if len(given) != 3 or not (given.isascii() and given.isalpha()):
        raise Misfit("This is no currency: write three letters of ISO 4217, such as EUR.")
    return given


class Balances:
    def __init__(self, services: Services) -> None:
        self._money = Money(services.database)

    async def view(self, request: Request) -> Reply:
        return await self._reply(request.account_id)

    async def set(self, request: Request) -> Reply:
        """What the body leaves out stays as it is."""
        body = request.body
        now = await self._money.balance(request.account_id)
        wanted = Balance(
            amount=body.get("amount", amount, now.amount),
            currency=body.get("currency", fitting(currency), now.currency),
            payment=body.get("payment", choice(Payment), now.payment),
            end_when_spent=body.get("endWhenSpent", truth, now.end_when_spent),
        )
        body.check()
        await self._money.set_balance(request.account_id, wanted)
        return await self._reply(request.account_id)

    async def top_up(self, request: Request) -> Reply:
        body = request.body
        more = body.required("amount", amount)
        body.check()
        if not await self._money.add(request.account_id, more):
            raise Conflict("The account has no balance yet: set one with PUT /balance.")
        return await self._reply(request.account_id, status=201)

    async def _reply(self, account_id: str, *, status: int = 200) -> Reply:
        balance = await self._money.balance(account_id)
        shown: Json = {
            "payment": balance.payment.value,
            "type": _TYPES.get(balance.currency, "credits"),
            "amount": shown_amount(balance.amount),
            "currency": balance.currency,
            "endWhenSpent": balance.end_when_spent,
        }
        return Reply.json(shown, status=status)


_AMOUNT: Final = schemas.described({"type": "number"}, "In the currency's unit, up to six decimals.")
_SHOWN: Final = schemas.shape(
    {
        "payment": {"type": "string", "enum": [str(one) for one in Payment]},
        "type": schemas.TEXT,
        "amount": {"type": "number"},
        "currency": schemas.TEXT,
        "endWhenSpent": schemas.TRUTH,
    },
    title="Balance",
)


def operations(services: Services) -> tuple[Operation, ...]:
    balances = Balances(services)
    common: dict[str, Any] = {"family": Family.REST, "tag": _TAG, "scope": _SCOPE}
    return (
        Operation(
            method="GET",
            path="/balance",
            run=balances.view,
            summary="View the balance",
            answers={200: _SHOWN},
            **common,
        ),
        Operation(
            method="PUT",
            path="/balance",
            run=balances.set,
            summary="Set the balance of an account",
            description="For operators' keys, with ?account=. An account without a balance is not charged.",
            account=Account.OPERATOR,
            body=schemas.fields(
                {
                    "amount": _AMOUNT,
                    "currency": schemas.described(schemas.TEXT, "ISO 4217."),
                    "payment": schemas.described(
                        {"type": "string", "enum": [str(one) for one in Payment]},
                        "A prepaid account needs the first minute of every call that it asks for.",
                    ),
                    "endWhenSpent": schemas.described(
                        schemas.TRUTH, "Running calls end when a prepaid balance is spent."
                    ),
                }
            ),
            answers={200: _SHOWN},
            **common,
        ),
        Operation(
            method="POST",
            path="/balance/topups",
            run=balances.top_up,
            summary="Top a balance up",
            description="For operators' keys, with ?account=.",
            account=Account.OPERATOR,
            body=schemas.fields({"amount": _AMOUNT}, required=("amount",)),
            answers={201: _SHOWN},
            **common,
        ),
    )
