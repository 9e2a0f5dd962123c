"""TOML with the line of every key and array element.

`tomllib` reads the values but not where they stand.  Since it has checked the text by then, finding the
places only takes a walk over keys, brackets and quotes, once, from left to right.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any, Final

from sip_config.faults import ConfigurationFaults, Fault

MAX_CHARACTERS: Final = 8_000_000

Path = tuple[str | int, ...]

_SKIPPED: Final = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE: Final = re.compile(r"[^,\]}#\n]*")
_AT_LINE: Final = re.compile(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class TomlSource:
    """A TOML file: its values, and on which line each of them stands."""

    name: str
    """Of the file, as faults call it."""
    values: dict[str, Any]
    lines: dict[Path, int]

    def line(self, path: Path) -> int | None:
        """The line of a key or element; for what is not there, that of the nearest table around it."""
        for length in range(len(path), 0, -1):
            line = self.lines.get(path[:length])
            if line is not None:
                return line
        return None


def read_toml(text: str, name: str) -> TomlSource:
    """Reads a file's text.  Raises ConfigurationFaults, with one fault, when it is not TOML."""
    text = text.replace("\r\n", "\n")
    if len(text) > MAX_CHARACTERS:
        raise _unreadable(
            name, None, f"The file has {len(text)} characters.", f"Keep it below {MAX_CHARACTERS}."
        )
    try:
        values = tomllib.loads(text)
        lines = _Walk(text).document()
    except tomllib.TOMLDecodeError as fault:
        found = _AT_LINE.fullmatch(str(fault))
        said, line = (found[1], found[2]) if found else (str(fault), None)
        at = int(line) if line else text.count("\n") + 1
        raise _unreadable(name, at, f"{said}.", "Write it as TOML 1.0 asks (https://toml.io).") from None
    except RecursionError:
        raise _unreadable(name, None, "Values are nested too deeply.", "Use fewer brackets.") from None
    return TomlSource(name=name, values=values, lines=lines)


def _unreadable(name: str, line: int | None, message: str, remedy: str) -> ConfigurationFaults:
    return ConfigurationFaults([Fault(source=name, line=line, key="", message=message, remedy=remedy)])


class _Walk:
    """One pass over text that is known to be valid TOML."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line_starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self._lines: dict[Path, int] = {}
        self._array_lengths: dict[Path, int] = {}

    def document(self) -> dict[Path, int]:
        table: Path = ()
        self._skip()
        while self._at < len(self._text):
            if self._text.startswith("[[", self._at):
                self._at += 2
                table = self._array_header()
            elif self._text[self._at] == "[":
                self._at += 1
                table = self._header()
            else:
                self._pair(table)
            self._skip()
        return self._lines

    def _header(self) -> Path:
        line = self._line()
        table = self._inside_arrays(self._keys("]"))
        self._remember(table, line)
        return table

    def _array_header(self) -> Path:
        line = self._line()
        array = self._inside_arrays(self._keys("]"))
        self._at += 1
        position = self._array_lengths.get(array, 0)
        self._array_lengths[array] = position + 1
        self._remember((*array, position), line)
        return (*array, position)

    def _inside_arrays(self, keys: tuple[str, ...]) -> Path:
        """A header's keys, through the latest element of every array of tables on the way."""
        path: Path = ()
        for key in keys[:-1]:
            path = (*path, key)
            if path in self._array_lengths:
                path = (*path, self._array_lengths[path] - 1)
        return (*path, keys[-1])

    def _pair(self, table: Path) -> None:
        line = self._line()
        path: Path = (*table, *self._keys("="))
        self._remember(path, line)
        self._value(path)

    def _keys(self, end: str) -> tuple[str, ...]:
        """A dotted key and the sign that ends it."""
        keys = []
        while True:
            self._skip()
            keys.append(self._key())
            self._skip()
            sign = self._text[self._at]
            self._at += 1
            if sign == end:
                return tuple(keys)

    def _key(self) -> str:
        start = self._at
        if self._text[start] in "\"'":
            self._string()
            key: str = next(iter(tomllib.loads(f"{self._text[start : self._at]} = 0")))
            return key
        self._at = self._match(_BARE_KEY)
        return self._text[start : self._at]

    def _value(self, path: Path) -> None:
        self._skip()
        match self._text[self._at]:
            case '"' | "'":
                self._string()
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case _:
                self._at = self._match(_BARE_VALUE)

    def _array(self, path: Path) -> None:
        self._at += 1
        position = 0
        while not self._closed("]"):
            self._remember((*path, position), self._line())
            self._value((*path, position))
            position += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while not self._closed("}"):
            self._pair(path)

    def _closed(self, bracket: str) -> bool:
        """Steps over what separates elements; over the bracket too when it comes."""
        self._skip()
        if self._text[self._at] == ",":
            self._at += 1
            self._skip()
        if self._text[self._at] != bracket:
            return False
        self._at += 1
        return True

    def _string(self) -> None:
        quote = self._text[self._at]
        if self._text.startswith(quote * 3, self._at):
            self._at = self._after(quote * 3, self._at + 3, escapes=quote == '"')
            # Up to two quotes may stand before the closing three.
            while self._text.startswith(quote, self._at):
                self._at += 1
        else:
            self._at = self._after(quote, self._at + 1, escapes=quote == '"')

    def _after(self, closing: str, start: int, *, escapes: bool) -> int:
        at = start
        while not self._text.startswith(closing, at):
            at += 2 if escapes and self._text[at] == "\\" else 1
        return at + len(closing)

    def _skip(self) -> None:
        self._at = self._match(_SKIPPED)

    def _match(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self._text, self._at)
        assert found is not None, "the text was checked by tomllib"
        return found.end()

    def _line(self) -> int:
        return bisect_right(self._line_starts, self._at)

    def _remember(self, path: Path, line: int) -> None:
        self._lines[path] = line
        for length in range(len(path) - 1, 0, -1):
            if path[:length] in self._lines:
                break
            self._lines[path[:length]] = line
