"""Which numbers may be called: their country, their kind, and what limits say about them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

import phonenumbers
from phonenumbers import PhoneNumberType

from sip_config import words
from sip_config.call_limits import CallLimits, NumberKind
from sip_config.numbers import MAX_DIGITS

NO_COUNTRY: Final = "001"
"""What phonenumbers, after UN M.49, calls the region of numbers that belong to no country."""
_KINDS: Final = {
    PhoneNumberType.PREMIUM_RATE: NumberKind.PREMIUM,
    PhoneNumberType.SHARED_COST: NumberKind.SHARED_COST,
    PhoneNumberType.PERSONAL_NUMBER: NumberKind.PERSONAL,
    PhoneNumberType.UAN: NumberKind.UNIVERSAL,
    PhoneNumberType.PAGER: NumberKind.PAGER,
    PhoneNumberType.TOLL_FREE: NumberKind.TOLL_FREE,
}
_KINDS_OF_CODES: Final = {
    800: NumberKind.TOLL_FREE,
    808: NumberKind.SHARED_COST,
    870: NumberKind.SATELLITE,
    878: NumberKind.PERSONAL,
    881: NumberKind.SATELLITE,
    882: NumberKind.SATELLITE,
    883: NumberKind.SATELLITE,
    979: NumberKind.PREMIUM,
}
"""Country codes all of whose numbers are of one kind, known to phonenumbers or not."""
_COSTLY: Final = frozenset((NumberKind.PREMIUM, NumberKind.SHARED_COST, NumberKind.PERSONAL))
_MOST_MISSING: Final = 6
_FEWEST_DIGITS: Final = 6


class Destination(NamedTuple):
    """What is known of a number."""

    country: str
    kind: NumberKind | None
    """None: an ordinary number."""


class Denied(NamedTuple):
    """What limits say against a destination."""

    cause: str
    rule: str
    """Such as ``denied prefix 8821``."""
    what: str
    """The destination as a sentence can name it."""
    remedy: str
    """What to change, as the beginning of a sentence."""


def country_word(text: str) -> str:
    """A country as limits name it.  Raises Unfit."""
    return NO_COUNTRY if text == NO_COUNTRY else words.country(text)


@lru_cache(maxsize=32_768)
def destination_of(e164: str) -> Destination:
    """Country and kind of a normalised number."""
    number = phonenumbers.parse(e164)
    code = number.country_code or 0
    country, kind = _read(number)
    if country is None:
        # Exchanges connect as soon as a number is whole, and some know shorter ones than the plan: digits too
        # many or too few must not move a number to another country, nor make an ordinary one of a costly one.
        others = [_read(phonenumbers.parse(text)) for text in _of_other_lengths(e164)]
        known = [country for country, _ in others if country]
        # A number that no plan knows counts to the first country of its code.
        country = (*known, phonenumbers.region_code_for_number(number))[0]
        country = country or phonenumbers.region_code_for_country_code(code)
        kind = next((kind for _, kind in others if kind in _COSTLY), None)
    return Destination(country, _KINDS_OF_CODES.get(code) or kind)


def _read(number: phonenumbers.PhoneNumber) -> tuple[str | None, NumberKind | None]:
    """Country and kind of a number that a plan knows."""
    country = phonenumbers.region_code_for_number(number)
    kind = phonenumbers.number_type(number)
    return (None, None) if kind == PhoneNumberType.UNKNOWN else (country, _KINDS.get(kind))


def _of_other_lengths(e164: str) -> Iterator[str]:
    """The number with fewer digits, then with more; the nearest lengths first."""
    digits = len(e164) - 1
    for fewer in range(digits - 1, _FEWEST_DIGITS - 1, -1):
        yield e164[: fewer + 1]
    for more in range(1, min(_MOST_MISSING, MAX_DIGITS - digits) + 1):
        yield e164 + "0" * more


def denied(limits: CallLimits, e164: str) -> Denied | None:
    """What the rules for destinations say against a number; None: nothing."""
    digits = e164[1:]
    allowed = _longest(limits.allowed_prefixes, digits)
    refused = _longest(limits.denied_prefixes, digits)
    if refused is not None and (allowed is None or len(refused) > len(allowed)):
        remedy = f"take {refused} off the denied prefixes, or allow a longer one"
        return Denied("destination-prefix", f"denied prefix {refused}", e164, remedy)
    if allowed is not None:
        return None
    country, kind = destination_of(e164)
    if kind is not None and kind in limits.denied_kinds:
        what = f"{e164}, a {kind.value.replace('_', ' ')} number"
        remedy = f"take {kind.value} off the denied kinds, or allow the number's prefix"
        return Denied("destination-kind", f"denied kind {kind.value}", what, remedy)
    if country in limits.denied_countries:
        remedy = f"take {country} off the denied countries, or allow the number's prefix"
        return Denied("destination-country", f"denied country {country}", f"{e164} in {country}", remedy)
    if country not in limits.allowed_countries and (limits.allowed_countries or limits.allowed_prefixes):
        remedy = f"allow the country {country}, or the number's prefix"
        return Denied("destination-not-allowed", "allowed destinations", f"{e164} in {country}", remedy)
    return None


def _longest(prefixes: tuple[str, ...], digits: str) -> str | None:
    return max((prefix for prefix in prefixes if digits.startswith(prefix)), key=len, default=None)
