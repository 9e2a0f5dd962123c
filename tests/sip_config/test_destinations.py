"""What numbers are, and what limits say about them."""

from __future__ import annotations

import phonenumbers
import pytest

from sip_config.call_limits import UNLIMITED, CallLimits, NumberKind
from sip_config.destinations import NO_COUNTRY, denied, destination_of
from sip_config.numbers import MAX_DIGITS


@pytest.mark.parametrize(
    ("number", "country", "kind"),
    [
        ("+31201234567", "NL", None),
        ("+442071234567", "GB", None),
        ("+31909123456", "NL", NumberKind.PREMIUM),
        ("+19005551234", "US", NumberKind.PREMIUM),
        ("+97912345678", NO_COUNTRY, NumberKind.PREMIUM),
        ("+491805123456", "DE", NumberKind.SHARED_COST),
        ("+80812345678", NO_COUNTRY, NumberKind.SHARED_COST),
        ("+870772112345", NO_COUNTRY, NumberKind.SATELLITE),
        ("+881612345678", NO_COUNTRY, NumberKind.SATELLITE),
        ("+88213123456", NO_COUNTRY, NumberKind.SATELLITE),
        ("+447012345678", "GB", NumberKind.PERSONAL),
        ("+80012345678", NO_COUNTRY, NumberKind.TOLL_FREE),
        ("+18095551234", "DO", None),
        ("+14165550123", "CA", None),
        ("+77011234567", "KZ", None),
        # With digits too many, and too few.
        ("+31909123456789", "NL", NumberKind.PREMIUM),
        ("+1900555123499", "US", NumberKind.PREMIUM),
        ("+319091234", "NL", NumberKind.PREMIUM),
        ("+390906123456789", "IT", None),
        ("+441234567890123", "GB", None),
        ("+120255501239999", "US", None),
        ("+190055512349999", "US", NumberKind.PREMIUM),
        ("+141655501239", "CA", None),
        ("+1416555012", "CA", None),
        ("+44779771234599", "JE", None),
        ("+447797712", "JE", None),
        # What no plan knows counts to the first country of its code.
        ("+449999999999", "GB", None),
    ],
)
def test_country_and_kind(number: str, country: str, kind: NumberKind | None) -> None:
    assert destination_of(number) == (country, kind)


NL, GB, PREMIUM = "+31201234567", "+442071234567", "+31909123456"


@pytest.mark.parametrize(
    ("limits", "number", "cause"),
    [
        (UNLIMITED, PREMIUM, None),
        (CallLimits(denied_kinds=(NumberKind.PREMIUM,)), PREMIUM, "destination-kind"),
        (CallLimits(denied_kinds=(NumberKind.PREMIUM,)), NL, None),
        (CallLimits(denied_kinds=(NumberKind.PREMIUM,), allowed_prefixes=("31909",)), PREMIUM, None),
        (CallLimits(denied_countries=("GB",)), GB, "destination-country"),
        (CallLimits(denied_countries=("GB",), allowed_prefixes=("4420",)), GB, None),
        (CallLimits(allowed_countries=("NL",)), GB, "destination-not-allowed"),
        (CallLimits(allowed_countries=("NL",), allowed_prefixes=("44",)), GB, None),
        (CallLimits(allowed_prefixes=("44",)), NL, "destination-not-allowed"),
        (CallLimits(allowed_countries=("NL",), denied_prefixes=("3120",)), NL, "destination-prefix"),
        (CallLimits(allowed_prefixes=("31201",), denied_prefixes=("3120",)), NL, None),
        (CallLimits(allowed_prefixes=("31",), denied_prefixes=("3120",)), NL, "destination-prefix"),
        (CallLimits(denied_prefixes=("",)), NL, "destination-prefix"),
        (CallLimits(denied_prefixes=("",), allowed_prefixes=("3",)), NL, None),
        (CallLimits(denied_countries=(NO_COUNTRY,)), "+80012345678", "destination-country"),
    ],
)
def test_the_first_rule_that_says_something_decides(
    limits: CallLimits, number: str, cause: str | None
) -> None:
    found = denied(limits, number)
    assert (None if found is None else found.cause) == cause
    if found is not None:
        assert number in found.what


def test_numbers_of_every_code_and_length_are_somewhere() -> None:
    for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
        for digit in "0159":
            for length in range(7, MAX_DIGITS + 1):
                number = f"+{code!s:{digit}<{length}}"
                assert len(destination_of(number).country) in (2, 3), number
