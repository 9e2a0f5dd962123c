"""Configured entries as rows of the tables, and back."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from heapq import merge
from itertools import islice
from typing import Any, Final

import msgspec
from sqlalchemy import Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sip_config.call_limits import CallLimits
from sip_config.configuration import Configuration, Entry
from sip_config.faults import Unfit
from sip_config.gateway_options import GatewayOptions
from sip_config.identity_policy import IdentityPolicy
from sip_config.model import (
    Account,
    AccountId,
    Acl,
    AclId,
    CallerIdRule,
    Callflow,
    DigestAlgorithm,
    Domain,
    DomainId,
    Gateway,
    MediaFile,
    Number,
    NumberFormat,
    Origin,
    Pop,
    Region,
    SipAccount,
    SrtpPolicy,
    Transport,
)
from sip_config.networks import Network, network_order, parse_network
from voice.store import schema

_NETWORKS_AT_A_TIME: Final = 500
"""Read and parsed in 3 ms."""

_Keyed = tuple[tuple[int, int, int], Network]

_TABLES: Final[dict[type, Table]] = {
    Account: schema.accounts,
    Acl: schema.acls,
    Domain: schema.domains,
    Number: schema.numbers,
    Gateway: schema.gateways,
    Callflow: schema.callflows,
    MediaFile: schema.media_files,
    Pop: schema.pops,
}
_PARTS: Final[dict[str, Any]] = {
    "limits": CallLimits,
    "identity": IdentityPolicy,
    "options": GatewayOptions,
    "certificates": tuple[str, ...],
}
"""Columns that hold a value whole, in JSON.  What a later version added has its default."""
_PARTS_REMEMBERED: Final = 1_024


async def read_configuration(connection: AsyncConnection, realm: str) -> Configuration:
    """All that is configured.  HA1s made for another realm than `realm` are of no use and left out."""
    return Configuration(
        accounts=tuple([Account(**row) for row in await _rows(connection, schema.accounts, "name")]),
        acls=await _acls(connection, realm),
        domains=await _domains(connection),
        numbers=tuple([Number(**row) for row in await _rows(connection, schema.numbers, "e164")]),
        gateways=await _gateways(connection),
        callflows=tuple(
            [
                Callflow(**{**row, "is_default": bool(row["is_default"])})
                for row in await _rows(connection, schema.callflows, "title")
            ]
        ),
        media=tuple([MediaFile(**row) for row in await _rows(connection, schema.media_files, "name")]),
        pops=tuple(
            [
                Pop(**{**row, "region": Region(row["region"])})
                for row in await _rows(connection, schema.pops, "name")
            ]
        ),
    )


async def insert_entry(connection: AsyncConnection, entry: Entry, realm: str) -> None:
    await connection.execute(insert(_TABLES[type(entry)]).values(_columns(entry)))
    await _insert_parts(connection, entry, realm)


async def update_entry(connection: AsyncConnection, entry: Entry, realm: str) -> None:
    table = _TABLES[type(entry)]
    await connection.execute(update(table).where(_is(entry)).values(_columns(entry)))
    await _delete_parts(connection, entry)
    await _insert_parts(connection, entry, realm)


async def delete_entry(connection: AsyncConnection, entry: Entry) -> None:
    """Parts of the entry, and what belongs to an account, go with it."""
    await connection.execute(delete(_TABLES[type(entry)]).where(_is(entry)))


async def _rows(connection: AsyncConnection, table: Table, order: str) -> list[dict[str, Any]]:
    # Sorted here and not by the database: each database has its own idea of the order of texts.
    found = await connection.execute(select(table))
    rows = [dict(row) for row in found.mappings()]
    for row in rows:
        if "origin" in row:
            row["origin"] = Origin(row["origin"])
        for part in _PARTS.keys() & row.keys():
            row[part] = _part(part, row[part])
    return sorted(rows, key=lambda row: str(row[order]))


async def _acls(connection: AsyncConnection, realm: str) -> tuple[Acl, ...]:
    ha1s: dict[str, dict[DigestAlgorithm, str]] = defaultdict(dict)
    for row in await _rows(connection, schema.ha1s, "sip_account_id"):
        if row["realm"] == realm:
            ha1s[row["sip_account_id"]][DigestAlgorithm(row["algorithm"])] = row["ha1"]
    users: dict[str, list[SipAccount]] = defaultdict(list)
    unusable: dict[str, list[str]] = defaultdict(list)
    for row in await _rows(connection, schema.sip_accounts, "username"):
        if row["id"] in ha1s:
            user = SipAccount(
                id=row["id"], username=row["username"], ha1=ha1s[row["id"]], limits=row["limits"]
            )
            users[row["acl_id"]].append(user)
        else:
            unusable[row["acl_id"]].append(row["username"])
    networks, unreadable = await _networks(connection)
    return tuple(
        [
            Acl(
                id=AclId(row["id"]),
                account_id=AccountId(row["account_id"]),
                name=row["name"],
                networks=networks[row["id"]],
                sip_accounts=tuple(users[row["id"]]),
                invalid_networks=tuple(sorted(unreadable[row["id"]])),
                invalid_sip_accounts=tuple(unusable[row["id"]]),
                certificates=row["certificates"],
                origin=row["origin"],
            )
            for row in await _rows(connection, schema.acls, "name")
        ]
    )


async def _networks(
    connection: AsyncConnection,
) -> tuple[Mapping[str, tuple[Network, ...]], Mapping[str, list[str]]]:
    """The networks of each list in order, and those that cannot be read.

    There may be a million, and calls in progress do not wait for them: they are read a few at a time, and
    parsed when they are new.
    """
    runs: dict[str, list[list[_Keyed]]] = defaultdict(list)
    unreadable: dict[str, list[str]] = defaultdict(list)
    query = select(schema.acl_networks.c.acl_id, schema.acl_networks.c.network)
    rows = await connection.stream(query.execution_options(yield_per=_NETWORKS_AT_A_TIME))
    async for some in rows.partitions():
        found: dict[str, list[_Keyed]] = defaultdict(list)
        for acl_id, text in some:
            try:
                found[acl_id].append(_keyed(text))
            except Unfit:
                unreadable[acl_id].append(text)
        for acl_id, run in found.items():
            run.sort()
            runs[acl_id].append(run)
        await asyncio.sleep(0)
    networks: dict[str, tuple[Network, ...]] = defaultdict(tuple)
    for acl_id in list(runs):
        merged = merge(*runs.pop(acl_id))
        whole: list[Network] = []
        while some_of_it := [network for _, network in islice(merged, _NETWORKS_AT_A_TIME)]:
            whole += some_of_it
            await asyncio.sleep(0)
        networks[acl_id] = tuple(whole)
    return networks, unreadable


@lru_cache(maxsize=1_048_576)
def _keyed(text: str) -> _Keyed:
    """A network, and the key that sorts it.  Remembered: most are the same from one version to the next."""
    network = parse_network(text)
    return network_order(network), network


async def _domains(connection: AsyncConnection) -> tuple[Domain, ...]:
    attached = await connection.execute(select(schema.domain_acls).order_by(schema.domain_acls.c.position))
    acl_ids: dict[str, list[AclId]] = defaultdict(list)
    for row in attached.mappings():
        acl_ids[row["domain_id"]].append(AclId(row["acl_id"]))
    return tuple(
        [
            Domain(
                id=DomainId(row["id"]),
                account_id=AccountId(row["account_id"]),
                label=row["label"],
                acl_ids=tuple(acl_ids[row["id"]]),
                algorithms=tuple(map(DigestAlgorithm, row["algorithms"].split())),
                home_region=Region(row["home_region"]),
                callflow_id=row["callflow_id"],
                callflow_url=row["callflow_url"],
                srtp=SrtpPolicy(row["srtp"]),
                limits=row["limits"],
                origin=row["origin"],
            )
            for row in await _rows(connection, schema.domains, "label")
        ]
    )


async def _gateways(connection: AsyncConnection) -> tuple[Gateway, ...]:
    prefixes: dict[str, list[str]] = defaultdict(list)
    for row in await _rows(connection, schema.gateway_prefixes, "prefix"):
        prefixes[row["gateway_id"]].append(row["prefix"])
    typed = {
        "transport": Transport,
        "caller_id_rule": CallerIdRule,
        "number_format": NumberFormat,
        "srtp": SrtpPolicy,
    }
    return tuple(
        [
            Gateway(
                **{**row, **{name: kind(row[name]) for name, kind in typed.items()}},
                prefixes=tuple(prefixes[row["id"]]),
            )
            for row in await _rows(connection, schema.gateways, "name")
        ]
    )


def _is(entry: Entry) -> Any:
    table = _TABLES[type(entry)]
    return table.c.name == entry.name if isinstance(entry, Pop) else table.c.id == entry.id


def _columns(entry: Entry) -> dict[str, Any]:
    """The fields that have a column of the same name in the entry's own table."""
    table = _TABLES[type(entry)]
    values = {name: getattr(entry, name) for name in entry.__slots__ if name in table.c}
    if isinstance(entry, Domain):
        values["algorithms"] = " ".join(entry.algorithms)
    for part in _PARTS.keys() & values.keys():
        values[part] = _json(values[part])
    return values


