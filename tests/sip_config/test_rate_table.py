"""Rate tables: what may stand in a file, and which price counts."""

from __future__ import annotations

import pytest

from sip_config.rate_table import MOST_RATES, BadLine, price_text, read_rates


def test_a_table_is_read_with_heading_blank_lines_and_further_columns() -> None:
    table = read_rates("prefix,price,name\n31,0.0085,Netherlands\n\n+316, 0.045 ,\n,0.2,\n")
    assert table.prices == {"31": 8_500, "316": 45_000, "": 200_000}
    assert table.price("+31201234567") == 8_500
    assert table.price("+31612345678") == 45_000
    assert table.price("+4930123456") == 200_000
    assert price_text(8_500) == "0.0085"


def test_semicolons_and_a_byte_order_mark_are_what_spreadsheets_write() -> None:
    assert read_rates("\ufeffPrefix;Price\r\n31;0.01\r\n").prices == {"31": 10_000}


def test_what_costs_nothing_may_have_further_columns() -> None:
    assert read_rates("800,0.0,60\n801,0,free\n802,0").prices == {"800": 0, "801": 0, "802": 0}


def test_a_number_that_nothing_fits_has_no_price() -> None:
    assert read_rates("31,0.01").price("+4930123456") is None


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("31,0.01\n49", 2, "no prefix and price"),
        ("31,0.01\n49,cheap", 2, "is not a price"),
        ("31,-1", 1, "is not a price"),
        ("31,NaN", 1, "is not a price"),
        ("31,1001", 1, "is not a price"),
        ("0031,0.01", 1, "cannot be a prefix"),
        ("49,0.01\n31,0,0085", 2, "decimal comma"),
        ("31;0,0085\n", 1, "cannot be a prefix"),
        ("prefix;price\n31;0,0085", 2, "is not a price"),
        ("31,€0.01", 1, "is not a price"),
        ("31,0.01\n49," + "1" * 200_000, 2, "no line of CSV"),
        ("31,0.01\n\n+31,0.02", 3, "has a price already"),
        ("\n".join(f"{number},0.01" for number in range(1, MOST_RATES + 2)), MOST_RATES + 1, "more than"),
    ],
)
def test_a_faulty_line_is_named(text: str, line: int, says: str) -> None:
    with pytest.raises(BadLine, match=says) as caught:
        read_rates(text)
    assert caught.value.line == line
