"""How bodies of the administration are read: by the same words as a configuration file."""

from __future__ import annotations

from typing import Final, TypeVar

from sip_config import bounds, words
from sip_config.configuration import Configuration
from sip_config.model import Acl, AclId
from voice.api.fields import Fields
from voice.api.readers import Reader, fitting

T = TypeVar("T")

NAME: Final = fitting(words.name)
USERNAME: Final = fitting(words.username)
PASSWORD: Final = fitting(words.secret, longest=500)
OWN_NUMBER: Final = fitting(words.own_number)
WEB_ADDRESS: Final = fitting(words.web_address, longest=bounds.LONGEST_WEB_ADDRESS)


def kept(body: Fields, name: str, read: Reader[T], old: T | None) -> T | None:
    """What the body says, null included; what there was, when it says nothing."""
    return body.optional(name, read) if name in body else old


def callflow_of(body: Fields, name: str, owner: str, current: Configuration, old: str | None) -> str | None:
    """A callflow of the account, by id or title."""
    written = kept(body, name, fitting(str), old)
    if written is None or name not in body:
        return written
    mine = [flow for flow in current.callflows if flow.account_id == owner]
    for flow in mine:
        if flow.id == written:
            return flow.id
    for flow in mine:
        if flow.title == written:
            return flow.id
    body.fault(name, "The account has no such callflow. GET /call-flows lists those it has.")
    return None


def answer_of(
    body: Fields, owner: str, current: Configuration, old: tuple[str | None, str | None]
) -> tuple[str | None, str | None]:
    """What answers: a callflow's id or a URL; naming one takes the other away."""
    flow = callflow_of(body, "callflowId", owner, current, old[0])
    url = kept(body, "callflowUrl", WEB_ADDRESS, old[1])
    if flow is not None and url is not None:
        if "callflowId" in body and "callflowUrl" in body:
            body.fault("callflowUrl", "Both callflowId and callflowUrl are given. Keep one of the two.")
        elif "callflowId" in body:
            url = None
        else:
            flow = None
    return flow, url


def acl_of(named: str, mine: tuple[Acl, ...]) -> AclId | None:
    """An access control list by id or name."""
    for acl in mine:
        if acl.id == named:
            return acl.id
    for acl in mine:
        if acl.name == named:
            return acl.id
    return None
