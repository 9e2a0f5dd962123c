"""Which gates a request passed and which one refused it, in order, from what is on record.

The gates always run in the order of `voice.records.Gate`, so the one that refused says that those before
it let the request pass and that those after it were not asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from voice.records import Gate

PASSED: Final = "passed"
REFUSED: Final = "refused"
NOT_ASKED: Final = "not asked"

_ALWAYS: Final = {
    Gate.BAN: "not banned, and not too fast",
    Gate.SOURCE: "an access control list or gateway could admit it",
    Gate.PARSE: "follows RFC 3261",
    Gate.REQUEST: "a request that a proxy may take on",
    Gate.IDENTITY: "may show the caller that it names",
    Gate.MEDIA: "sound as the trunk wants it",
    Gate.LIMITS: "within all limits",
    Gate.ROUTE: "something answers it",
    Gate.POP: "this point of presence",
    Gate.POOL: "a call process was free",
}
"""What a gate that passed a request says when no entry of the configuration decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateVerdict:
    """What one gate decided about one request."""

    gate: Gate
    verdict: str
    """``passed``, ``refused`` or ``not asked``."""
    entry: str
    """What decided: an entry of the configuration, or a rule."""


def gates_of_refusal(refusal: Mapping[str, object]) -> tuple[GateVerdict, ...]:
    """All gates in order for a refusal, as the columns of its record say it."""
    refusing = Gate(str(refusal["gate"]))
    found = []
    reached = True
    for gate in Gate:
        if gate is refusing:
            found.append(GateVerdict(gate=gate, verdict=REFUSED, entry=str(refusal["rule"])))
            reached = False
        elif not reached:
            found.append(GateVerdict(gate=gate, verdict=NOT_ASKED, entry=""))
        else:
            found.append(_passed(gate, refusal))
    return tuple(found)


def gates_of_call(call: Mapping[str, object]) -> tuple[GateVerdict, ...]:
    """All gates in order for a call that was let in, as the columns of its record say it."""
    return tuple(_passed(gate, call) for gate in Gate)


def _passed(gate: Gate, facts: Mapping[str, object]) -> GateVerdict:
    acl, user, domain = facts["acl"], facts["sip_account"], facts["domain"]
    match gate:
        case Gate.DOMAIN if domain:
            entry = f"domain {domain}"
        case Gate.ACL if acl:
            entry = f"access control list {acl}"
        case Gate.DIGEST if user:
            entry = f"SIP account {user}"
        case Gate.DOMAIN | Gate.ACL if not domain:
            return GateVerdict(gate=gate, verdict=NOT_ASKED, entry="a gateway delivered the call")
        case Gate.ACL:
            entry = f"an access control list of domain {domain}"
        case Gate.DIGEST:
            return GateVerdict(gate=gate, verdict=NOT_ASKED, entry="the source address was enough")
        case _:
            entry = _ALWAYS[gate]
    return GateVerdict(gate=gate, verdict=PASSED, entry=entry)
