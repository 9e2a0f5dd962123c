"""Why a call was refused or let in: the gates in order, from what is on record; and what would happen now.

The gates always run in the order of `voice.records.Gate`, so the one that refused says that those before
it let the request pass and that those after it were not asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sip_config.admission import Admitted, Refused
from sip_config.directory import Directory
from sip_config.model import Domain
from voice.records import CALL_SOURCE, RUNNING_CALL, Gate

PASSED: Final = "passed"
REFUSED: Final = "refused"
NOT_ASKED: Final = "not asked"

_ALWAYS: Final = {
    Gate.BAN: "not banned, and not too fast",
    Gate.SOURCE: "an access control list or gateway could admit it",
    Gate.PARSE: "follows RFC 3261",
    Gate.REQUEST: "a request that a proxy may take on",
    Gate.POP: "this point of presence",
    Gate.IDENTITY: "may show the caller that it names",
    Gate.MEDIA: "sound as the trunk wants it",
    Gate.LIMITS: "within all limits",
    Gate.ROUTE: "something answers it",
    Gate.POOL: "a call process was free",
}
"""What a gate that passed a request says when no entry of the configuration decided."""


_UNTIL_POP: Final = tuple(Gate)[: tuple(Gate).index(Gate.POP) + 1]
_OF_CALLS: Final = tuple(Gate)[tuple(Gate).index(Gate.DOMAIN) :]
"""Those that only what begins a call is asked by."""
_OF_CALLERS: Final = (Gate.DOMAIN, Gate.ACL, Gate.DIGEST, Gate.POP)
_OF_CARRIERS: Final = (*_UNTIL_POP, Gate.ROUTE, Gate.MEDIA, Gate.LIMITS, Gate.IDENTITY, Gate.POOL)


_RUNNING: Final = "the call had been let in"
_DIALLED: Final = "a callflow dialled"
_RELAYED: Final = "another POP let the call in"
_DELIVERED: Final = "a gateway delivered the call"

Facts = Mapping[str, object]
"""The columns of the record of a call or a refusal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateVerdict:
    """What one gate decided about one request."""

    gate: Gate
    verdict: str
    """``passed``, ``refused`` or ``not asked``."""
    entry: str
    """What decided: an entry of the configuration, or a rule."""


def gates_of_refusal(refusal: Facts) -> tuple[GateVerdict, ...]:
    """All gates in order for a refusal, as the columns of its record say it."""
    refusing = Gate(str(refusal["gate"]))
    found = []
    reached = True
    for gate in _order(refusal):
        if gate is refusing:
            found.append(GateVerdict(gate=gate, verdict=REFUSED, entry=str(refusal["rule"])))
            reached = False
        elif not reached:
            found.append(GateVerdict(gate=gate, verdict=NOT_ASKED, entry=""))
        else:
            found.append(_passed(gate, refusal))
    return tuple(found)


def gates_of_call(call: Facts) -> tuple[GateVerdict, ...]:
    """All gates in order for a call that was let in, as the columns of its record say it."""
    return tuple(_passed(gate, call) for gate in _order(call))


def _order(facts: Facts) -> tuple[Gate, ...]:
    """Whose call a carrier delivers follows from what answers its number: so that is asked first."""
    return _OF_CARRIERS if _skipped(Gate.DOMAIN, facts) == _DELIVERED else tuple(Gate)


def _skipped(gate: Gate, facts: Facts) -> str:
    """Why a gate was not asked that stands before the one that refused; empty: it was."""
    if str(facts.get("rule") or "").startswith(RUNNING_CALL):
        return _RUNNING if gate in _OF_CALLS else ""
    if str(facts.get("source_address") or "").startswith(CALL_SOURCE):
        return "" if gate in (Gate.IDENTITY, Gate.LIMITS) else _DIALLED
    if gate not in _OF_CALLERS or facts["domain"]:
        return ""
    return _RELAYED if facts.get("gate") == Gate.POP else _DELIVERED


def _passed(gate: Gate, facts: Facts) -> GateVerdict:
    acl, user, domain = facts["acl"], facts["sip_account"], facts["domain"]
    if skipped := _skipped(gate, facts):
        return GateVerdict(gate=gate, verdict=NOT_ASKED, entry=skipped)
    match gate:
        case Gate.DOMAIN:
            entry = f"domain {domain}"
        case Gate.ACL if acl:
            entry = f"access control list {acl}"
        case Gate.DIGEST if user:
            entry = f"SIP account {user}"
        case Gate.POP if facts.get("relayed_by"):
            entry = f"POP {facts['relayed_by']} asked the gates before, and relayed the call"
        case Gate.ACL:
            entry = f"an access control list of domain {domain}"
        case Gate.DIGEST:
            return GateVerdict(gate=gate, verdict=NOT_ASKED, entry="the source address was enough")
        case Gate.POOL if not (facts.get("callflow_id") or facts.get("number_id")):
            return GateVerdict(gate=gate, verdict=NOT_ASKED, entry="no callflow answers it")
        case _:
            entry = _ALWAYS[gate]
    return GateVerdict(gate=gate, verdict=PASSED, entry=entry)


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainVerdict:
    """What one domain says of a source address, as it is configured now."""

    domain: str
    verdict: str
    entry: str
    remedy: str
    """What to change; empty when the address alone is enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceVerdict:
    """What would become of a call from an address, as it is configured now."""

    verdict: str
    """Of the gate before the parser: ``passed`` or ``refused``."""
    entry: str
    gateway: str | None
    """The gateway that has this address: calls to numbers are taken from it."""
    pop: str | None
    """The other POP that has this address: calls that it relays are taken from it."""
    domains: tuple[DomainVerdict, ...]
    """Those that would let it in first."""
    more: int
    """Domains beyond those."""


def source_now(directory: Directory, address: str, *, most: int) -> SourceVerdict:
    """What the configuration says of a source.  `address`: an IP address."""
    gateway, pop = directory.gateway_for_source(address), directory.other_pop_at(address)
    possible = directory.could_admit(address, certified=True)
    judged = sorted(
        (_judged(directory, domain, address) for domain in directory.domains.values()),
        key=lambda one: (one.verdict == REFUSED, one.domain),
    )
    return SourceVerdict(
        verdict=PASSED if possible else REFUSED,
        entry=_ALWAYS[Gate.SOURCE] if possible else "no access control list admits the address",
        gateway=gateway.name if gateway else None,
        pop=pop.name if pop else None,
        domains=tuple(judged[:most]),
        more=max(0, len(judged) - most),
    )


def _judged(directory: Directory, domain: Domain, address: str) -> DomainVerdict:
    remedy = ""
    judgement = directory.gate(domain).by_source(address)
    if isinstance(judgement, Refused):
        # Which certificate an address will show is not known before it calls.
        uncertified = judgement.cause == "acl-certificates"
        verdict = "certificate needed" if uncertified else REFUSED
        entry, remedy = judgement.rule, judgement.remedy
    elif isinstance(judgement, Admitted):
        verdict, entry = PASSED, f"access control list {judgement.acl.name}"
    else:
        names = ", ".join(acl.name for acl in judgement.acls)
        verdict, entry = "digest needed", f"access control list {names}"
        remedy = "Enter the user name and password of a SIP account of the list in the PBX."
    return DomainVerdict(domain=domain.label, verdict=verdict, entry=entry, remedy=remedy)
