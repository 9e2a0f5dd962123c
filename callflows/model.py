"""The parts of a callflow that more than one step shares.

Each step's own dataclass stands in its file under `callflows.steps`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Text spoken at one speed; `rate` 1.0 is the voice's own, from 0.5 to 2.0."""

    text: str
    rate: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A break between words, in seconds."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """What a `say` step speaks."""

    language: str
    """BCP 47 tag, such as ``en-GB``; compared without case."""
    voice: str
    """``male`` or ``female``: a preference."""
    parts: tuple[Words | Silence, ...]
