"""Everything that is configured, as one value."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

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
    Origin,
    Pop,
)

E = TypeVar("E", Account, Acl, Domain, Number, Gateway, Callflow, MediaFile, Pop)
T = TypeVar("T", Callflow, Number)
Owned = TypeVar("Owned", Acl, Domain, Number, Gateway, Callflow, MediaFile)
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
    Nor does it know when an entry was made, or what the API shows it as: that stays.
    """
    flows = {flow.id: flow for flow in current.callflows}
    numbers = {number.id: number for number in current.numbers}
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
            _as_old_as(
                replace(entry, id=ids[entry.id], account_id=account(entry.account_id)),
                flows.get(ids[entry.id]),
            )
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
            _as_old_as(
                replace(
                    entry,
                    id=ids[entry.id],
                    account_id=account(entry.account_id),
                    callflow_id=maybe(entry.callflow_id),
                ),
                numbers.get(ids[entry.id]),
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


def _as_old_as(entry: T, old: T | None) -> T:
    if old is None:
        return entry
    return replace(entry, created_at=old.created_at, updated_at=old.updated_at)


def kept_beside(wanted: Configuration, current: Configuration) -> Configuration:
    """`wanted`, which a file declares, and what the API made in `current` that the file does not name.

    An entry of the API goes with the account that it belongs to, and nothing points at what has gone.
    """
    named = {id_of(entry) for entry in wanted.entries()}

    def extra(entries: Iterable[E]) -> tuple[E, ...]:
        return tuple(entry for entry in entries if entry.origin is Origin.API and id_of(entry) not in named)

    return without_dangling(
        Configuration(
            pops=wanted.pops + extra(current.pops),
            accounts=wanted.accounts + extra(current.accounts),
            callflows=wanted.callflows + extra(current.callflows),
            media=wanted.media + extra(current.media),
            acls=wanted.acls + extra(current.acls),
            domains=wanted.domains + extra(current.domains),
            numbers=wanted.numbers + extra(current.numbers),
            gateways=wanted.gateways + extra(current.gateways),
        )
    )


def without_dangling(configuration: Configuration) -> Configuration:
    """Without what belongs to an account that is not there, and without pointers at what is not there."""
    owners: set[AccountId | None] = {None, *(account.id for account in configuration.accounts)}

    def owned(entries: Iterable[Owned]) -> tuple[Owned, ...]:
        return tuple(entry for entry in entries if entry.account_id in owners)

    callflows, acls = owned(configuration.callflows), owned(configuration.acls)
    flow_ids = {flow.id for flow in callflows}
    acl_ids = {acl.id for acl in acls}

    def known(flow_id: str | None) -> str | None:
        return flow_id if flow_id in flow_ids else None

    return replace(
        configuration,
        accounts=tuple(
            replace(one, fallback_callflow_id=known(one.fallback_callflow_id))
            for one in configuration.accounts
        ),
        callflows=callflows,
        media=owned(configuration.media),
        acls=acls,
        domains=tuple(
            replace(
                one,
                acl_ids=tuple(acl_id for acl_id in one.acl_ids if acl_id in acl_ids),
                callflow_id=known(one.callflow_id),
            )
            for one in owned(configuration.domains)
        ),
        numbers=tuple(
            replace(one, callflow_id=known(one.callflow_id)) for one in owned(configuration.numbers)
        ),
        gateways=owned(configuration.gateways),
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