@lru_cache(maxsize=_PARTS_REMEMBERED)
def _part(name: str, text: str) -> Any:
    """The value of a part; the same one as before while it stays, for a rate table takes a while to read."""
    return msgspec.json.decode(text, type=_PARTS[name])


def _json(part: object) -> str:
    return msgspec.json.encode(part).decode()


async def _insert_parts(connection: AsyncConnection, entry: Entry, realm: str) -> None:
    match entry:
        case Acl():
            await _insert_all(
                connection,
                schema.acl_networks,
                [{"acl_id": entry.id, "network": str(network)} for network in entry.networks],
            )
            await _insert_all(
                connection,
                schema.sip_accounts,
                [
                    {
                        "id": user.id,
                        "acl_id": entry.id,
                        "username": user.username,
                        "limits": _json(user.limits),
                    }
                    for user in entry.sip_accounts
                ],
            )
            await _insert_all(
                connection,
                schema.ha1s,
                [
                    {"sip_account_id": user.id, "algorithm": algorithm, "realm": realm, "ha1": ha1}
                    for user in entry.sip_accounts
                    for algorithm, ha1 in user.ha1.items()
                ],
            )
        case Domain():
            await _insert_all(
                connection,
                schema.domain_acls,
                [
                    {"domain_id": entry.id, "acl_id": acl_id, "position": position}
                    for position, acl_id in enumerate(entry.acl_ids)
                ],
            )
        case Gateway():
            await _insert_all(
                connection,
                schema.gateway_prefixes,
                [{"gateway_id": entry.id, "prefix": prefix} for prefix in entry.prefixes],
            )


async def _insert_all(connection: AsyncConnection, table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        await connection.execute(insert(table), rows)


async def _delete_parts(connection: AsyncConnection, entry: Entry) -> None:
    match entry:
        case Acl():
            for table in (schema.acl_networks, schema.sip_accounts):
                await connection.execute(delete(table).where(table.c.acl_id == entry.id))
        case Domain():
            table = schema.domain_acls
            await connection.execute(delete(table).where(table.c.domain_id == entry.id))
        case Gateway():
            table = schema.gateway_prefixes
            await connection.execute(delete(table).where(table.c.gateway_id == entry.id))
