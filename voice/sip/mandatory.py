"""The values that every message has, from text to what they mean (RFC 3261 section 8.1.1)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from voice.sip.errors import SipParseError
from voice.sip.header_names import TCHARS
from voice.sip.headers import split_list
from voice.sip.via import Via, parse_via

MAX_VIAS: Final = 64
"""More hops than any route has; each is copied into every response, so they multiply what we send."""
MAX_CSEQ: Final = 2**31 - 1
"""RFC 3261 section 8.1.1.5."""
METHODS: Final = frozenset(
    (
        *("ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY", "OPTIONS", "PRACK", "PUBLISH"),
        *("REFER", "REGISTER", "SUBSCRIBE", "UPDATE"),
    )
)
"""The registered methods: a look-up spares most messages the regular expression."""

_CSEQ: Final = re.compile(rf"([0-9]++)[ \t]++([{TCHARS}]++)")
# A word of RFC 3261 section 25.1 is a token with these besides.
_CALL_ID: Final = re.compile(rf'[{TCHARS}()<>:\\"/\[\]?{{}}]++(?:@[{TCHARS}()<>:\\"/\[\]?{{}}]++)?')


class CSeq(NamedTuple):
    number: int
    method: str


def first_via(text: str) -> Via:
    if "," in text:
        values = split_list(text)
        if len(values) > MAX_VIAS:
            raise SipParseError(f"there are more than {MAX_VIAS} values", status=513)
        text = values[0] if values else ""
    return parse_via(text)


def parse_cseq(text: str) -> CSeq:
    digits, _, method = text.partition(" ")
    if method in METHODS and len(digits) < 10 and digits.isascii() and digits.isdigit():
        return CSeq(int(digits), method)
    match = _CSEQ.fullmatch(text)
    if match is None:
        raise SipParseError(f"not a number and a method: {text[:80]!r}")
    return CSeq(parse_number(match[1], MAX_CSEQ), match[2])


def parse_call_id(text: str) -> str:
    if _CALL_ID.fullmatch(text) is None:
        raise SipParseError(f"not a word, or two with @ between: {text[:80]!r}")
    return text


def parse_max_forwards(text: str) -> int:
    return parse_number(text, 255)


def parse_number(text: str, largest: int) -> int:
    """A number without sign; `int` alone would take spaces, underscores, other scripts, and 65,000 digits."""
    if not (text.isascii() and text.isdigit()):
        raise SipParseError(f"not a number: {text[:80]!r}")
    digits = text.lstrip("0") or "0"
    number = int(digits) if len(digits) <= 10 else largest + 1
    if number > largest:
        raise SipParseError(f"{text[:40]} is more than {largest}")
    return number
