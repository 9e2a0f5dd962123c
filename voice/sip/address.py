"""Names with addresses, as in From, To, Contact, Route and P-Asserted-Identity (RFC 3261 section 20.10)."""

from __future__ import annotations

import re
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

from voice.sip.errors import SipParseError
from voice.sip.params import QUOTED, Params, params_text, parse_params, quote, unquote
from voice.sip.uri import REMEMBERED, REMEMBERED_CHARS, SipUri, parse_uri

# An unquoted display name has to consist of tokens; other characters are let pass as long as they separate
# nothing, since telephones send names like Müller or Sales (NL) bare.
_BRACKETED: Final = re.compile(
    rf'(?:{QUOTED}|([^"<>,;:@\\]*+))[ \t]*+<([A-Za-z][A-Za-z0-9+\-.]*+:[^<>" \t]++)>[ \t]*+(.*+)', re.DOTALL
)
_BARE: Final = re.compile(r'([A-Za-z][A-Za-z0-9+\-.]*+:[^<>" \t,;?]++)[ \t]*+(;.*+)?', re.DOTALL)


class NameAddr(NamedTuple):
    display: str | None
    """The display name, quotes and their escapes resolved; None: none given."""
    uri: str
    """As written; ``*`` for the Contact of that form."""
    params: Params
    """Those of the header value, never of the URI."""

    @property
    def tag(self) -> str | None:
        return self.params.get("tag")

    @property
    def sip_uri(self) -> SipUri:
        """The URI parsed, anew at each call.  Raises SipParseError as `parse_uri` does."""
        return parse_uri(self.uri)

    def __str__(self) -> str:
        name = "" if self.display is None else quote(self.display) + " "
        return f"{name}<{self.uri}>{params_text(self.params)}"


def parse_name_addr(text: str) -> NameAddr:
    """Parses one value of the name-addr or addr-spec form.  Raises SipParseError (400)."""
    return _parse_remembered(text) if len(text) <= REMEMBERED_CHARS else _parse(text)


def parse_contact(text: str) -> NameAddr:
    """Parses one value of Contact, which may be ``*`` (RFC 3261 section 20.10).  Raises SipParseError."""
    return _ALL_CONTACTS if text == "*" else parse_name_addr(text)


def _parse(text: str) -> NameAddr:
    match = _BRACKETED.fullmatch(text)
    if match is not None:
        quoted, bare, uri, params = match.groups()
        display = unquote(quoted) if quoted is not None else bare.rstrip(" \t") or None
        return NameAddr(display, uri, _params(params))
    match = _BARE.fullmatch(text)
    if match is not None:
        # Without brackets, what follows the first semicolon belongs to the header (RFC 3261 section 20).
        return NameAddr(None, match[1], _params(match[2]))
    raise SipParseError(f'not of the form "Name" <URI>;parameters: {text[:80]!r}')


_parse_remembered: Final = lru_cache(REMEMBERED)(_parse)
_NO_PARAMS: Final[Params] = MappingProxyType({})
_ALL_CONTACTS: Final = NameAddr(None, "*", _NO_PARAMS)


def _params(text: str | None) -> Params:
    if not text:
        return _NO_PARAMS
    params = parse_params(text)
    if params.get("tag", "") is None:
        raise SipParseError("the tag has no value")
    # Read-only, because a remembered value is shared.
    return MappingProxyType(params)
