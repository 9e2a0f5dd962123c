"""How a number in E.164 is written for a gateway."""

from __future__ import annotations

from functools import lru_cache

import phonenumbers

from sip_config.model import NumberFormat


def written_for(e164: str, number_format: NumberFormat, country: str | None) -> str:
    """A normalised number in a gateway's format.

    Nationally formatted numbers are those of the gateway's country; others are written with 00.
    """
    match number_format:
        case NumberFormat.PLUS:
            return e164
        case NumberFormat.PLAIN:
            return e164.removeprefix("+")
        case NumberFormat.INTERNATIONAL:
            return f"00{e164.removeprefix('+')}"
        case NumberFormat.NATIONAL:
            return _national(e164, country)


def dialled_for(
    e164: str, number_format: NumberFormat, country: str | None, strip_prefix: str, add_prefix: str
) -> str:
    """A dialled number in a gateway's format, with the changes to its front that the gateway asks for.

    What is to be stripped and is all of the number stays: nobody is called by no number at all.
    """
    written = written_for(e164, number_format, country)
    return add_prefix + (written.removeprefix(strip_prefix) or written)


@lru_cache(maxsize=8_192)
def _national(e164: str, country: str | None) -> str:
    number = phonenumbers.parse(e164)
    if country is None or number.country_code != phonenumbers.country_code_for_region(country):
        return f"00{e164.removeprefix('+')}"
    text = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    return "".join(character for character in text if character.isdigit())
