"""What happens to a simulated call from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """A callee who answers."""

    after: float = 3.0
    """Seconds of ringing."""
    talks: float | None = 60.0
    """Seconds until it hangs up; None: it waits for the caller to."""
    machine: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuses:
    """A callee, or a network on the way, that refuses."""

    status: int = 486
    """SIP status, 300 to 699."""
    after: float = 0.5
    """Seconds until the refusal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rings:
    """A callee whom nobody answers for."""


Callee = Answers | Refuses | Rings


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What happens to the call from outside.  Times are seconds since the call came in."""

    keys: tuple[tuple[float, str], ...] = ()
    """When the caller presses which key (0-9, *, #, A-D)."""
    speaks: tuple[tuple[float, float], ...] = ()
    """From when to when the caller speaks; silent otherwise."""
    hangs_up_at: float | None = None
    callees: Mapping[str, Callee] = field(default_factory=lambda: MappingProxyType({}))
    """Who answers at which target; where nothing is said, it rings and nobody answers."""
    unavailable: frozenset[str] = frozenset()
    """Sources of `play` and texts of `say` that cannot be had."""
    making_seconds: float = 0.0
    """How long it takes to make or fetch a sound."""
    media_seconds: float = 3.0
    """How long every file of `play` lasts."""
    outgoing: bool = False
    """We placed the call, and it has been answered."""
    machine: bool = False
    """An answering machine took the outgoing call."""
    announces: float = 0.0
    """Seconds that who answers an outgoing call speaks first."""
    documents: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The callflow that a web address returns, in canonical XML; every other address has none."""
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    stopped_at: float | None = None
    """When an operator ends the call."""
    max_seconds: float = 3600.0
    """The longest time the call may take."""
