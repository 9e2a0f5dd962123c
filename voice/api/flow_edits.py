"""What the callflow resources do to the configuration: functions from the present one to the wanted one."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sip_config.configuration import Configuration, without_dangling
from sip_config.faults import Unfit
from sip_config.model import AccountId, Callflow, Number
from sip_config.words import name as fit_name
from voice.api.faults import Conflict, NotFound

MOST_FLOWS: Final = 1_000
"""Of one account: each is loaded whenever the configuration changes."""


def flow_of(current: Configuration, account: AccountId, flow_id: str) -> Callflow:
    """A callflow of the account.  Raises NotFound."""
    for flow in current.callflows:
        if flow.id == flow_id and flow.account_id == account:
            return flow
    raise NotFound("call flow", flow_id)


def with_flow(current: Configuration, flow: Callflow) -> Configuration:
    """Adds the callflow, or puts it in the place of the one with its id.

    Its title is what the API was given where that can be a name and no other callflow of the account has
    it, else its id; an account has one default, so that others lose it to this one.  Raises Conflict.
    """
    others = [one for one in current.callflows if one.id != flow.id]
    if sum(one.account_id == flow.account_id for one in others) >= MOST_FLOWS:
        raise Conflict(f"An account has at most {MOST_FLOWS} callflows; delete one.")
    taken = {one.title for one in others if one.account_id == flow.account_id}
    title = flow.shown_title if _can_be_title(flow.shown_title, taken) else flow.id
    if flow.is_default:
        others = [
            replace(one, is_default=False) if one.account_id == flow.account_id and one.is_default else one
            for one in others
        ]
    return replace(current, callflows=(*others, replace(flow, title=title or flow.id)))


def without_flow(current: Configuration, account: AccountId, flow_id: str) -> Configuration:
    """Without the callflow; what named it names none.  Raises NotFound."""
    gone = flow_of(current, account, flow_id)
    kept = tuple(flow for flow in current.callflows if flow is not gone)
    return without_dangling(replace(current, callflows=kept))


def with_numbers(
    current: Configuration, account: AccountId, flow_id: str, wanted: set[str], *, only: bool, now: float
) -> Configuration:
    """The callflow answers the wanted numbers of the account; with `only`, no others.  Raises NotFound."""
    flow_of(current, account, flow_id)

    def answered(number: Number) -> Number:
        if number.account_id != account:
            return number
        if number.e164 in wanted:
            return replace(number, callflow_id=flow_id, callflow_url=None, updated_at=now)
        if only and number.callflow_id == flow_id:
            return replace(number, callflow_id=None, updated_at=now)
        return number

    return replace(current, numbers=tuple(answered(number) for number in current.numbers))


def owned_numbers(current: Configuration, account: AccountId) -> set[str]:
    return {number.e164 for number in current.numbers if number.account_id == account}


def _can_be_title(title: str | None, taken: set[str]) -> bool:
    if title is None or title in taken:
        return False
    try:
        return bool(fit_name(title))
    except Unfit:
        return False
