"""Which numbers may be called: their country, their kind, and what limits say about them."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import phonenumbers
from phonenumbers import PhoneNumberType

from sip_config import words
from sip_config.call_limits import CallLimits, NumberKind

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
    # A number that no plan knows counts to the first country of its code.
    country = phonenumbers.region_code_for_number(number) or phonenumbers.region_code_for_country_code(code)
    return Destination(country, _KINDS_OF_CODES.get(code) or _kind(e164, number))


def _kind(e164: str, number: phonenumbers.PhoneNumber) -> NumberKind | None:
    kind = _KINDS.get(phonenumbers.number_type(number))
    if kind is not None or phonenumbers.is_valid_number(number):
        return kind
    # Exchanges connect as soon as a number is whole, and some know shorter ones than the plan: digits too
    # many or too few must not make an ordinary number of a costly one.
    longer = (e164 + "0" * more for more in range(1, _MOST_MISSING + 1))
    shorter = (e164[:length] for length in range(len(e164) - 1, _FEWEST_DIGITS, -1))
    for text in (*shorter, *longer):
        kind = _KINDS.get(phonenumbers.number_type(phonenumbers.parse(text)))
        if kind in _COSTLY:
            return kind
    return None


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
