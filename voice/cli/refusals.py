"""``trunkflow refusals``: who was not let in, and what would change that."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from voice.cli.output import print_json, print_table, rfc3339
from voice.cli.session import AccountOption, ConfigOption, JsonOption, LimitOption, settings_of, with_database
from voice.store.queries import list_refusals


def refusals(
    config: ConfigOption = None,
    account: AccountOption = None,
    domain: Annotated[str | None, typer.Option(metavar="LABEL", help="Only of this domain.")] = None,
    gate: Annotated[str | None, typer.Option(metavar="GATE", help="Only by this gate, such as acl.")] = None,
    cause: Annotated[
        str | None, typer.Option(metavar="CAUSE", help="Only for this, such as acl-networks.")
    ] = None,
    source: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Only from this address.")] = None,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """List refused requests, newest first, each with the rule that decided and what to change."""
    found = with_database(
        settings_of(config),
        lambda database: list_refusals(
            database, limit=limit, account=account, domain=domain, gate=gate, cause=cause, source=source
        ),
    )
    if as_json:
        print_json([{**asdict(refusal), "at": rfc3339(refusal.at)} for refusal in found])
        return
    rows = [
        (
            rfc3339(refusal.at),
            refusal.count if refusal.count > 1 else None,
            refusal.source_address,
            f"{refusal.method} {refusal.request_uri}".strip(),
            refusal.gate,
            refusal.cause,
            refusal.sip_status,
            refusal.rule,
            refusal.remedy,
        )
        for refusal in found
    ]
    columns = ("at", "times", "source", "request", "gate", "cause", "status", "rule", "remedy")
    print_table(columns, rows, empty="Nothing was refused.")
