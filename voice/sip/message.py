"""SIP messages: `parse_message` and what it returns (RFC 3261 section 7).

What every message must have is checked when it is parsed: start line, topmost Via, From, To, Call-ID, CSeq,
Max-Forwards, Content-Length.  Everything else stays text until an accessor is asked for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

from voice.sip.address import NameAddr, parse_contact, parse_name_addr
from voice.sip.errors import SipParseError
from voice.sip.header_names import KEYS, is_token, key_of, long_name
from voice.sip.headers import Headers
from voice.sip.mandatory import (
    MAX_VIAS,
    METHODS,
    CSeq,
    first_via,
    parse_call_id,
    parse_cseq,
    parse_max_forwards,
    parse_number,
)
from voice.sip.uri import SipUri, parse_uri
from voice.sip.via import MAGIC_COOKIE, Via, parse_via

MAX_MESSAGE_BYTES: Final = 65_535
"""The most a datagram can carry; nothing that fits in none is taken from a stream either."""
MAX_HEADER_LINES: Final = 256
"""Folded lines count each.  A request after 70 hops has some 90, the largest of RFC 4475 has 43."""
MAX_HEADER_LINE_BYTES: Final = 16_384
"""An Identity header or a long Record-Route line takes 2 to 4 kB."""

_T = TypeVar("_T")

# Control characters other than tab: only CRLF ends a line, and none may stand inside one (`_check_controls`).
_CONTROLS: Final = bytes([*range(9), *range(10, 32), 127])
_QUOTED_PAIR: Final = re.compile(rb"\\[\x00-\x09\x0b\x0c\x0e-\x7f]")
_FOLD: Final = re.compile(r"\r\n[ \t]++")
_VERSION: Final = re.compile(r"[sS][iI][pP]/[0-9]++\.[0-9]++")
_STATUS_LINE: Final = re.compile(r"([^ ]++) ([1-6][0-9]{2})(?: (.*+))?", re.DOTALL)
# Fields that may stand once only: two of them would let two readers of one message see two things.
_ONCE: Final = ("from", "to", "call-id", "cseq", "max-forwards", "content-length")
# What a response to a faulty request is made of.
_RESPONSE_KEYS: Final = frozenset(("via", "from", "to", "call-id", "cseq", "timestamp"))


class _Message:
    """What requests and responses share.

    Accessors parse on first use and remember the result as long as the line stays what it was; each raises
    SipParseError (400) when the field is missing or faulty, unless it says otherwise.
    """

    __slots__ = ("_cache", "body", "headers")

    headers: Headers
    body: bytes
    _cache: dict[str, tuple[str, Any]]

    @property
    def via(self) -> Via:
        """The topmost Via."""
        return self._typed("via", first_via)

    @property
    def vias(self) -> list[Via]:
        """All Vias, topmost first."""
        return self._all("via", parse_via)

    @property
    def from_(self) -> NameAddr:
        return self._typed("from", parse_name_addr)

    @property
    def to(self) -> NameAddr:
        return self._typed("to", parse_name_addr)

    @property
    def cseq(self) -> CSeq:
        return self._typed("cseq", parse_cseq)

    @property
    def call_id(self) -> str:
        return self._typed("call-id", parse_call_id)

    @property
    def max_forwards(self) -> int | None:
        """None when there is none, as in requests of RFC 2543."""
        if "max-forwards" not in self.headers:
            return None
        return self._typed("max-forwards", parse_max_forwards)

    @property
    def contacts(self) -> list[NameAddr]:
        return self._all("contact", parse_contact)

    @property
    def contact(self) -> NameAddr | None:
        """The first Contact; None when there is none."""
        line = self.headers.get("contact")
        if line is None:
            return None
        if "," in line:
            contacts = self.contacts
            return contacts[0] if contacts else None
        try:
            return parse_contact(line)
        except SipParseError as error:
            error.header = "Contact"
            raise

    @property
    def routes(self) -> list[NameAddr]:
        return self._all("route", parse_name_addr)

    @property
    def record_routes(self) -> list[NameAddr]:
        return self._all("record-route", parse_name_addr)

    def _all(self, key: str, parse: Callable[[str], _T]) -> list[_T]:
        try:
            return [parse(value) for value in self.headers.values(key)]
        except SipParseError as error:
            error.header = long_name(key)
            raise

    def _typed(self, key: str, parse: Callable[[str], _T]) -> _T:
        headers = self.headers
        # `Headers.first_line` without the call: some 40 of these are asked for per call that is relayed.
        try:
            line = headers._lines[headers._keys.index(key)]
        except ValueError:
            raise SipParseError("the header is missing", header=long_name(key)) from None
        known = self._cache.get(key)
        if known is not None and known[0] is line:
            value: _T = known[1]
            return value
        try:
            value = parse(line.partition(":")[2].strip(" \t"))
        except SipParseError as error:
            error.header = long_name(key)
            raise
        self._cache[key] = (line, value)
        return value

    def _serialise(self, start_line: str) -> bytes:
        if "\r" in start_line or "\n" in start_line:
            raise ValueError(f"a start line must not hold CR or LF: {start_line[:80]!r}")
        headers = self.headers
        length = f"Content-Length: {len(self.body)}"
        said = headers.first_line("content-length")
        if said is None:
            headers._keys.append("content-length")
            headers._lines.append(length)
        elif said != length:
            headers.set("content-length", str(len(self.body)))
        text = f"{start_line}\r\n{headers.text()}\r\n\r\n"
        return text.encode("utf-8", "surrogateescape") + self.body


class Request(_Message):
    """A request.  `uri` is the Request-URI as text; everything may be changed until it is sent."""

    __slots__ = ("method", "uri")

    def __init__(self, method: str, uri: str, headers: Headers | None = None, body: bytes = b"") -> None:
        self.method = method
        self.uri = uri
        self.headers = Headers() if headers is None else headers
        self.body = body
        self._cache = {}

    @property
    def sip_uri(self) -> SipUri:
        """The Request-URI parsed.  Raises SipParseError; 416 for a scheme other than sip, sips and tel."""
        known = self._cache.get("")
        if known is not None and known[0] is self.uri:
            uri: SipUri = known[1]
            return uri
        try:
            uri = parse_uri(self.uri)
        except SipParseError as error:
            error.header = "Request-URI"
            raise
        self._cache[""] = (self.uri, uri)
        return uri

    def copy(self) -> Request:
        """A copy to be changed apart; the body, immutable, is shared."""
        twin = Request(self.method, self.uri, self.headers.copy(), self.body)
        twin._cache = self._cache.copy()
        return twin

    def to_bytes(self) -> bytes:
        """As it is sent; a wrong Content-Length is set right.  Raises ValueError for CR or LF in the URI."""
        return self._serialise(f"{self.method} {self.uri} SIP/2.0")

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.uri}>"


class Response(_Message):
    __slots__ = ("reason", "status")

    def __init__(self, status: int, reason: str, headers: Headers | None = None, body: bytes = b"") -> None:
        self.status = status
        self.reason = reason
        self.headers = Headers() if headers is None else headers
        self.body = body
        self._cache = {}

    def copy(self) -> Response:
        """A copy to be changed apart; the body, immutable, is shared."""
        twin = Response(self.status, self.reason, self.headers.copy(), self.body)
        twin._cache = self._cache.copy()
        return twin

    def to_bytes(self) -> bytes:
        """As it is sent; a wrong Content-Length is set right.  Raises ValueError for CR, LF in the reason."""
        return self._serialise(f"SIP/2.0 {self.status} {self.reason}")

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.reason}>"


def parse_message(data: bytes) -> Request | Response:
    """Parses one whole message: a datagram, or one cut from a stream.

    Empty lines before it are passed over, octets behind what Content-Length announces are dropped (RFC 3261
    sections 7.5 and 18.3).  Raises SipParseError, with `partial` set where a response can be sent.
    """
    if data[:2] == b"\r\n":
        data = data.lstrip(b"\r\n")
    try:
        return _parse(data)
    except SipParseError as error:
        error.partial = salvage(data)
        raise


def _parse(data: bytes) -> Request | Response:
    if len(data) > MAX_MESSAGE_BYTES:
        raise SipParseError(f"the message is longer than {MAX_MESSAGE_BYTES} bytes", status=513)
    end = data.find(b"\r\n\r\n")
    if end < 0:
        raise SipParseError("the header lines do not end with an empty line")
    head = data[:end]
    lines = head.decode("utf-8", "surrogateescape").split("\r\n")
    if len(head) - len(head.translate(None, _CONTROLS)) != 2 * len(lines) - 2:
        _check_controls(head)
    if len(lines) > MAX_HEADER_LINES:
        raise SipParseError(f"the message has more than {MAX_HEADER_LINES} header lines", status=513)
    if end > MAX_HEADER_LINE_BYTES:
        _check_line_lengths(lines)
    start = lines.pop(0)
    if start[:4].upper() == "SIP/":
        message: Request | Response = _parse_status_line(start)
    else:
        message = _parse_request_line(start)
    keys, values = _split_fields(lines)
    message.headers = Headers.received(keys, lines)
    # Nearly every message repeats Via alone, and is not looked at again for what must stand once.
    vias = keys.count("via")
    if len(keys) - len(set(keys)) >= vias:
        _check_repeats(keys)
    if vias > 1 and vias + head.count(b",") > MAX_VIAS:
        _check_vias(keys, values)
    _check_mandatory(message, keys, lines, values)
    body = data[end + 4 :]
    if "content-length" in keys:
        body = _cut_body(body, values[keys.index("content-length")].strip(" \t"))
    message.body = body
    return message


def _check_controls(head: bytes) -> None:
    """Finds the control character that is out of place; in a quoted-pair none is (RFC 3261 section 25.1)."""
    clean = _QUOTED_PAIR.sub(b"", head).replace(b"\r\n", b"")
    if len(clean) == len(clean.translate(None, _CONTROLS)):
        return
    octet = next(octet for octet in clean if octet in _CONTROLS)
    raise SipParseError(f"a header line holds the control character 0x{octet:02X}; lines end with CRLF")


def _check_line_lengths(lines: list[str]) -> None:
    if max(map(len, lines)) > MAX_HEADER_LINE_BYTES:
        raise SipParseError(f"a header line is longer than {MAX_HEADER_LINE_BYTES} bytes", status=513)


def _split_fields(lines: list[str]) -> tuple[list[str], list[str]]:
    """Keys and values (not stripped) of header lines; folded and oddly spaced ones are replaced in place."""
    keys: list[str] = []
    values: list[str] = []
    known = KEYS.get
    for line in lines:
        name, colon, value = line.partition(":")
        key = known(name)
        if key is None or not colon:
            if line[0] in " \t":
                _unfold(lines)
                return _split_fields(lines)
            name = name.rstrip(" \t")
            if not colon or not is_token(name):
                raise SipParseError(f"a header line does not begin with a name and a colon: {line[:80]!r}")
            key = key_of(name)
            lines[len(keys)] = f"{name}:{value}"
        keys.append(key)
        values.append(value)
    return keys, values


def _unfold(lines: list[str]) -> None:
    """Joins each line that begins with white space to the one before (RFC 3261 section 7.3.1)."""
    if lines[0][0] in " \t":
        raise SipParseError(f"the start line is continued on a second one: {lines[0][:80]!r}")
    lines[:] = _FOLD.sub(" ", "\r\n".join(lines)).split("\r\n")
    _check_line_lengths(lines)


def _parse_request_line(line: str) -> Request:
    parts = line.split(" ")
    if len(parts) != 3:
        raise SipParseError(
            f"the request line is not a method, a URI and a version with one space between: {line[:80]!r}"
        )
    method, uri, version = parts
    _check_version(version)
    if method not in METHODS and not is_token(method):
        raise SipParseError(f"not a method: {method[:80]!r}")
    request = Request(method, uri)
    try:
        parsed = parse_uri(uri)
    except SipParseError as error:
        # Another scheme is no fault of the message: the application answers 416 (RFC 3261 section 8.2.2.1).
        if error.status == 416:
            return request
        error.header = "Request-URI"
        raise
    if parsed.headers:
        raise SipParseError("header fields after ? are not allowed here", header="Request-URI")
    request._cache[""] = uri, parsed
    return request


def _parse_status_line(line: str) -> Response:
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise SipParseError(
            f"the status line is not a version, a code of 100 to 699 and a reason: {line[:80]!r}"
        )
    _check_version(match[1])
    return Response(int(match[2]), match[3] or "")


def _check_version(version: str) -> None:
    if version == "SIP/2.0" or version.upper() == "SIP/2.0":
        return
    if _VERSION.fullmatch(version):
        raise SipParseError(f"this is {version[:20]}, understood is SIP/2.0", status=505)
    raise SipParseError(f"not a SIP version: {version[:80]!r}")


def _check_repeats(keys: list[str]) -> None:
    for key in _ONCE:
        if keys.count(key) > 1:
            raise SipParseError("the header is given more than once", header=long_name(key))


def _check_vias(keys: list[str], values: list[str]) -> None:
    vias = sum(value.count(",") + 1 for key, value in zip(keys, values, strict=True) if key == "via")
    if vias > MAX_VIAS:
        raise SipParseError(f"there are more than {MAX_VIAS} values", header="Via", status=513)


def _check_mandatory(
    message: Request | Response, keys: list[str], lines: list[str], values: list[str]
) -> None:
    """Parses what every message must have into the message's cache."""
    cache = message._cache
    for key, parse in _MANDATORY:
        try:
            at = keys.index(key)
        except ValueError:
            if key == "max-forwards":
                continue
            raise SipParseError("the header is missing", header=long_name(key)) from None
        try:
            cache[key] = lines[at], parse(values[at].strip(" \t"))
        except SipParseError as error:
            error.header = long_name(key)
            raise
    if cache["via"][1].branch == MAGIC_COOKIE:
        raise SipParseError(f"the branch is {MAGIC_COOKIE} with nothing behind it", header="Via")
    if isinstance(message, Request) and cache["cseq"][1].method != message.method:
        raise SipParseError(
            f"the method is not that of the request line, {message.method[:40]!r}", header="CSeq"
        )


