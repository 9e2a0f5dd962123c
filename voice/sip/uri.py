"""SIP, SIPS and tel URIs (RFC 3261 section 19.1, RFC 3966).

Components are kept as written, escapes included, so that ``str(parse_uri(text))`` gives the text back;
`unescape` and the accessors of `SipUri` give what is meant.  Parsing takes linear time.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import Final, NamedTuple

from sip_config.networks import as_sockets_say
from voice.sip.errors import SipParseError

MAX_URI_CHARS: Final = 8_192
"""Longest URI that is looked at: far above any real one (the longest of RFC 4475 has 345)."""
REMEMBERED: Final = 4_096
REMEMBERED_CHARS: Final = 256
"""How many parsed values are remembered, and how long their text may be: a few MB at most.

The fourteen messages of a call that an edge sees repeat one From, two Tos and a few URIs.
"""

Params = tuple[tuple[str, str | None], ...]

# Character classes of RFC 3261 section 25.1, for use inside [].  "%" stands for an escape; that two hex
# digits follow it is checked separately, because one class is several times as fast as an alternation.  "#"
# has to be escaped in a user part, yet telephones send service codes (*21#) bare: it can mean nothing else.
_UNRESERVED: Final = r"A-Za-z0-9\-_.!~*'()"
_USER: Final = _UNRESERVED + r"&=+$,;?/%#"
_PASSWORD: Final = _UNRESERVED + r"&=+$,%"
_PARAM: Final = _UNRESERVED + r"\[\]/:&+$%"
_HEADER: Final = _UNRESERVED + r"\[\]/?:+$%"

HOST: Final = r"[A-Za-z0-9_.\-]++|\[[0-9A-Fa-f:.]++\]"
"""A host as a regular expression, to be checked further by `checked_host`."""
_OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]?[0-9])"
_IPV4: Final = re.compile(rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}")

# Every repetition ends at a character that its class does not hold, so nothing is ever tried twice.
_SIP: Final = re.compile(
    rf"([sS][iI][pP][sS]?):(?:([{_USER}]++)(?::([{_PASSWORD}]*+))?@)?"
    rf"({HOST})(?::([0-9]{{1,5}}+))?"
    rf"((?:;[{_PARAM}]++(?:=[{_PARAM}]++)?)*)(?:\?([{_HEADER}=&]++))?"
)
_TEL: Final = re.compile(rf"[tT][eE][lL]:(\+?[0-9A-Fa-f*#\-.()]++)((?:;[{_PARAM}]++(?:=[{_PARAM}]++)?)*)")
_HEADERS: Final = re.compile(rf"[{_HEADER}]++=[{_HEADER}]*+(?:&[{_HEADER}]++=[{_HEADER}]*+)*")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+\-.]*+):[^\s<>\"]++")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPE: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_ESCAPED_RESERVED: Final = re.compile("%(?:3[BbFfAaDd]|2[FfBbCc46]|40)")
_USER_SAFE: Final = re.compile(rf"[{_UNRESERVED}&=+$,;?/]++")

# Parameters that must match even when only one of two URIs has them (RFC 3261 section 19.1.4; transport by
# that section's examples).
_DECISIVE: Final = ("user", "ttl", "method", "maddr", "transport")


class SipUri(NamedTuple):
    """A SIP, SIPS or tel URI.  ``==`` compares what is written; `equivalent` compares as RFC 3261 says."""

    scheme: str
    """``sip``, ``sips`` or ``tel``, in lower case."""
    user: str | None
    """As written, escapes included; of a tel URI the number, visual separators included."""
    host: str
    """As written: a name, an IPv4 address, or an IPv6 address in brackets; empty for tel."""
    port: int | None = None
    password: str | None = None
    params: Params = ()
    """Name and value as written, in order; None: no ``=``."""
    headers: tuple[tuple[str, str], ...] = ()
    """What follows ``?``, as written, in order."""

    @property
    def address(self) -> str:
        """The host without the brackets of an IPv6 reference."""
        return as_sockets_say(self.host[1:-1]) if self.host.startswith("[") else self.host

    @property
    def username(self) -> str | None:
        """The user part with its escapes resolved."""
        return None if self.user is None else unescape(self.user)

    @property
    def transport(self) -> str | None:
        """The transport parameter in lower case."""
        value = self.param("transport")
        return None if value is None else value.lower()

    def has_param(self, name: str) -> bool:
        return any(_plain(key) == name for key, _ in self.params)

    def param(self, name: str) -> str | None:
        """The value, escapes resolved, of the parameter with this lower-case name; "" when it has none."""
        for key, value in self.params:
            if _plain(key) == name:
                return "" if value is None else unescape(value)
        return None

    def __str__(self) -> str:
        text = self.scheme + ":"
        if self.user is not None:
            text += self.user
        if self.password is not None:
            text += ":" + self.password
        if self.host:
            text += self.host if self.user is None else "@" + self.host
        if self.port is not None:
            text += f":{self.port}"
        for name, value in self.params:
            text += f";{name}" if value is None else f";{name}={value}"
        if self.headers:
            text += "?" + "&".join(f"{name}={value}" for name, value in self.headers)
        return text


def parse_uri(text: str) -> SipUri:
    """Parses a sip, sips or tel URI.

    Raises SipParseError with status 416 for any other scheme, 400 for bad syntax, 414 for one too long.
    """
    if len(text) <= REMEMBERED_CHARS:
        return _parse_remembered(text)
    if len(text) > MAX_URI_CHARS:
        raise SipParseError(f"the URI is longer than {MAX_URI_CHARS} characters", status=414)
    return _parse_sip(text)


def _parse_sip(text: str) -> SipUri:
    match = _SIP.fullmatch(text)
    if match is None:
        return _parse_tel(text)
    scheme, user, password, host, port, params, headers = match.groups()
    if "%" in text and _BAD_ESCAPE.search(text):
        raise SipParseError(f"a % in the URI is not followed by two hex digits: {text[:80]!r}")
    return SipUri(
        "sip" if len(scheme) == 3 else "sips",
        user,
        checked_host(host),
        None if port is None else checked_port(port),
        password,
        _split_params(params) if params else (),
        _split_headers(headers) if headers else (),
    )


def scheme_of(text: str) -> str:
    """The scheme, in lower case, of any absolute URI.  Raises SipParseError (400) when the text is none."""
    match = _SCHEME.fullmatch(text)
    if match is None:
        raise SipParseError(f"not a URI: {text[:80]!r}")
    return match[1].lower()


_parse_remembered: Final = lru_cache(REMEMBERED)(_parse_sip)


def _parse_tel(text: str) -> SipUri:
    match = _TEL.fullmatch(text)
    if match is not None:
        return SipUri("tel", match[1], "", params=_split_params(match[2]) if match[2] else ())
    scheme = scheme_of(text)
    if scheme in ("sip", "sips", "tel"):
        raise SipParseError(f"not a valid {scheme} URI: {text[:80]!r}")
    raise SipParseError(f"the URI scheme {scheme!r} is not supported: use sip, sips or tel", status=416)


def checked_host(host: str) -> str:
    """The host of a URI or a Via when it is a name, an IPv4 address or an IPv6 reference.

    Three colons in an IPv6 reference, which the grammar of RFC 3261 wrongly produces, are read as two
    (RFC 5118 section 4.10).  Raises SipParseError (400).
    """
    if host[0] == "[":
        if ":::" in host:
            host = host.replace(":::", "::")
        try:
            IPv6Address(host[1:-1])
        except AddressValueError:
            raise SipParseError(f"not an IPv6 address: {host[:80]!r}") from None
        return host
    if _IPV4.fullmatch(host):
        return host
    if host[0] in ".-" or host[-1] == "-" or ".." in host or host.replace(".", "").isdigit():
        raise SipParseError(f"neither a host name nor an IPv4 address: {host[:80]!r}")
    return host


def checked_port(digits: str) -> int:
    """The port number of up to five digits.  Raises SipParseError (400)."""
    port = int(digits)
    if port > 65_535:
        raise SipParseError(f"not a port: {digits}")
    return port


def _split_params(text: str) -> Params:
    pairs: list[tuple[str, str | None]] = []
    for part in text[1:].split(";"):
        name, equals, value = part.partition("=")
        pairs.append((name, value if equals else None))
    if len(pairs) > 1 and len({_plain(name) for name, _ in pairs}) != len(pairs):
        raise SipParseError(f"a URI parameter is given twice: {text[:80]!r}")
    return tuple(pairs)


def _split_headers(text: str) -> tuple[tuple[str, str], ...]:
    if _HEADERS.fullmatch(text) is None:
        raise SipParseError(f"what follows ? in the URI is not name=value&name=value: {text[:80]!r}")
    pairs = [part.partition("=") for part in text.split("&")]
    return tuple((name, value) for name, _, value in pairs)


def unescape(text: str) -> str:
    """Text with its %HH escapes resolved; octets that are no UTF-8 become surrogates (PEP 383)."""
    if "%" not in text:
        return text
    return _ESCAPE.sub(_decode_run, text)


def _plain(name: str) -> str:
    """A parameter's name as it is compared."""
    return unescape(name).lower()


