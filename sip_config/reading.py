"""Reading a configuration file key by key, so that all of its faults are found in one go.

A `Section` is one table.  Each of its methods reads one key, and on a fault notes it and returns the
default, so that reading goes on; the `FaultList` says at the end whether what was read may be used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

from sip_config.faults import ConfigurationFaults, Fault, Unfit, meant, quoted
from sip_config.toml_source import Path, TomlSource

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_MISSING: Final = object()
_TYPE_NAMES: Final = {
    str: "a text in quotes",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "an array in [ ]",
    dict: "a table",
}
_TRUE: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_LONGEST_STEP: Final = 80
ENVIRONMENT: Final = "environment"


class FaultList:
    """Collects faults while a configuration is read."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self._faults.append(fault)

    def raise_if_any(self) -> None:
        """Raises ConfigurationFaults."""
        if self._faults:
            raise ConfigurationFaults(self._faults)


@dataclass(frozen=True, slots=True)
class _Found:
    """A value, and where it came from."""

    value: Any
    variable: str | None = None
    """Name of the environment variable, when it came from there: then it is a text, whatever its type."""


class Section:
    """One table of a file.  With `environment`, a variable named after a key goes before the file."""

    def __init__(
        self,
        source: TomlSource,
        faults: FaultList,
        values: Mapping[str, Any] | None = None,
        path: Path = (),
        environment: Mapping[str, str] | None = None,
        prefix: str = "",
    ) -> None:
        self._source = source
        self._faults = faults
        self._values = source.values if values is None else values
        self._path = path
        self._environment = environment or {}
        self._prefix = prefix
        self._known: list[str] = []
        self.variables: list[str] = []
        """Names of the environment variables that this section and those inside it listen to."""

    @property
    def place(self) -> str:
        """Where this table stands, such as ``accounts.acme``."""
        return dotted(self._path)

    def has(self, key: str) -> bool:
        return key in self._values

    def names(self, key: str) -> tuple[str, ...]:
        """The names inside the table of this key, for what refers to them; notes no faults."""
        value = self._values.get(key)
        return tuple(value) if isinstance(value, dict) else ()

    def text(self, key: str, default: str = "", *, required: bool = False, longest: int = 500) -> str:
        return self.fitting(key, _same, default, required=required, longest=longest)

    def fitting(
        self,
        key: str,
        convert: Callable[[str], T],
        default: T,
        *,
        required: bool = False,
        longest: int = 500,
    ) -> T:
        """A text, converted; `convert` raises Unfit for one that cannot be used."""
        found = self._typed(key, str, required=required)
        if found is None:
            return default
        if len(found.value) > longest:
            self._note(key, found, f"This text has {len(found.value)} characters.", f"Use at most {longest}.")
            return default
        try:
            return convert(found.value)
        except Unfit as unfit:
            self._note(key, found, unfit.message, unfit.remedy)
            return default

    def choice(self, key: str, default: E) -> E:
        """One word of a closed set."""
        kind = type(default)
        return self.fitting(key, lambda written: word_of(kind, written), default)

    def integer(self, key: str, default: int, *, least: int, most: int) -> int:
        found = self.optional_integer(key, least=least, most=most)
        return default if found is None else found

    def number(self, key: str, default: float, *, least: float, most: float) -> float:
        found = self.optional_number(key, least=least, most=most)
        return default if found is None else found

    def optional_integer(self, key: str, *, least: int, most: int) -> int | None:
        found = self._bounded(key, int, least, most)
        return None if found is None else int(found)

    def optional_number(self, key: str, *, least: float, most: float) -> float | None:
        return self._bounded(key, float, least, most)

    def boolean(self, key: str, default: bool) -> bool:
        found = self._typed(key, bool)
        return default if found is None else bool(found.value)

    def each(
        self, key: str, convert: Callable[[str], T], default: Sequence[T] = (), *, if_empty: str = ""
    ) -> tuple[T, ...]:
        """An array of texts, each converted; one that occurs twice is a fault.

        So is an empty array, when `if_empty` gives the remedy.
        """
        found = self._typed(key, list)
        if found is None:
            return tuple(default)
        if if_empty and not found.value:
            self._note(key, found, "This array is empty.", if_empty)
        converted: list[T] = []
        for position, element in enumerate(found.value):
            try:
                converted.append(_converted(element, convert, converted))
            except Unfit as unfit:
                self._note(key, found, unfit.message, unfit.remedy, (position,))
        return tuple(converted)

    def section(self, key: str, *, variables: str | None = None) -> Section:
        """The table of this name; empty when it is not there.

        `variables`: the beginning of the names of its environment variables; that of a table inside a
        table that has one follows from it.
        """
        self._known.append(key)
        value = self._values.get(key, {})
        if not isinstance(value, dict):
            wrong = _wrong_type(value, dict)
            self._note(key, None, wrong.message, wrong.remedy)
            value = {}
        inside = Section(
            self._source,
            self._faults,
            value,
            (*self._path, key),
            self._environment,
            variables or (f"{self._prefix}{key.upper()}_" if self._prefix else ""),
        )
        inside.variables = self.variables
        return inside

    def sections(
        self, key: str, names: Callable[[str], object] | None = None
    ) -> Iterator[tuple[str, Section]]:
        """The tables inside a table, by name; `names` raises Unfit for a name that cannot be used."""
        outer = self.section(key)
        for name in outer._values:
            inner = outer.section(name)
            try:
                if names is not None:
                    names(name)
            except Unfit as unfit:
                outer.fault(name, unfit.message, unfit.remedy)
                continue
            yield name, inner

    def fault(self, key: str | None, message: str, remedy: str) -> None:
        """Notes a fault of a key, or of this table."""
        self._note(key, None, message, remedy)

    def fault_of_variable(self, variable: str, message: str, remedy: str) -> None:
        """Notes a fault of an environment variable."""
        self._faults.add(
            Fault(source=ENVIRONMENT, line=None, key=variable, message=message, remedy=remedy),
        )

    def fault_in(self, source: str, line: int | None, message: str, remedy: str) -> None:
        """Notes a fault of another file that this table names."""
        self._faults.add(
            Fault(source=source, line=line, key="", message=message, remedy=remedy),
        )

    def reject_unknown(self, known: Sequence[str] | None = None) -> None:
        """Notes every key that is not known; unless `known` says it, those are the keys asked for so far."""
        known = self._known if known is None else known
        for key in self._values:
            if key not in known:
                self.fault(key, f"There is no key {quoted(key)} here.", meant(key, known, "keys here"))

    def _bounded(self, key: str, kind: type, least: float, most: float) -> float | None:
        found = self._typed(key, kind)
        if found is None:
            return None
        if not least <= found.value <= most:
            self._note(key, found, f"{found.value} is out of bounds.", f"Use {least:g} to {most:g}.")
            return None
        value: float = found.value
        return value

    def _typed(self, key: str, kind: type, *, required: bool = False) -> _Found | None:
        self._known.append(key)
        try:
            found = self._from_environment(key, kind) or self._from_file(key, kind)
        except Unfit as unfit:
            self._note(key, None, unfit.message, unfit.remedy)
            return None
        if found is None and required:
            self._note(None, None, f"The key {key} is missing.", f"Add {key} = ...")
        return found

    def _from_file(self, key: str, kind: type) -> _Found | None:
        value = self._values.get(key, _MISSING)
        if value is _MISSING:
            return None
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise _wrong_type(value, kind)
        return _Found(value)

    def _from_environment(self, key: str, kind: type) -> _Found | None:
        if not self._prefix:
            return None
        variable = f"{self._prefix}{key.upper()}"
        self.variables.append(variable)
        text = self._environment.get(variable)
        if text is None:
            return None
        try:
            if kind is list:
                return _Found([part.strip() for part in text.split(",") if part.strip()], variable)
            value = _TRUE[text.strip().lower()] if kind is bool else kind(text.strip())
        except (ValueError, KeyError):
            self._note(
                key,
                _Found(text, variable),
                f"{quoted(text)} is not {_TYPE_NAMES[kind]}.",
                "Change or unset it.",
            )
            return None
        return _Found(value, variable)

    def _note(
        self, key: str | None, found: _Found | None, message: str, remedy: str, below: Path = ()
    ) -> None:
        if found is not None and found.variable is not None:
            fault = Fault(source=ENVIRONMENT, line=None, key=found.variable, message=message, remedy=remedy)
        else:
            path = (*self._path, *(() if key is None else (key,)), *below)
            fault = Fault(
                source=self._source.name,
                line=self._source.line(path),
                key=dotted(path),
                message=message,
                remedy=remedy,
            )
        self._faults.add(fault)


