"""The kinds of value that an option can have.

Each kind reads what a document says, writes it back, and says in RELAX NG what it accepts; so the
parser and the published schema cannot drift apart.  Patterns keep to what Python and XML Schema
regular expressions share, and no two repetitions in them can match the same text, so matching
takes linear time.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Generic, TypeVar
from xml.sax.saxutils import escape

from callflows.faults import Fault, quoted, those_that_exist
from callflows.raw import Place, RawOption

Value = TypeVar("Value")
Word = TypeVar("Word", bound=StrEnum)

XML_SPACE = " \t\r\n"
DECIMAL = "[0-9]{1,6}(\\.[0-9]{1,3})?"
"""Thousandths are as fine as a document can say: of a second, that is a millisecond."""


class BadValue(Exception):
    """An option's value cannot be used."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


def bad_value(place: Place, message: str, remedy: str) -> BadValue:
    return BadValue((Fault(line=place.line, element=place.element, message=message, remedy=remedy),))


def plain_text(option: RawOption) -> str:
    """The text of an option that may hold nothing but text.  Raises BadValue."""
    faults = list(attribute_faults(option, ()))
    for piece in option.content:
        if isinstance(piece, RawOption):
            faults.append(
                Fault(
                    line=piece.place.line,
                    element=piece.place.element,
                    message=f"<{option.name}> holds the element <{piece.name[:40]}>.",
                    remedy="It takes plain text only: remove the element.",
                )
            )
    if faults:
        raise BadValue(tuple(faults))
    return "".join(piece for piece in option.content if isinstance(piece, str)).strip(XML_SPACE)


def attribute_faults(option: RawOption, known: tuple[str, ...]) -> tuple[Fault, ...]:
    return tuple(
        Fault(
            line=option.place.line,
            element=option.place.element,
            message=f"<{option.name}> has an attribute {quoted(name)} that does not exist.",
            remedy=those_that_exist("attributes", name, known),
        )
        for name in option.attributes
        if name not in known
    )


def decimal_text(number: float) -> str:
    """A number as a document says it, without exponent or needless zeros."""
    return f"{number:.3f}".rstrip("0").rstrip(".")


