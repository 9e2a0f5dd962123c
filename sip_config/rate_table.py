"""What a carrier charges for a minute, by the first digits of the number."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Final

from sip_config import words
from sip_config.faults import Unfit, quoted

MOST_RATES: Final = 50_000
"""Of one gateway; tables for the whole world have 10,000 to 40,000."""
MILLIONTHS: Final = 1_000_000
_MOST_PRICE: Final = Decimal(1_000)
_REMEDY: Final = 'Write lines of prefix and price per minute, such as "31,0.0085".'


@dataclass(frozen=True, slots=True, kw_only=True)
class RateTable:
    """Prices per minute, in whatever currency all tables have in common."""

    prices: dict[str, int] = field(default_factory=dict)
    """Digits without ``+`` -> millionths; the empty prefix fits every number."""

    def price(self, e164: str) -> int | None:
        """Of the longest fitting prefix, in millionths; None: there is none."""
        prices = self.prices
        if not prices:
            return None
        digits = e164.removeprefix("+")
        for length in range(len(digits), -1, -1):
            found = prices.get(digits[:length])
            if found is not None:
                return found
        return None

    def __str__(self) -> str:
        return f"{len(self.prices)} rates" if self.prices else "none"


NO_RATES: Final = RateTable()


class BadLine(Unfit):
    """A line of a rate table cannot be used."""

    def __init__(self, line: int, message: str, remedy: str) -> None:
        super().__init__(message, remedy)
        self.line = line
        """Counts from 1."""


def read_rates(text: str) -> RateTable:
    """A rate table as CSV: prefix, price; further columns, empty lines and one heading are passed over.

    Raises BadLine.
    """
    prices: dict[str, int] = {}
    lines = text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}").splitlines()
    separator = ";" if lines and lines[0].count(";") > lines[0].count(",") else ","
    for number, cells in _rows(lines, separator):
        if len(cells) < 2:
            raise BadLine(number, f"{quoted(separator.join(cells))} is no prefix and price.", _REMEDY)
        if not prices and number == 1 and not any(character.isdigit() for character in "".join(cells[:2])):
            continue  # The names of the columns.
        try:
            prefix = "" if not cells[0] else words.prefix(cells[0])
            price = price_of(cells[1])
        except Unfit as fault:
            raise BadLine(number, fault.message, fault.remedy) from None
        if cells[1] == "0" and cells[2:] and cells[2].isdigit():
            # Taken for 0, the carrier would be given every call.
            written = quoted(separator.join(cells[1:3]))
            raise BadLine(
                number,
                f"{written} may be a price with a decimal comma.",
                "Write the price with a point, such as 0.0085, and 0.0 for what costs nothing.",
            )
        if prefix in prices:
            raise BadLine(number, f"Prefix {quoted(prefix)} has a price already.", "Remove one of the two.")
        if len(prices) >= MOST_RATES:
            raise BadLine(number, f"There are more than {MOST_RATES} rates.", "Leave out longer prefixes.")
        prices[prefix] = price
    return RateTable(prices=prices)


def price_of(text: str) -> int:
    """A price per minute, in millionths.  Raises Unfit."""
    try:
        price = Decimal(text.strip())
    except InvalidOperation:
        price = Decimal(-1)
    if not price.is_finite() or not 0 <= price <= _MOST_PRICE:
        raise Unfit(f"{quoted(text)} is not a price.", f"Write 0 to {_MOST_PRICE}, such as 0.0085.")
    return int((price * MILLIONTHS).to_integral_value())


def price_text(millionths: int) -> str:
    """A price as people write it."""
    return f"{Decimal(millionths) / MILLIONTHS:f}"


def _rows(lines: Iterable[str], separator: str) -> Iterable[tuple[int, list[str]]]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                cells = next(csv.reader([line], delimiter=separator))
            except csv.Error as fault:
                raise BadLine(number, f"This is no line of CSV: {fault}.", _REMEDY) from None
            yield number, [cell.strip() for cell in cells]
