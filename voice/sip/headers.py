"""The header fields of a message: ordered, by name without regard to case, values as they came.

A field is kept as the line it was received in (unfolded) beside its key, the long name in lower case.
Relaying joins those lines again, so no value is ever written anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from voice.sip.errors import SipParseError
from voice.sip.header_names import LISTS, LONG, is_token, key_of, long_name

_LIST_MARK: Final = re.compile(r'[",<]')
_QUOTED_REST: Final = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*"', re.DOTALL)


def printable(text: str) -> str:
    """Text from a message made safe for records and logs: no control characters, no lone surrogates."""
    if text.isascii() and text.isprintable():
        return text
    clean = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in clean)


def split_list(text: str) -> list[str]:
    """The elements of a comma-separated value; commas inside quotes and angle brackets separate nothing.

    Empty elements are dropped.  Raises SipParseError when a quote or a bracket is not closed.
    """
    if "," not in text:
        return [text] if text else []
    if '"' not in text and "<" not in text:
        parts = text.split(",")
    else:
        parts = []
        start = 0
        for comma in _commas(text):
            parts.append(text[start:comma])
            start = comma + 1
        parts.append(text[start:])
    return [part for part in (part.strip(" \t") for part in parts) if part]


def _commas(text: str) -> Iterator[int]:
    """The positions of the commas that separate; each character is looked at once."""
    at = 0
    while (mark := _LIST_MARK.search(text, at)) is not None:
        at = mark.end()
        if mark[0] == ",":
            yield mark.start()
        elif mark[0] == '"':
            rest = _QUOTED_REST.match(text, at)
            if rest is None:
                raise SipParseError(f"a quote is not closed: {text[mark.start() :][:80]!r}")
            at = rest.end()
        else:
            at = text.find(">", at) + 1
            if not at:
                raise SipParseError(f"a < is not closed: {text[mark.start() :][:80]!r}")


class Headers:
    """Header fields in order.  Names are accepted in any case, long or compact.

    Whatever takes a value raises ValueError for CR, LF or NUL in it, which would let it become a header of
    its own, and for a name that is no token.
    """

    __slots__ = ("_keys", "_lines")

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._keys: list[str] = []
        self._lines: list[str] = []
        for name, value in fields:
            self.add(name, value)

    @classmethod
    def received(cls, keys: list[str], lines: list[str]) -> Headers:
        """Headers over lines that were checked, with their keys; both lists become its own."""
        headers = cls.__new__(cls)
        headers._keys = keys
        headers._lines = lines
        return headers

    # Relaying asks for fields some hundred times per call, nearly always by their keys: hence the conditional
    # expressions below instead of plain calls of `key_of`.

    def get(self, name: str) -> str | None:
        """The value of the first field of that name."""
        key = name if name in LONG else key_of(name)
        keys = self._keys
        return self._lines[keys.index(key)].partition(":")[2].strip(" \t") if key in keys else None

    def first_line(self, name: str) -> str | None:
        """The whole first line of that name: one object until the field changes, for caches to compare."""
        key = name if name in LONG else key_of(name)
        keys = self._keys
        return self._lines[keys.index(key)] if key in keys else None

    def lines(self, name: str) -> list[str]:
        """The value of each field of that name."""
        key = name if name in LONG else key_of(name)
        keys = self._keys
        count = keys.count(key)
        if not count:
            return []
        if count == 1:
            return [self._lines[keys.index(key)].partition(":")[2].strip(" \t")]
        return [_value(line) for line in self._lines_of(key)]

    def values(self, name: str) -> list[str]:
        """The single values of all fields of that name; those of a list field are split at their commas.

        Raises SipParseError when a quote or a bracket is not closed.
        """
        found = self.lines(name)
        if (len(found) == 1 and found[0] and "," not in found[0]) or key_of(name) not in LISTS:
            return found
        try:
            return [value for line in found for value in split_list(line)]
        except SipParseError as error:
            error.header = long_name(name)
            raise

    def set(self, name: str, value: str) -> None:
        """Puts the value in the place of the first field of that name, drops others; else appends it."""
        key, line = _field(name, value)
        keys = self._keys
        try:
            at = keys.index(key)
        except ValueError:
            keys.append(key)
            self._lines.append(line)
            return
        self._lines[at] = line
        if keys.count(key) > 1:
            self._keep(lambda index, own: own != key or index == at)

    def add(self, name: str, value: str) -> None:
        """Appends a field at the end."""
        key, line = _field(name, value)
        self._keys.append(key)
        self._lines.append(line)

    def prepend(self, name: str, value: str) -> None:
        """Puts a field before the first of that name, or before all others when there is none."""
        key, line = _field(name, value)
        at = self._keys.index(key) if key in self._keys else 0
        self._keys.insert(at, key)
        self._lines.insert(at, line)

    def remove(self, name: str) -> None:
        """Drops all fields of that name."""
        key = key_of(name)
        keys = self._keys
        while key in keys:
            at = keys.index(key)
            del keys[at], self._lines[at]

    def remove_first_value(self, name: str) -> str | None:
        """Takes the first single value off, also when several share a line, and returns it.

        Raises SipParseError when the line cannot be split.
        """
        key = key_of(name)
        if key not in self._keys:
            return None
        at = self._keys.index(key)
        text = _value(self._lines[at])
        values = split_list(text) if key in LISTS else [text]
        if len(values) > 1:
            self._lines[at] = f"{long_name(key)}: {', '.join(values[1:])}"
        else:
            del self._keys[at], self._lines[at]
        return values[0] if values else None

    def replace_first_value(self, name: str, value: str) -> str | None:
        """Puts the value in the place of the first single value and returns that; None: there was none.

        Raises SipParseError when the line cannot be split.
        """
        key, line = _field(name, value)
        if key not in self._keys:
            return None
        at = self._keys.index(key)
        old = _value(self._lines[at])
        values = split_list(old) if key in LISTS else [old]
        self._lines[at] = ", ".join([line, *values[1:]])
        return values[0] if values else None

    def append_to_first(self, name: str, suffix: str) -> None:
        """Appends text, such as ``;tag=...``, to the first line of that name, which is left as it came.

        Raises KeyError when there is no such line.
        """
        key, _ = _field(name, suffix)
        if key not in self._keys:
            raise KeyError(name)
        self._lines[self._keys.index(key)] += suffix

    def copy_from(self, other: Headers, name: str) -> None:
        """Appends every line of that name of another message, as it is."""
        key = key_of(name)
        for line in other._lines_of(key):
            self._keys.append(key)
            self._lines.append(line)

    def copy(self) -> Headers:
        return Headers.received(self._keys.copy(), self._lines.copy())

    def rewritten(self, first: Iterable[tuple[str, str]], changes: dict[str, str | None]) -> Headers:
        """Other headers, made in one pass, which is what relaying costs: `first` in front, then these.

        `changes`: the value that takes the place of the first field and drops its others, or None, which
        drops them all.  Both by key, that is long name in lower case.
        """
        keys: list[str] = []
        lines: list[str] = []
        new = []
        for name, value in first:
            key = name if name in LONG else key_of(name)
            keys.append(key)
            lines.append(f"{LONG.get(key, key)}: {value}")
            new.append(value)
        left = changes.copy()
        for key, line in zip(self._keys, self._lines, strict=True):
            if key in changes:
                change = left.get(key)
                if change is None:
                    continue
                left[key] = None
                line = f"{LONG.get(key, key)}: {change}"
                new.append(change)
            keys.append(key)
            lines.append(line)
        together = "".join(new)
        if "\n" in together or "\r" in together or "\0" in together:
            raise ValueError(f"a header value must not hold CR, LF or NUL: {together[:80]!r}")
        headers = Headers.__new__(Headers)
        headers._keys = keys
        headers._lines = lines
        return headers

    def only(self, wanted: Sequence[str]) -> Headers:
        """Other headers with the lines of these keys, grouped in this order, as they are."""
        keys: list[str] = []
        lines: list[str] = []
        own = self._keys
        for key in wanted:
            count = own.count(key)
            if count == 1:
                keys.append(key)
                lines.append(self._lines[own.index(key)])
            elif count:
                keys += [key] * count
                lines += self._lines_of(key)
        return Headers.received(keys, lines)

    def text(self) -> str:
        """The lines as they are sent, without the CRLF after the last."""
        return "\r\n".join(self._lines)

    def __contains__(self, name: str) -> bool:
        return (name if name in LONG else key_of(name)) in self._keys

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Long name and value of each field."""
        for key, line in zip(self._keys, self._lines, strict=True):
            yield LONG.get(key) or line.partition(":")[0].rstrip(" \t"), _value(line)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"<Headers {', '.join(self._keys)}>"

    def _lines_of(self, key: str) -> list[str]:
        keys = self._keys
        count = keys.count(key)
        if count <= 1:
            return [self._lines[keys.index(key)]] if count else []
        return [line for own, line in zip(keys, self._lines, strict=True) if own == key]

    def _keep(self, wanted: Callable[[int, str], bool]) -> None:
        kept = [index for index, key in enumerate(self._keys) if wanted(index, key)]
        self._lines = [self._lines[index] for index in kept]
        self._keys = [self._keys[index] for index in kept]


def _value(line: str) -> str:
    return line.partition(":")[2].strip(" \t")


def _field(name: str, value: str) -> tuple[str, str]:
    if "\n" in value or "\r" in value or "\0" in value:
        raise ValueError(f"a header value must not hold CR, LF or NUL: {name}: {value[:80]!r}")
    key = key_of(name)
    shown = LONG.get(key)
    if shown is None:
        if not is_token(name):
            raise ValueError(f"not a header name: {name[:80]!r}")
        shown = name
    return key, f"{shown}: {value}"