class Kind(ABC, Generic[Value]):
    """What values an option can have."""

    @property
    @abstractmethod
    def expected(self) -> str:
        """What to write, as the object of “Write”."""

    @abstractmethod
    def read(self, option: RawOption) -> Value:
        """Raises BadValue."""

    @abstractmethod
    def write(self, value: Value) -> tuple[str | RawOption, ...]: ...

    def option(self, name: str, value: Value) -> RawOption:
        """A value as a document says it."""
        return RawOption(name=name, content=self.write(value))

    @abstractmethod
    def schema(self) -> str:
        """The content of the option's element, in RELAX NG."""

    def refuse(self, option: RawOption, text: str) -> BadValue:
        message = f"{quoted(text)} is no value for {option.name}." if text else f"{option.name} is empty."
        return bad_value(option.place, message, f"Write {self.expected}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Kind[float]):
    """A decimal number within bounds, both included."""

    minimum: float
    maximum: float
    unit: str = ""

    @property
    def expected(self) -> str:
        unit = f"{self.unit} without a unit, " if self.unit else "a number "
        return f"{unit}from {decimal_text(self.minimum)} to {decimal_text(self.maximum)}"

    def read(self, option: RawOption) -> float:
        text = plain_text(option)
        if not re.fullmatch(DECIMAL, text):
            raise self.refuse(option, text)
        number = float(Decimal(text))
        if not self.minimum <= number <= self.maximum:
            raise bad_value(
                option.place, f"{option.name} is {text}: out of range.", f"Write {self.expected}."
            )
        return number

    def write(self, value: float) -> tuple[str | RawOption, ...]:
        return (decimal_text(value),)

    def schema(self) -> str:
        # A list of exactly one: white space around a number then counts nowhere, whichever way a validator
        # orders white space and pattern.
        return (
            f'<list><data type="decimal"><param name="pattern">{escape(DECIMAL)}</param>'
            f'<param name="minInclusive">{decimal_text(self.minimum)}</param>'
            f'<param name="maxInclusive">{decimal_text(self.maximum)}</param></data></list>'
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole(Kind[int]):
    """A whole number within bounds, both included."""

    minimum: int
    maximum: int
    unit: str = ""

    @property
    def expected(self) -> str:
        unit = f"{self.unit} without a unit, " if self.unit else ""
        return f"{unit}a whole number from {self.minimum} to {self.maximum}"

    def read(self, option: RawOption) -> int:
        text = plain_text(option)
        if not re.fullmatch("[0-9]{1,9}", text):
            raise self.refuse(option, text)
        if not self.minimum <= int(text) <= self.maximum:
            raise bad_value(
                option.place, f"{option.name} is {text}: out of range.", f"Write {self.expected}."
            )
        return int(text)

    def write(self, value: int) -> tuple[str | RawOption, ...]:
        return (str(value),)

    def schema(self) -> str:
        return (
            '<list><data type="integer"><param name="pattern">[0-9]{1,9}</param>'
            f'<param name="minInclusive">{self.minimum}</param>'
            f'<param name="maxInclusive">{self.maximum}</param></data></list>'
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth(Kind[bool]):
    """true or false."""

    @property
    def expected(self) -> str:
        return "true or false"

    def read(self, option: RawOption) -> bool:
        text = plain_text(option)
        if text not in ("true", "false"):
            raise self.refuse(option, text)
        return text == "true"

    def write(self, value: bool) -> tuple[str | RawOption, ...]:
        return ("true" if value else "false",)

    def schema(self) -> str:
        return "<choice><value>true</value><value>false</value></choice>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Kind[Word]):
    """One of a closed set of words."""

    words: type[Word]

    @property
    def expected(self) -> str:
        return "one of: " + ", ".join(self.words)

    def read(self, option: RawOption) -> Word:
        text = plain_text(option)
        try:
            return self.words(text)
        except ValueError:
            raise self.refuse(option, text) from None

    def write(self, value: Word) -> tuple[str | RawOption, ...]:
        return (value.value,)

    def schema(self) -> str:
        return "<choice>" + "".join(f"<value>{word}</value>" for word in self.words) + "</choice>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching(Kind[str]):
    """Text of a given form."""

    pattern: str
    longest: int
    described: str

    @property
    def expected(self) -> str:
        return self.described

    def read(self, option: RawOption) -> str:
        text = plain_text(option)
        if len(text) > self.longest:
            raise bad_value(
                option.place,
                f"{option.name} has {len(text)} characters.",
                f"Use at most {self.longest}.",
            )
        if not re.fullmatch(self.pattern, text):
            raise self.refuse(option, text)
        return text

    def write(self, value: str) -> tuple[str | RawOption, ...]:
        return (value,)

    def schema(self) -> str:
        return (
            f'<data type="token"><param name="pattern">{escape(self.pattern)}</param>'
            f'<param name="maxLength">{self.longest}</param></data>'
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys(Kind[frozenset[str]]):
    """Telephone keys, any of which does: ``any``, ``none``, or the keys themselves."""

    every: frozenset[str] = frozenset("0123456789*#ABCD")

    @property
    def expected(self) -> str:
        return "any, none, or the keys themselves (0-9, *, #, A-D), such as # or 12#"

    def read(self, option: RawOption) -> frozenset[str]:
        text = plain_text(option)
        if text == "any":
            return self.every
        if text == "none":
            return frozenset()
        if not re.fullmatch("[0-9*#A-D]{1,16}", text):
            raise self.refuse(option, text)
        return frozenset(text)

    def write(self, value: frozenset[str]) -> tuple[str | RawOption, ...]:
        if not value:
            return ("none",)
        return ("any" if value == self.every else "".join(sorted(value)),)

    def schema(self) -> str:
        return '<data type="token"><param name="pattern">none|any|[0-9*#A-D]{1,16}</param></data>'


@dataclass(frozen=True, slots=True, kw_only=True)
class WordOrCode(Kind[int]):
    """A number that has names: one of the words, or the number itself."""

    words: Mapping[str, int]
    pattern: str
    described: str

    @property
    def expected(self) -> str:
        return f"one of: {', '.join(self.words)}; or {self.described}"

    def read(self, option: RawOption) -> int:
        text = plain_text(option)
        if text in self.words:
            return self.words[text]
        if not re.fullmatch(self.pattern, text):
            raise self.refuse(option, text)
        return int(text)

    def write(self, value: int) -> tuple[str | RawOption, ...]:
        return (next((word for word, code in self.words.items() if code == value), str(value)),)

    def schema(self) -> str:
        words = "".join(f"<value>{word}</value>" for word in self.words)
        code = f'<data type="token"><param name="pattern">{self.pattern}</param></data>'
        return f"<choice>{words}{code}</choice>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Several(Generic[Value]):
    """An option that may stand several times, each time with one value; the order counts."""

    each: Kind[Value]
    at_most: int
