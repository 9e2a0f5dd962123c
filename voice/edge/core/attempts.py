"""What an attempt by a gateway teaches about the gateway, and where it leads next."""

from __future__ import annotations

from voice.edge.core.best import Final
from voice.edge.core.branch import Branch
from voice.edge.core.crossing import Passage
from voice.edge.core.gateway_auth import why_unanswered
from voice.edge.core.kernel import Kernel
from voice.edge.core.pops import does_not_take
from voice.edge.core.redirects import follow, refused_event
from voice.sip.flow import Flow
from voice.sip.message import Response

_LONGEST_RETRY_AFTER = 600


def heard(kernel: Kernel, branch: Branch, response: Response, now: float) -> None:
    """A gateway responded to the INVITE that begins a call."""
    gateway = branch.hop.gateway
    if gateway is None or branch.leg is None or response.status == 100:
        return  # 100 only says that something is there: a 503 may follow.
    if response.status == 503:
        told = (response.headers.get("Retry-After") or "").partition("(")[0].partition(";")[0].strip()
        usable = told.isascii() and told.isdigit() and len(told) < 6
        seconds = min(int(told), _LONGEST_RETRY_AFTER) if usable else None
        kernel.gateway_health.failed(gateway, "503 to an INVITE", now, seconds)
    else:
        kernel.gateway_health.answered(gateway, now)


def failed(kernel: Kernel, branch: Branch, reason: str, now: float) -> None:
    """A gateway did not respond, or could not be reached; an address of it that is left may still."""
    gateway = branch.hop.gateway
    if gateway is not None and branch.leg is not None and not branch.flows and branch.end_as is None:
        kernel.gateway_health.failed(gateway, f"{reason} to an INVITE", now)


def over(kernel: Kernel, branch: Branch) -> None:
    """The attempt brought no call."""
    if branch.leg is not None:
        kernel.gateway_places.release(branch.leg.id)


def answered(kernel: Kernel, branch: Branch) -> None:
    """The call is the gateway's: it has its place, also when it was given up before it answered."""
    if branch.leg is not None and branch.hop.gateway is not None:
        kernel.gateway_places.take(branch.hop.gateway, branch.leg.id, branch.leg.call_id)


def redirected(
    kernel: Kernel, branch: Branch, response: Response, account_id: str, now: float
) -> Final | None:
    """How an attempt ends that a gateway redirected; None: the response is none of that."""
    gateway, leg, target = branch.hop.gateway, branch.leg, branch.target
    if gateway is None or leg is None or response.status // 100 != 3:
        return None
    branch.flows = ()
    call = leg.call_id, account_id
    named = follow(kernel, target, gateway, response, account_id)
    if named is None:
        return Final.local(502, f"Gateway {gateway.name} redirected the call")
    kernel.journal.write(refused_event(gateway, named, call, now))
    return Final.local(502, f"Gateway {gateway.name} redirected the call to no gateway of ours")


def final_of(branch: Branch, response: Response, passage: Passage, source: Flow) -> Final:
    """How an attempt ends that got this response."""
    gateway, pop = branch.hop.gateway, branch.hop.pop
    if gateway is not None and response.status in (401, 407):
        # Whoever called could only answer with the secret of another trunk.
        return Final.local(502, why_unanswered(gateway, response))
    if pop is not None and does_not_take(response):
        return Final(status=503, reason=f"POP {pop} does not take the call", declined=True)
    return Final(status=response.status, reason=response.reason, came=(response, passage, source))


def may_fail_over(branch: Branch, final: Final) -> bool:
    """Whether another gateway, address or POP may do better."""
    if branch.end_as is not None:
        return False
    if branch.wants_other_media(final.status):
        return True
    if branch.hop.pop is not None:
        return final.came is None
    if final.came is None:
        return final.status // 100 == 5 or final.status == 408
    gateway = branch.hop.gateway
    return final.status // 100 == 5 if gateway is None else gateway.options.fails_over(final.status)


def other_address_first(branch: Branch, final: Final) -> bool:
    """Whether another address of the same gateway is tried before another gateway (RFC 3263 section 4.3)."""
    if branch.wants_other_media(final.status):
        return False
    return final.came is None or final.status // 100 == 5
