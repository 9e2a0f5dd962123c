"""Telephone numbers, normalised to E.164 with a leading ``+``."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import phonenumbers

from sip_config.faults import Unfit, quoted

MAX_DIGITS: Final = 15
"""E.164 section 6.2.1."""
MIN_DIGITS: Final = 7
"""Of the shortest numbers in use (+683 4xxx); shorter ones are short codes, which have no E.164 form."""
MAX_TEXT: Final = 64
"""Characters looked at; longer text is no telephone number, however it is decorated."""

_SEPARATORS: Final = str.maketrans("", "", "-.() ")
"""The visual separators of a tel URI (RFC 3966 section 3), and the blank that people write."""


_NORTH_AMERICA: Final = 1

_REMEDY: Final = "Use E.164, with the country code, such as +31201234567."


class NumberFault(Unfit):
    """The text is not an E.164 number; says why, and what to dial or write."""

    def __init__(self, message: str) -> None:
        super().__init__(message, _REMEDY)


def normalise(text: str, country: str | None = None) -> str:
    """A number as dialled or written, in E.164: ``+3120...``, ``3120...``, ``003120...`` are the same.

    With a `country` (ISO 3166), what its people dial among themselves is understood as well: ``020...``
    in NL, ``(415) 555-1234`` in US, and ``011...`` there for what is ``00...`` elsewhere.

    `text` is the decoded user part of a SIP URI or what a person wrote: visual separators are left
    out, and so are tel URI parameters of a global number (``+3120...;npdi``; RFC 3966).  Whether the
    number has the length its country uses is the carrier's to say, since numbering plans change
    (`looks_complete` asks that of numbers that are configured).  Raises NumberFault.
    """
    if len(text) > MAX_TEXT:
        raise NumberFault(f"{quoted(text)} is too long for a telephone number.")
    return _normalise(text, country)


def looks_complete(e164: str) -> bool:
    """Whether a normalised number has a length that its country uses."""
    return phonenumbers.is_possible_number(phonenumbers.parse(e164))


# Measured: 12 us for phonenumbers, 0.1 us from here.  The same numbers are dialled again and again.
@lru_cache(maxsize=32_768)
def _normalise(text: str, country: str | None) -> str:
    number, _, parameters = text.partition(";")
    digits = number.translate(_SEPARATORS)
    international = digits.startswith("+")
    if international:
        digits = digits[1:]
    if not (digits.isascii() and digits.isdigit()):
        raise NumberFault(f"{quoted(text)} is not a telephone number.")
    if parameters and "phone-context" in parameters.lower() and not international:
        raise NumberFault(f"{quoted(text)} is a local number (phone-context).")
    at_home = None if international or country is None else _dialled_in(digits, country)
    if at_home is not None:
        digits = at_home
    elif not international and digits.startswith("00"):
        digits = digits[2:]
    if digits.startswith("0"):
        raise NumberFault(f"{quoted(text)} begins with a zero, so it lacks its country code.")
    if not MIN_DIGITS <= len(digits) <= MAX_DIGITS:
        raise NumberFault(
            f"{quoted(text)} has {len(digits)} digits; E.164 numbers have {MIN_DIGITS} to {MAX_DIGITS}."
        )
    # Each pass takes away one trunk zero that stands after the country code.
    for _ in range(MAX_DIGITS):
        parsed = _parse(text, digits)
        if parsed == digits:
            break
        digits = parsed
    if len(digits) < MIN_DIGITS:
        raise NumberFault(f"{quoted(text)} is too short for a number with its country code.")
    return f"+{digits}"


def _parse(text: str, digits: str) -> str:
    try:
        number = phonenumbers.parse(f"+{digits}")
    except phonenumbers.NumberParseException as fault:
        if fault.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE:
            why = "does not begin with a country code"
        else:
            why = "is too short for a number with its country code"
        raise NumberFault(f"{quoted(text)} {why}.") from None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")


def _dialled_in(digits: str, country: str) -> str | None:
    """What someone in the country means by dialling this, without ``+``; None: no number of that form.

    Where a national number begins with a trunk prefix (0 in most countries), digits without it are read
    as E.164 without its plus sign, as trunks send it; where it has none (DK, ES, and all of +1, which
    dials with and without), digits that are a valid national number are one.
    """
    try:
        number = phonenumbers.parse(digits, country, keep_raw_input=True)
    except phonenumbers.NumberParseException:
        return None
    if number.country_code_source == phonenumbers.CountryCodeSource.FROM_NUMBER_WITH_IDD:
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")
    if number.country_code_source != phonenumbers.CountryCodeSource.FROM_DEFAULT_COUNTRY:
        return None
    if digits.startswith("00"):
        return None  # Abroad, as most of the world dials it.
    prefix = phonenumbers.ndd_prefix_for_region(country, True)
    if prefix and number.country_code != _NORTH_AMERICA:
        fits = digits.startswith(prefix) and phonenumbers.is_possible_number(number)
    else:
        fits = phonenumbers.is_valid_number(number)
    if fits and prefix and prefix != "0":
        # 8 and 06 also begin E.164 numbers of other countries, and 1 those of this one.
        fits = phonenumbers.is_valid_number(number)
    if not fits:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")
