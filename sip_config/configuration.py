"""Everything that is configured, as one value."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from sip_config.model import (
    Account,
    AccountId,
    Acl,
    AclId,
    Callflow,
    Domain,
    DomainId,
    Gateway,
    MediaFile,
    Number,
    Pop,
)

Entry = Account | Acl | Domain | Number | Gateway | Callflow | MediaFile | Pop


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    accounts: tuple[Account, ...] = ()
    acls: tuple[Acl, ...] = ()
    domains: tuple[Domain, ...] = ()
    numbers: tuple[Number, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    callflows: tuple[Callflow, ...] = ()
    media: tuple[MediaFile, ...] = ()
    pops: tuple[Pop, ...] = ()

    def entries(self) -> Iterator[Entry]:
        """All entries, those that others point at first."""
        yield from self.pops
        yield from self.accounts
        yield from self.callflows
        yield from self.media
        yield from self.acls
        yield from self.domains
        yield from self.numbers
        yield from self.gateways


def with_ids_of(wanted: Configuration, current: Configuration, mint: Callable[[], str]) -> Configuration:
    """`wanted` with the ids that entries of the same names have in `current`, and new ones for the others.

    A declaration knows names only: in `wanted`, the id of each entry is its name as `names_by_id` says it.
    """
    known = {name: entry_id for entry_id, name in names_by_id(current).items()}
    ids = {name: known.get(name) or mint() for name in names_by_id(wanted).values()}

    def account(name: AccountId) -> AccountId:
        return AccountId(ids[name])

    def maybe(name: str | None) -> str | None:
        return None if name is None else ids[name]

    return Configuration(
        pops=wanted.pops,
        accounts=tuple(
            replace(entry, id=account(entry.id), fallback_callflow_id=maybe(entry.fallback_callflow_id))
            for entry in wanted.accounts
        ),
        callflows=tuple(
            replace(entry, id=ids[entry.id], account_id=account(entry.account_id))
            for entry in wanted.callflows
        ),
        media=tuple(
            replace(entry, id=ids[entry.id], account_id=account(entry.account_id)) for entry in wanted.media
        ),
        acls=tuple(
            replace(
                entry,
                id=AclId(ids[entry.id]),
                account_id=account(entry.account_id),
                sip_accounts=tuple(replace(user, id=ids[user.id]) for user in entry.sip_accounts),
            )
            for entry in wanted.acls
        ),
        domains=tuple(
            replace(
                entry,
                id=DomainId(ids[entry.id]),
                account_id=account(entry.account_id),
                acl_ids=tuple(AclId(ids[name]) for name in entry.acl_ids),
                callflow_id=maybe(entry.callflow_id),
            )
            for entry in wanted.domains
        ),
        numbers=tuple(
            replace(
                entry,
                id=ids[entry.id],
                account_id=account(entry.account_id),
                callflow_id=maybe(entry.callflow_id),
            )
            for entry in wanted.numbers
        ),
        gateways=tuple(
            replace(
                entry,
                id=ids[entry.id],
                account_id=None if entry.account_id is None else account(entry.account_id),
            )
            for entry in wanted.gateways
        ),
    )


def new_id() -> str:
    return str(uuid.uuid4())


def names_by_id(configuration: Configuration) -> dict[str, str]:
    """What each entry is called among people, by id: ``domain acme/acme``, ``gateway carrier``."""
    owners = {str(account.id): account.name for account in configuration.accounts}
    names = {}
    for entry in configuration.entries():
        names[id_of(entry)] = name_of(entry, owners)
        if isinstance(entry, Acl):
            for user in entry.sip_accounts:
                names[user.id] = f"sip account {owners[entry.account_id]}/{entry.name}/{user.username}"
    return names


def id_of(entry: Entry) -> str:
    """The id of an entry; a POP goes by its name."""
    return f"pop {entry.name}" if isinstance(entry, Pop) else str(entry.id)


def name_of(entry: Entry, owners: Mapping[str, str]) -> str:
    """`owners`: the names of the accounts, by id."""
    match entry:
        case Pop():
            return f"pop {entry.name}"
        case Account():
            return f"account {entry.name}"
        case Gateway(account_id=None):
            return f"gateway {entry.name}"
        case Acl():
            kind, own = "acl", entry.name
        case Domain():
            kind, own = "domain", entry.label
        case Number():
            kind, own = "number", entry.e164
        case Callflow():
            kind, own = "callflow", entry.title
        case MediaFile():
            kind, own = "media", entry.name
        case _:
            kind, own = "gateway", entry.name
    return f"{kind} {owners[str(entry.account_id)]}/{own}"
