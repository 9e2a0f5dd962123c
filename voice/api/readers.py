"""Readers of single values: each takes what a client sent and returns what was meant, or raises Misfit.

They are tolerant in form and strict in content: ``"5"`` and ``5`` and ``5.0`` are the same integer, since
form bodies have no numbers and Go has no integers without a width (reference section 0.12 to 0.15).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final, TypeVar

from callflows.addresses import SIP_URI
from sip_config import words
from sip_config.faults import Unfit, listed, quoted
from sip_config.numbers import normalise

T = TypeVar("T")
E = TypeVar("E", bound=Enum)
Reader = Callable[[Any], T]

LONGEST_URL: Final = 2_048
LARGEST_INTEGER: Final = 2**53
"""What JSON carries without loss (RFC 8259 section 6)."""

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}(?:\.0{1,9})?")
_TRUTHS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}


class Misfit(ValueError):
    """The value cannot be used: the message says why and what to write.  `at` is the path inside it."""

    def __init__(self, message: str, at: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.at = at


def text(*, longest: int = 255, least: int = 1) -> Reader[str]:
    """A text of `least` to `longest` characters; numbers are taken as the digits that were written."""

    def read(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise Misfit(f"{_kind(value)} stands where a text is meant.")
        given = str(value) if isinstance(value, int) else value
        if len(given) > longest:
            raise Misfit(f"The text has {len(given)} characters; use at most {longest}.")
        if len(given) < least:
            raise Misfit("The text is empty." if not given else f"Use at least {least} characters.")
        return _storable(given)

    return read


def integer(*, least: int = -LARGEST_INTEGER, most: int = LARGEST_INTEGER) -> Reader[int]:
    def read(value: Any) -> int:
        if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
            number = int(value.strip().partition(".")[0])
        elif isinstance(value, float) and value.is_integer() and abs(value) <= LARGEST_INTEGER:
            number = int(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            number = value
        else:
            raise Misfit(f"{_shown(value)} is not a whole number.")
        if not least <= number <= most:
            raise Misfit(f"{_shown(number)} is out of range; use {least} to {most}.")
        return number

    return read


def number(*, least: float, most: float) -> Reader[float]:
    """A finite number."""

    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise Misfit(f"{_shown(value)} is not a number.")
        try:
            given = float(value)
        except (ValueError, OverflowError):
            given = math.nan
        if not math.isfinite(given):
            raise Misfit(f"{_shown(value)} is not a number.")
        if not least <= given <= most:
            raise Misfit(f"{_shown(value)} is out of range; use {least:g} to {most:g}.")
        return given

    return read


def truth(value: Any) -> bool:
    """``true``, ``"true"``, ``1``, ``"yes"`` and their opposites."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str | int) and (found := _TRUTHS.get(str(value).strip().lower())) is not None:
        return found
    raise Misfit(f"{_shown(value)} is neither true nor false.")


def choice(kind: type[E]) -> Reader[E]:
    """One of an enum's words, compared without case."""
    known = {str(member.value).lower(): member for member in kind}

    def read(value: Any) -> E:
        found = known.get(value.strip().lower()) if isinstance(value, str) else None
        if found is None:
            raise Misfit(f"{_shown(value)} is not known here; use {listed(known)}.")
        return found

    return read


def url(value: Any) -> str:
    """An absolute web address; where it leads is checked when it is opened."""
    return fitting(words.web_address, longest=LONGEST_URL)(value)


def e164(value: Any, country: str | None = None) -> str:
    """A telephone number, normalised to E.164 with a ``+``, also from a country's national format."""
    return fitting(lambda given: normalise(given, country), longest=64)(value)


def e164_in(country: str | None) -> Reader[str]:
    return lambda value: e164(value, country)


def dialable_in(country: str | None) -> Reader[str]:
    """Whom a call can go to: a telephone number in E.164 with a ``+``, or a SIP URI."""

    def read(value: Any) -> str:
        given = text(longest=255)(value).strip()
        if not given.lower().startswith(("sip:", "sips:")):
            return e164(given, country)
        if not re.fullmatch(SIP_URI, given):
            raise Misfit(f"{quoted(given)} is no SIP URI to dial; write sip:user@host.")
        return given

    return read


def fitting(read_text: Callable[[str], T], *, longest: int = 255) -> Reader[T]:
    """A text that a function of `sip_config` (which raises Unfit) reads further."""
    as_text = text(longest=longest)

    def read(value: Any) -> T:
        given = as_text(value)
        try:
            return read_text(given)
        except Unfit as unfit:
            raise Misfit(str(unfit)) from None

    return read


def timestamp(value: Any) -> float:
    """RFC 3339 with its offset, as seconds since the epoch; without an offset it is UTC."""
    given = text(longest=64)(value).strip()
    # In a query string that nobody encoded, the + of an offset has become a blank.
    given = re.sub(r" (\d\d:?\d\d)$", r"+\1", given)
    try:
        moment = datetime.fromisoformat(given)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise Misfit(f"{quoted(given)} is not a time; write RFC 3339, 2026-03-06T13:34:14Z.") from None
    return seconds


def several(each: Reader[T], *, most: int, least: int = 0) -> Reader[tuple[T, ...]]:
    """A list; also a text with commas between, which form bodies and some SDKs send, or a single value."""

    def read(value: Any) -> tuple[T, ...]:
        if isinstance(value, str):
            given: list[Any] = [part.strip() for part in value.split(",", most + 1) if part.strip()]
        elif isinstance(value, list):
            given = value
        else:
            given = [value]
        if not least <= len(given) <= most:
            counted = "none" if not given else f"{len(given)}" if len(given) <= most else f"more than {most}"
            raise Misfit(f"There are {counted} here; give {least} to {most}.")
        return tuple(_each(each, index, one) for index, one in enumerate(given))

    return read


def _each(read: Reader[T], index: int, value: Any) -> T:
    try:
        return read(value)
    except Misfit as misfit:
        raise Misfit(misfit.message, f"/{index}{misfit.at}") from None


def _storable(given: str) -> str:
    """No NUL, which PostgreSQL cannot store, and no half of a surrogate pair, which UTF-8 cannot carry."""
    if "\0" in given or any("\ud800" <= sign <= "\udfff" for sign in given):
        raise Misfit("The text holds a NUL or half of a surrogate pair; remove it.")
    return given


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "An object"
    if isinstance(value, list):
        return "A list"
    return _shown(value)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping | list):
        return _kind(value)
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 128:
        return "A number this long"  # turning it into digits takes quadratic time
    return quoted(value if isinstance(value, str) else "null" if value is None else str(value))