def _decode_run(run: re.Match[str]) -> str:
    return bytes.fromhex(run[0].replace("%", "")).decode("utf-8", "surrogateescape")


def escape_user(text: str) -> str:
    """Text as a user part: whatever RFC 3261 does not allow there is escaped."""
    if _USER_SAFE.fullmatch(text):
        return text
    return "".join(
        char
        if _USER_SAFE.fullmatch(char)
        else "".join(f"%{octet:02X}" for octet in char.encode("utf-8", "surrogateescape"))
        for char in text
    )


def equivalent(one: SipUri, other: SipUri) -> bool:
    """Whether two URIs are equal by RFC 3261 section 19.1.4; tel URIs by RFC 3966 section 4."""
    if one.scheme != other.scheme or one.port != other.port:
        return False
    if one.scheme == "tel":
        if _tel_digits(one.user) != _tel_digits(other.user):
            return False
    elif _meaning(one.user) != _meaning(other.user) or one.host.lower() != other.host.lower():
        return False
    if _meaning(one.password) != _meaning(other.password):
        return False
    return _params_equivalent(one, other) and _headers_meaning(one) == _headers_meaning(other)


def _params_equivalent(one: SipUri, other: SipUri) -> bool:
    mine = {_plain(name): _meaning(value, fold=True) for name, value in one.params}
    theirs = {_plain(name): _meaning(value, fold=True) for name, value in other.params}
    if one.scheme == "tel":
        return mine == theirs
    if any((name in mine) != (name in theirs) for name in _DECISIVE):
        return False
    return all(theirs[name] == value for name, value in mine.items() if name in theirs)


def _headers_meaning(uri: SipUri) -> list[tuple[str, str]]:
    return sorted((_plain(name), _meaning(value) or "") for name, value in uri.headers)


def _meaning(text: str | None, fold: bool = False) -> str | None:
    """Text with all escapes resolved but those of reserved characters, which differ from the bare ones."""
    if text is None:
        return None
    if "%" in text:
        text = _ESCAPED_RESERVED.sub(lambda found: found[0].upper().replace("%", "%25"), text)
        text = unescape(text)
    return text.lower() if fold else text


def _tel_digits(number: str | None) -> str:
    return (number or "").translate(str.maketrans("", "", "-.()")).lower()
