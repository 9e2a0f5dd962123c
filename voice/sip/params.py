"""The ``;name=value`` parameters of header values (generic-param of RFC 3261 section 25.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from voice.sip.errors import SipParseError
from voice.sip.header_names import TCHARS

Params = Mapping[str, str | None]
"""Values by lower-case name, in order, quotes and their escapes resolved; None: no ``=``."""

QUOTED: Final = r'"([^"\\]*+(?:\\.[^"\\]*+)*)"'
"""A quoted-string, its inside as a group."""

# The grammar is stricter (token / host / quoted-string), but telephones send base64 in tags and branches, and
# nothing can be misread as long as the characters that separate stay out.
_VALUE: Final = r'[^ \t;,"<>\\]++'
_PLAIN: Final = re.compile(rf"(?:;[{TCHARS}]++(?:={_VALUE})?)*")
_BARE: Final = re.compile(_VALUE)
_ONE: Final = re.compile(
    rf"[ \t]*+;[ \t]*+([{TCHARS}]++)[ \t]*+(?:(=)[ \t]*+(?:({_VALUE})|{QUOTED})[ \t]*+)?", re.DOTALL
)
_QUOTED_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)


def parse_params(text: str) -> dict[str, str | None]:
    """The parameters in a text that is empty or begins with ``;``.

    Raises SipParseError for bad syntax and for a parameter given twice.
    """
    if not text:
        return {}
    params: dict[str, str | None] = {}
    if _PLAIN.fullmatch(text) is None:
        count = _parse_slowly(text.rstrip(" \t"), params)
    else:
        count = text.count(";")
        for part in text[1:].split(";"):
            name, equals, value = part.partition("=")
            params[name.lower()] = value if equals else None
    if len(params) != count:
        raise SipParseError(f"a parameter is given twice in {text[:80]!r}")
    return params


def _parse_slowly(text: str, params: dict[str, str | None]) -> int:
    """Fills in parameters with white space or quoted strings, which few send; returns how many there are."""
    count = at = 0
    while at < len(text):
        match = _ONE.match(text, at)
        if match is None:
            raise SipParseError(f"not a ;name=value parameter: {text[at:][:80]!r}")
        name, equals, plain, quoted = match.groups()
        value = plain if quoted is None else unquote(quoted)
        params[name.lower()] = value if equals else None
        count += 1
        at = match.end()
    return count


def unquote(inside: str) -> str:
    """The inside of a quoted-string with its backslash escapes resolved."""
    return _QUOTED_PAIR.sub(r"\1", inside) if "\\" in inside else inside


def quote(text: str) -> str:
    """Text as a quoted-string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def params_text(params: Params) -> str:
    """The parameters as they are sent; a value that cannot stand bare is quoted."""
    text = ""
    for name, value in params.items():
        if value is None:
            text += f";{name}"
        elif value.isalnum() or _BARE.fullmatch(value):
            text += f";{name}={value}"
        else:
            text += f";{name}={quote(value)}"
    return text
