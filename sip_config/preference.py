"""In which order the gateways that fit a number are tried."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

from sip_config.model import Gateway

Dice = Callable[[], float]
"""Gives numbers from 0 to 1, 1 excluded."""


def preference(gateway: Gateway) -> tuple[int, str]:
    """Lower comes first, as far as that does not depend on the number or on chance."""
    return gateway.priority, gateway.name


def in_order(gateways: Sequence[Gateway], e164: str, dice: Dice = random.random) -> tuple[Gateway, ...]:
    """Gateways whose prefixes fit equally well: by priority, then price, then at random by weight.

    A gateway without a price for the number comes after those with one.
    """
    if len(gateways) < 2:
        return tuple(gateways)
    ordered: list[Gateway] = []
    for _, equals in groupby(sorted(gateways, key=preference), key=lambda gateway: gateway.priority):
        ordered += _by_price(list(equals), e164, dice)
    return tuple(ordered)


def _by_price(gateways: list[Gateway], e164: str, dice: Dice) -> Iterator[Gateway]:
    if len(gateways) == 1:
        yield gateways[0]
        return
    by_price: dict[float, list[Gateway]] = {}
    for gateway in gateways:
        price = gateway.options.rates.price(e164)
        by_price.setdefault(float("inf") if price is None else price, []).append(gateway)
    for step in sorted(by_price):
        yield from by_weight(by_price[step], dice)


def by_weight(gateways: Iterable[Gateway], dice: Dice) -> list[Gateway]:
    """At random, each as often in front of the others as its share of their weights says (RFC 2782).

    One draw each: the order of u ** (1 / weight) is that of drawing one after another without putting back.
    """
    return sorted(gateways, key=lambda gateway: _draw(gateway.options.weight, dice), reverse=True)


def _draw(weight: int, dice: Dice) -> float:
    # 1 - dice() is never 0, so that a weight of 0 always comes last.
    return (1.0 - dice()) ** (1.0 / weight) if weight else 0.0
