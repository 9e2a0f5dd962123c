"""``trunkflow webhooks deliveries``: what customers' servers were told, and telling it again."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from voice.cli.output import print_json, print_line, print_table, rfc3339
from voice.cli.session import CommandFailed, ConfigOption, JsonOption, LimitOption, settings_of, with_database
from voice.store.database import Database
from voice.store.deliveries import Deliveries
from voice.store.listing import Accounts, Found, Window

webhooks_app = typer.Typer(
    help="What customers' servers are told of calls.", no_args_is_help=True, rich_markup_mode=None
)
deliveries_app = typer.Typer(
    help="List deliveries, newest first; make one again.", no_args_is_help=True, rich_markup_mode=None
)
webhooks_app.add_typer(deliveries_app, name="deliveries")

OwnerOption = Annotated[str, typer.Option("--account", "-a", metavar="NAME", help="Whose deliveries.")]


@deliveries_app.command("list")
def list_deliveries(
    account: OwnerOption,
    config: ConfigOption = None,
    state: Annotated[
        str | None, typer.Option(metavar="STATE", help="Only pending, delivered or failed ones.")
    ] = None,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """List an account's deliveries, newest first."""
    if state not in (None, "pending", "delivered", "failed"):
        raise CommandFailed(f"There is no state {state}. Use pending, delivered or failed.")

    async def read(database: Database) -> Found:
        owner = await _owner(database, account)
        return await Deliveries(database, time.time).list(owner, Window(limit=limit), state=state)

    found = with_database(settings_of(config), read)
    if as_json:
        print_json([_described(row) for row in found.rows])
        return
    rows = [
        (
            row["id"],
            rfc3339(row["created_at"]),
            row["event"],
            row["url"],
            row["state"],
            row["attempts"],
            row["last_error"] or row["last_status"],
        )
        for row in found.rows
    ]
    headings = ("id", "created", "event", "url", "state", "attempts", "last")
    print_table(headings, rows, empty="There are no deliveries.")


@deliveries_app.command()
def replay(
    delivery: Annotated[str, typer.Argument(metavar="ID", help="The delivery's id.")],
    account: OwnerOption,
    config: ConfigOption = None,
) -> None:
    """Make a delivery again, with all its retries."""

    async def again(database: Database) -> bool:
        owner = await _owner(database, account)
        return await Deliveries(database, time.time).replay(owner, delivery)

    if not with_database(settings_of(config), again):
        raise CommandFailed(
            f"Account {account} has no delivery {delivery}. See trunkflow webhooks deliveries list."
        )
    print_line(f"Delivery {delivery} is due again.")


async def _owner(database: Database, name: str) -> str:
    owner = await Accounts(database).id_of(name)
    if owner is None:
        raise CommandFailed(f"There is no account {name}.")
    return owner


def _described(row: Any) -> dict[str, Any]:
    return {
        "id": row["id"],
        "created_at": rfc3339(row["created_at"]),
        "event": row["event"],
        "url": row["url"],
        "call_id": row["call_id"],
        "state": row["state"],
        "attempts": row["attempts"],
        "done_at": rfc3339(row["done_at"]),
        "last_status": row["last_status"],
        "last_error": row["last_error"],
    }
