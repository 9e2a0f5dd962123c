"""Attempts to reach a target, as far as the sound decides: who is tried, and whose answer passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voice.edge.core.best import Final
from voice.edge.core.branch import Branch
from voice.edge.core.orphans import hang_up
from voice.edge.core.sdp_exchange import offer_breach
from voice.edge.core.sdp_policy import Sides
from voice.edge.core.targets import Hop
from voice.sip.message import Response

if TYPE_CHECKING:
    from voice.edge.core.invite import Invite


def sides(invite: Invite, hop: Hop) -> Sides:
    """What both sides of a call by this hop say of SRTP."""
    return hop.token.sides if hop.token is not None else Sides(invite.facts.srtp, hop.srtp)


def fits(invite: Invite, hop: Hop) -> bool:
    """Whether a gateway takes the sound that is offered; within a dialog that has been asked already."""
    request = invite.crossing.request
    if hop.gateway is None or hop.token is not None or request is None:
        return True
    return offer_breach(request, sides(invite, hop)) is None


def unfit(branch: Branch, response: Response, now: float) -> bool:
    """Whether a response brings a description that may not pass; then the next hop is tried.

    A call that was answered so is ended, whoever answered it.
    """
    wrong = branch.breach(response)
    if wrong is None and not branch.unfit:
        return False
    client, invite = branch.client, branch.invite
    assert client is not None
    branch.unfit = True
    if response.status >= 200:
        hang_up(invite.kernel, client, response, now)
    if not branch.over:
        assert wrong is not None
        invite.branch_failed(branch, Final.local(488, f"Not Acceptable Here: {wrong.says}"), now)
        branch.withdraw(now)
    return True
