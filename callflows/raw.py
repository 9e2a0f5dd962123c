"""A callflow document as it was read, before anything in it has a type.

This is the seam between an encoding and the model.  A reader (`callflows.canonical` for the
canonical XML) turns a document into these values and knows nothing of what the actions mean;
`callflows.build` turns these values into typed steps and knows nothing of XML.  Writing goes the
same way back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something stands in a document."""

    line: int = 1
    element: str = "/"


NOWHERE = Place()
"""Of values that were not read from a document."""

NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class RawOption:
    """An option with its value, or a piece of markup inside the text of one."""

    name: str
    content: tuple[str | RawOption, ...]
    attributes: Mapping[str, str] = field(default_factory=lambda: NO_ATTRIBUTES)
    place: Place = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class RawStep:
    """An action and its options, in the order of the document; one that repeats stands here as often."""

    id: str
    action: str
    options: tuple[RawOption, ...]
    names: Mapping[str, str] = field(default_factory=lambda: NO_ATTRIBUTES)
    """What the encoding calls an option, where that is not the model's name."""
    place: Place = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class RawCallflow:
    """The steps of a document, in order."""

    steps: tuple[RawStep, ...]
    title: str | None = None
    record: bool = False
    max_duration: int | None = None
    """Seconds."""
    place: Place = NOWHERE