def _cut_body(rest: bytes, content_length: str) -> bytes:
    try:
        length = parse_number(content_length, MAX_MESSAGE_BYTES)
    except SipParseError as error:
        error.header = "Content-Length"
        raise
    if length > len(rest):
        raise SipParseError(f"{length} bytes are announced, {len(rest)} came", header="Content-Length")
    return rest[:length]


_MANDATORY: Final[tuple[tuple[str, Callable[[str], object]], ...]] = (
    ("via", first_via),
    ("from", parse_name_addr),
    ("to", parse_name_addr),
    ("call-id", parse_call_id),
    ("cseq", parse_cseq),
    ("max-forwards", parse_max_forwards),
)


def salvage(data: bytes) -> Request | None:
    """What a response to a faulty message needs, as far as it can be read; None when none can be sent.

    An ACK is never answered, nor is what might be a response (RFC 3261 section 17).
    """
    head = data[:MAX_MESSAGE_BYTES].partition(b"\r\n\r\n")[0]
    text = _FOLD.sub(" ", head.decode("utf-8", "surrogateescape"))
    start, *lines = text.split("\r\n", MAX_HEADER_LINES)[:MAX_HEADER_LINES]
    method, _, rest = start.partition(" ")
    if method == "ACK" or not is_token(method):
        return None
    headers = Headers()
    for line in lines:
        name, colon, value = line.partition(":")
        key = key_of(name.rstrip(" \t"))
        if colon and key in _RESPONSE_KEYS and len(line) <= MAX_HEADER_LINE_BYTES:
            try:
                headers.add(key, value.strip(" \t"))
            except ValueError:
                return None
    try:
        first_via(headers.get("via") or "")
    except SipParseError:
        return None
    return Request(method, rest.rpartition(" ")[0].strip(" "), headers)
