"""The fields of a body or a query, whatever a client calls and wraps them.

Names are compared without case, objects may come as JSON inside a text, form bodies have texts for
everything (reference section 0.12 to 0.15).  Faults are collected with the place of each, and `check`
raises all of them at once: until it has returned, nothing may be done with what was read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar, cast

from voice.api.faults import Code, Problems
from voice.api.readers import Misfit, Reader

T = TypeVar("T")

_ZEROS: Final = {"", "0", "0.0", "false"}


class Fields:
    """Reads an object's fields; unknown ones are ignored, for SDKs send read-only fields back."""

    def __init__(self, given: Mapping[str, Any], *, at: str = "", problems: Problems | None = None) -> None:
        self._at = at
        self._problems = Problems() if problems is None else problems
        self._given: dict[str, tuple[str, Any]] = {}
        for name, value in given.items():
            self._given.setdefault(name.lower(), (name, value))
        self._original = given

    def required(self, name: str, read: Reader[T]) -> T:
        """The value; a field that is missing or null is a fault."""
        value = self.raw(name)
        if value is None:
            self.fault(name, f"{name} is missing.", code=Code.MISSING)
            return cast("T", None)  # nobody sees it: check() raises
        return cast("T", self._read(name, value, read))

    def optional(self, name: str, read: Reader[T], *, zero_is_unset: bool = False) -> T | None:
        """The value, or None when it is missing or null.

        `zero_is_unset`: 0, "" and false are taken for missing as well; Java and Go SDKs send them for
        everything that was not set (reference section 0.15).
        """
        value = self.raw(name)
        if value is None or (zero_is_unset and _is_zero(value)):
            return None
        return self._read(name, value, read)

    def get(self, name: str, read: Reader[T], default: T, *, zero_is_unset: bool = False) -> T:
        """The value, or `default` when it is missing or null."""
        value = self.optional(name, read, zero_is_unset=zero_is_unset)
        return default if value is None else value

    def nested(self, name: str) -> Fields | None:
        """An object, or JSON of one inside a text; None when missing, null or empty text."""
        value = self.raw(name)
        if isinstance(value, str) and value.strip():
            value = _unwrapped(value)
        if value is None or value == "":
            return None
        if isinstance(value, Mapping):
            return Fields(value, at=self._place(name), problems=self._problems)
        self.fault(name, f"{name} must be an object.")
        return None

    def each(self, name: str, *, most: int) -> tuple[Fields, ...]:
        """A list of objects; a fault when one of them is none, or when there are more than `most`."""
        value = self.raw(name)
        if isinstance(value, str):
            value = _unwrapped(value)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
            self.fault(name, f"{name} must be a list of objects.")
            return ()
        if len(value) > most:
            self.fault(name, f"{name} has {len(value)} elements; give at most {most}.")
            return ()
        place = self._place(name)
        return tuple(Fields(one, at=f"{place}/{at}", problems=self._problems) for at, one in enumerate(value))

    def raw(self, name: str) -> Any:
        """The value as it came; None when it is missing."""
        return self._given.get(name.lower(), (name, None))[1]

    def __contains__(self, name: str) -> bool:
        """Whether the client sent the field at all, be it null."""
        return name.lower() in self._given

    def __iter__(self) -> Iterator[str]:
        """The names as the client wrote them."""
        return iter(self._original)

    @property
    def mapping(self) -> Mapping[str, Any]:
        """Everything as it came."""
        return self._original

    def fault(self, name: str, message: str, *, code: int = Code.INVALID, within: str = "") -> None:
        """Notes a fault of a field, or of what is at the JSON pointer `within` it."""
        self._problems.add(self._place(name) + within, message, code=code)

    def check(self) -> None:
        """Raises Invalid (422) with all faults that were found here and in what is nested."""
        self._problems.check()

    def _read(self, name: str, value: Any, read: Reader[T]) -> T | None:
        try:
            return read(value)
        except Misfit as misfit:
            self.fault(name, misfit.message, within=misfit.at)
            return None

    def _place(self, name: str) -> str:
        return f"{self._at}/{name}" if self._at else name


def _is_zero(value: Any) -> bool:
    return isinstance(value, str | int | float) and str(value).lower() in _ZEROS


def _unwrapped(text: str) -> Any:
    """JSON inside a text; the text itself when it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
