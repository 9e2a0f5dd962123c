"""What is known of the call that an INVITE belongs to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from sip_config.model import SrtpPolicy
from voice.edge.core.legs import Leg
from voice.sip.flow import Flow
from voice.sip.message import Response

if TYPE_CHECKING:
    from voice.edge.core.branch import Branch


class Kind(Enum):
    CALLFLOW = "callflow"
    """From a customer or carrier to a call process."""
    TRUNK = "trunk"
    """From a customer to a gateway."""
    DIAL = "dial"
    """From a call process to whoever its callflow dials."""
    IN_DIALOG = "in dialog"
    POP = "pop"
    """To another POP, which handles the call and keeps its records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFacts:
    """What the records say of the call that an INVITE belongs to."""

    kind: Kind
    call_id: str
    account_id: str
    source: str
    incoming_leg: Leg | None = None
    leg_id: str | None = None
    """That the first leg begun is to have; the next ways to a target, and other targets, get new ones."""
    cseq_delta: int = 0
    srtp: SrtpPolicy = SrtpPolicy.OPTIONAL
    """What the side that begins the call says of SRTP."""
    routes: tuple[str, ...] = ()
    """Routes beyond the edge, in a dialog."""
    untaken: Callable[[bool, float], None] | None = None
    """Called in place of an answer when no POP took the call: its sender still waits for one.

    The first says whether any POP was there.
    """
    answered: Callable[[Branch, Response, Flow, float], None] | None = None
    """Called with the first answer."""
