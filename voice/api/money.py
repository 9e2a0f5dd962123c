"""Whether an account can pay for the calls that a request asks for, and amounts as the API writes them."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from voice.api.faults import NotEnoughBalance
from voice.api.readers import Misfit, number
from voice.api.services import Services
from voice.objects import MILLIONTHS
from voice.store.money import Money, Payment

LARGEST_AMOUNT: Final = 1_000_000_000


class Purse:
    """A prepaid account has to have the first minute of every call that it asks for."""

    def __init__(self, services: Services) -> None:
        self._money = Money(services.database)

    async def check(self, account_id: str, destinations: Iterable[str]) -> None:
        """Raises NotEnoughBalance."""
        balance = await self._money.balance(account_id)
        if balance.payment is not Payment.PREPAID:
            return
        needed = 0
        for destination in destinations:
            rate = await self._money.rate_for(account_id, destination)
            if rate is None:
                raise NotEnoughBalance(
                    f"There is no rate for {destination}, so a prepaid account cannot call it. "
                    "Ask the operator for a rate."
                )
            needed += rate.per_minute
        if needed > balance.amount or balance.amount <= 0:
            raise NotEnoughBalance(
                f"Not enough balance: {shown_amount(balance.amount)} {balance.currency} are there, a minute "
                f"takes {shown_amount(needed)}. Top the account up."
            )


def shown_amount(millionths: int) -> float:
    return millionths / MILLIONTHS


def amount(value: Any) -> int:
    """Reads an amount of money, such as 12.5 or "0.012"; in millionths.  Raises Misfit."""
    number(least=-LARGEST_AMOUNT, most=LARGEST_AMOUNT)(value)
    exact = Decimal(str(value).strip()) * MILLIONTHS
    if exact != exact.to_integral_value():
        raise Misfit("has more than six decimals; write fewer")
    return int(exact)
