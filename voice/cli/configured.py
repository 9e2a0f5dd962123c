"""``trunkflow domains``, ``acls``, ``numbers`` and ``gateways``: what is configured."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from sip_config.configuration import Configuration
from sip_config.model import Acl, Domain, Gateway, Number
from voice.cli.output import print_json, print_table
from voice.cli.session import (
    AccountOption,
    CommandFailed,
    ConfigOption,
    JsonOption,
    configuration_of,
    settings_of,
    with_database,
)
from voice.store.gateway_states import states_by_gateway

E = TypeVar("E", Acl, Domain, Gateway, Number)


def domains(config: ConfigOption = None, account: AccountOption = None, as_json: JsonOption = False) -> None:
    """List domains: their names, who is let in, what answers."""
    settings = settings_of(config)
    configuration = configuration_of(settings)
    acl_names = {acl.id: acl.name for acl in configuration.acls}

    def described(domain: Domain) -> dict[str, Any]:
        return {
            "name": f"{domain.label}.{settings.base_domain}",
            "acls": [acl_names[acl_id] for acl_id in domain.acl_ids],
            "algorithms": list(domain.algorithms),
            "home_region": domain.home_region,
            **_answer(configuration, domain),
        }

    _show(configuration, configuration.domains, described, account, as_json, "There are no domains.")


def acls(config: ConfigOption = None, account: AccountOption = None, as_json: JsonOption = False) -> None:
    """List access control lists: networks and user names, and the domains they are attached to."""
    configuration = configuration_of(settings_of(config))

    def described(acl: Acl) -> dict[str, Any]:
        return {
            "name": acl.name,
            "networks": [str(network) for network in acl.networks],
            "sip_accounts": [user.username for user in acl.sip_accounts],
            "unusable": [*acl.invalid_networks, *acl.invalid_sip_accounts],
            "domains": [domain.label for domain in configuration.domains if acl.id in domain.acl_ids],
        }

    _show(
        configuration, configuration.acls, described, account, as_json, "There are no access control lists."
    )


def numbers(config: ConfigOption = None, account: AccountOption = None, as_json: JsonOption = False) -> None:
    """List numbers, and what answers them."""
    configuration = configuration_of(settings_of(config))

    def described(number: Number) -> dict[str, Any]:
        return {"number": number.e164, **_answer(configuration, number)}

    _show(configuration, configuration.numbers, described, account, as_json, "There are no numbers.")


def gateways(config: ConfigOption = None, account: AccountOption = None, as_json: JsonOption = False) -> None:
    """List gateways by priority, and how the running nodes find them."""
    settings = settings_of(config)
    configuration = configuration_of(settings)
    states = with_database(settings, lambda database: states_by_gateway(database, time.time()))

    def described(gateway: Gateway) -> dict[str, Any]:
        host = f"[{gateway.host}]" if ":" in gateway.host else gateway.host
        return {
            "name": gateway.name,
            "address": f"{host}:{gateway.port}",
            "transport": gateway.transport,
            "prefixes": list(gateway.prefixes),
            "priority": gateway.priority,
            "username": gateway.username,
            "caller_id_rule": gateway.caller_id_rule,
            "caller_id": gateway.caller_id,
            "number_format": gateway.number_format,
            "attempt_seconds": gateway.attempt_seconds,
            "weight": gateway.options.weight,
            "rates": len(gateway.options.rates.prices),
            "state": [_state(one) for one in states.get(gateway.id, [])],
        }

    in_order = sorted(configuration.gateways, key=lambda gateway: (gateway.priority, gateway.name))
    _show(configuration, in_order, described, account, as_json, "There are no gateways.")


def _state(state: Mapping[str, Any]) -> str:
    """What a node says of a gateway, as people read it."""
    parts = ["up" if state["available"] else "tried last"]
    if state["reason"]:
        parts[0] += f" ({state['reason']})"
    if state["registration"]:
        standing = state["registration"]["standing"]
        problem = state["registration"]["problem"]
        parts.append(f"registration {standing}: {problem}" if problem else standing)
    if state["nameProblem"]:
        parts.append(state["nameProblem"])
    parts.append(f"{state['calls']} calls")
    return ", ".join(parts)


def _answer(configuration: Configuration, entry: Domain | Number) -> dict[str, Any]:
    titles = {flow.id: flow.title for flow in configuration.callflows}
    return {
        "callflow": titles.get(entry.callflow_id) if entry.callflow_id else None,
        "callflow_url": entry.callflow_url,
    }


def _show(
    configuration: Configuration,
    entries: Iterable[E],
    described: Callable[[E], dict[str, Any]],
    account: str | None,
    as_json: bool,
    empty: str,
) -> None:
    owners = {str(owner.id): owner.name for owner in configuration.accounts}
    if account is not None and account not in owners.values():
        raise CommandFailed(
            f"There is no account {account}. The accounts are {', '.join(owners.values()) or 'none'}."
        )
    rows = []
    for entry in entries:
        owner = owners.get(str(entry.account_id))
        if account in (None, owner):
            rows.append({"id": str(entry.id), "account": owner, **described(entry)})
    if as_json:
        print_json(rows)
        return
    # Ids are for programs; what every row leaves empty is left out.
    columns = [key for key in (rows[0] if rows else {}) if key != "id" and any(row[key] for row in rows)]
    headings = [column.replace("_", " ") for column in columns]
    cells = ([_cell(column, row[column]) for column in columns] for row in rows)
    print_table(headings, cells, empty=empty)


def _cell(column: str, value: Any) -> Any:
    if column == "account" and value is None:
        return "(all)"
    if column == "prefixes":
        return [prefix or "(any)" for prefix in value]
    return value