def dotted(path: Path) -> str:
    """A path as TOML writes it: ``accounts."a b".acls.office.networks[1]``."""
    written = ""
    for step in path:
        if isinstance(step, int):
            written += f"[{step}]"
        else:
            short = step if len(step) <= _LONGEST_STEP else f"{step[:_LONGEST_STEP]}…"
            name = short if _BARE.fullmatch(step) else f'"{short}"'
            written += f".{name}" if written else name
    return written


def word_of(kind: type[E], written: str) -> E:
    """The member of an enumeration that a word names, whatever its case.  Raises Unfit."""
    for member in kind:
        if member.value.casefold() == written.casefold():
            return member
    words = [member.value for member in kind]
    raise Unfit(f"{quoted(written)} is not one of the words that fit here.", meant(written, words, "words"))


def _converted(element: object, convert: Callable[[str], T], before: Sequence[T]) -> T:
    if not isinstance(element, str):
        raise _wrong_type(element, str)
    value = convert(element)
    if value in before:
        raise Unfit(f"{quoted(element)} is listed twice.", "Remove one of the two.")
    return value


def _same(text: str) -> str:
    return text


def _wrong_type(value: object, kind: type) -> Unfit:
    given = _TYPE_NAMES.get(type(value), "a date or time")
    return Unfit(f"This is {given}.", f"Write {_TYPE_NAMES[kind]}.")
