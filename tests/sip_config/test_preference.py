"""In which order gateways are tried: priority, price, weight."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from sip_config.gateway_options import GatewayOptions
from sip_config.model import Gateway
from sip_config.preference import in_order
from sip_config.rate_table import RateTable

NUMBER = "+31201234567"


def gateway(name: str, *, priority: int = 100, weight: int = 1, **prices: int) -> Gateway:
    """`prices`: such as ``p31=5``."""
    rates = RateTable(prices={prefix[1:]: price for prefix, price in prices.items()})
    options = GatewayOptions(weight=weight, rates=rates)
    return Gateway(id=name, account_id=None, name=name, host="192.0.2.1", priority=priority, options=options)


def names(*gateways: Gateway, number: str = NUMBER) -> list[str]:
    return [one.name for one in in_order(gateways, number)]


def test_priority_goes_before_price_and_price_before_weight() -> None:
    late = gateway("late", priority=20, p31=1)
    dear = gateway("dear", priority=10, weight=1_000, p31=9)
    cheap = gateway("cheap", priority=10, weight=0, p31=5)
    assert names(late, dear, cheap) == ["cheap", "dear", "late"]


def test_the_price_is_that_of_the_longest_prefix() -> None:
    fixed = gateway("fixed", p31=5, p316=90)
    mobile = gateway("mobile", p31=10, p316=50)
    assert names(mobile, fixed, number="+31201234567") == ["fixed", "mobile"]
    assert names(fixed, mobile, number="+31612345678") == ["mobile", "fixed"]


def test_a_gateway_without_a_price_comes_after_those_with_one() -> None:
    assert names(gateway("unknown"), gateway("abroad", p49=1), gateway("known", p31=900))[0] == "known"


def test_equal_gateways_share_calls_by_their_weights() -> None:
    gateways = [gateway("one", weight=1), gateway("three", weight=3), gateway("none", weight=0)]
    dice = random.Random(4711).random
    first: Counter[str] = Counter()
    second: Counter[str] = Counter()
    for _ in range(20_000):
        order = in_order(gateways, NUMBER, dice)
        first[order[0].name] += 1
        second[order[1].name] += 1
        assert order[2].name == "none"
    assert first["three"] / 20_000 == pytest.approx(0.75, abs=0.015)
    assert first["one"] / 20_000 == pytest.approx(0.25, abs=0.015)
    assert first["none"] == second["none"] == 0
