"""What a configuration may hold only once, although it comes from a file and from the API."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Final

from sip_config.configuration import Configuration


class Clash(ValueError):
    """Two entries claim the same name, label or number.  Says which accounts', and what to do."""

    def __init__(self, kind: str, key: str, owners: tuple[str, str]) -> None:
        whose = "twice in" if owners[0] == owners[1] else "in"
        where = owners[0] if owners[0] == owners[1] else f"{owners[0]} and in {owners[1]}"
        super().__init__(f"The {kind} {key} is {whose} {where}. Remove one of the two, or choose another.")
        self.kind = kind
        self.key = key
        self.field = _FIELDS[kind]
        """The field that must be unique."""


_FIELDS: Final = {
    "account name": "name",
    "domain label": "label",
    "number": "number",
    "POP": "name",
    "POP address": "address",
    "access control list": "name",
    "callflow title": "title",
    "default callflow": "default",
    "media file": "name",
    "gateway": "name",
}


def clashes(configuration: Configuration) -> tuple[Clash, ...]:
    """All there are; none is what the store can hold."""
    owners = {str(account.id): f"account {account.name}" for account in configuration.accounts}
    found = []
    taken: dict[Hashable, str] = {}
    for kind, key, scope, owner in _claims(configuration):
        whose = owners.get(owner, "what all accounts share")
        other = taken.setdefault((kind, key, scope), whose)
        if other is not whose or (kind, key, scope, owner) in taken:
            found.append(Clash(kind, key, (other, whose)))
        taken[kind, key, scope, owner] = whose
    return tuple(found)


def _claims(configuration: Configuration) -> Iterator[tuple[str, str, str, str]]:
    """Kind, key, where it must be unique (empty: everywhere), owner."""
    for account in configuration.accounts:
        yield "account name", account.name, "", ""
    for domain in configuration.domains:
        yield "domain label", domain.label, "", domain.account_id
    for number in configuration.numbers:
        yield "number", number.e164, "", number.account_id
    for pop in configuration.pops:
        yield "POP", pop.name, "", ""
        if pop.address is not None:
            # Each would send the other's calls to itself.
            yield "POP address", pop.address.removesuffix(":5060"), "", ""
    for acl in configuration.acls:
        yield "access control list", acl.name, acl.account_id, acl.account_id
    for flow in configuration.callflows:
        yield "callflow title", flow.title, flow.account_id, flow.account_id
        if flow.is_default:
            yield "default callflow", "of an account", flow.account_id, flow.account_id
    for media in configuration.media:
        yield "media file", media.name, media.account_id, media.account_id
    for gateway in configuration.gateways:
        yield "gateway", gateway.name, gateway.account_id or "-", gateway.account_id or ""
