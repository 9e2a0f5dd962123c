"""Which of several final responses is passed on (RFC 3261 section 16.7 steps 6 and 7)."""

from __future__ import annotations

from dataclasses import dataclass

from voice.edge.core.crossing import Passage
from voice.sip.flow import Flow
from voice.sip.message import Response
from voice.sip.respond import reason_phrase

# Within 4xx, what tells the caller how to do better comes first.
_HELPFUL = (401, 407, 415, 420, 484)


@dataclass(frozen=True, slots=True, kw_only=True)
class Final:
    """How a branch ended without an answer."""

    status: int
    reason: str
    came: tuple[Response, Passage, Flow] | None = None
    """The response that said so, on its way back; None: the edge itself says so."""
    declined: bool = False
    """Another POP is there, and did not take the call."""

    @classmethod
    def local(cls, status: int, reason: str | None = None) -> Final:
        return cls(status=status, reason=reason or reason_phrase(status))


def best_of(finals: list[Final]) -> Final:
    """The response for the caller; of several equally good ones the first.  `finals` is not empty.

    A 503 says that this one server is overloaded, which is not true of the edge: it becomes a 500.
    """
    best = min(finals, key=_rank)
    if best.status == 503:
        return Final.local(500, "The next hop could not take the request")
    return best


def challenges_of(finals: list[Final], best: Final) -> list[tuple[str, str]]:
    """All challenges of all branches, when a challenge is passed on (step 7)."""
    if best.status not in (401, 407):
        return []
    return [
        (name, value)
        for final in finals
        if final.came is not None and final is not best and final.status in (401, 407)
        for name in ("WWW-Authenticate", "Proxy-Authenticate")
        for value in final.came[0].headers.lines(name)
    ]


def _rank(final: Final) -> tuple[int, int]:
    family = final.status // 100
    if family == 6:
        return 0, 0
    return family, 0 if final.status in _HELPFUL else 1
