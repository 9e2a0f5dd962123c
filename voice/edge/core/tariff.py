"""What calls cost and who can pay them, as the edge was last told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

_LONGEST_PREFIX: Final = 15


class Funds(NamedTuple):
    """Of a prepaid account."""

    amount: int
    """In millionths of the unit."""
    currency: str


class Tariff:
    """Rates and prepaid balances at one moment."""

    def __init__(
        self,
        rates: Iterable[tuple[str | None, str, int]] = (),
        prepaid: Mapping[str, Funds] | None = None,
    ) -> None:
        """`rates`: account, or None for all, prefix and millionths a minute."""
        self._rates: dict[str | None, dict[str, int]] = {}
        for account_id, prefix, per_minute in rates:
            self._rates.setdefault(account_id, {})[prefix] = per_minute
        self._prepaid = prepaid or {}

    def with_prepaid(self, prepaid: Mapping[str, Funds]) -> Tariff:
        """The same rates."""
        tariff = Tariff(prepaid=prepaid)
        tariff._rates = self._rates
        return tariff

    def funds(self, account_id: str) -> Funds | None:
        """None: the account is postpaid."""
        return self._prepaid.get(account_id)

    def per_minute(self, account_id: str, destination: str) -> int | None:
        """By the longest prefix; the account's own rates count before those for all.  None: no rate."""
        own, shared = self._rates.get(account_id), self._rates.get(None)
        if own is None and shared is None:
            return None
        digits = destination.removeprefix("+")
        for length in range(min(len(digits), _LONGEST_PREFIX), -1, -1):
            prefix = digits[:length]
            for rates in (own, shared):
                if rates is not None and prefix in rates:
                    return rates[prefix]
        return None
