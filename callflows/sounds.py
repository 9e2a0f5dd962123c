"""The sounds that steps play, as values: what to play, before it is a file."""

from __future__ import annotations

from dataclasses import dataclass

from callflows.model import Utterance


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    utterance: Utterance


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    source: str
    """An http(s) URL, or the name of a file that the account uploaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beep:
    """The tone before a recording."""


Sound = Speech | Media | Beep
