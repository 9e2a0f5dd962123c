"""``trunkflow rates``: what a gateway charges, from a CSV file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from sip_config.configuration import Configuration
from sip_config.model import Gateway, Origin
from sip_config.rate_table import BadLine, RateTable, price_text, read_rates
from voice.cli.output import print_json, print_line, print_table
from voice.cli.session import (
    AccountOption,
    CommandFailed,
    ConfigOption,
    JsonOption,
    configuration_of,
    settings_of,
    with_database,
)
from voice.store.config import ConfigStore
from voice.store.database import Database


def rates(
    gateway: Annotated[str, typer.Argument(metavar="GATEWAY", help="The gateway's name or id.")],
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="CSV: prefix, price per minute. Replaces all rates.")
    ] = None,
    config: ConfigOption = None,
    account: AccountOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a gateway's rates, or set them from a CSV file.

    Of gateways of equal priority, the cheapest for the number is tried first.
    """
    settings = settings_of(config)
    found = _found(configuration_of(settings), gateway, account)
    if file is None:
        _show(found.options.rates, as_json)
        return
    table = _read(file)

    def with_rates(current: Configuration) -> Configuration:
        return replace(
            current,
            gateways=tuple(
                replace(one, options=replace(one.options, rates=table)) if one.id == found.id else one
                for one in current.gateways
            ),
        )

    async def change(database: Database) -> None:
        store = ConfigStore(database, media_folder=settings.media_directory)
        await store.change(with_rates, realm=settings.base_domain)

    with_database(settings, change)
    print_line(f"Gateway {found.name} has {table}.")
    if found.origin is Origin.FILE:
        print_line("A file manages it: name the CSV there as rates_file, or the next apply takes them away.")


def _found(configuration: Configuration, named: str, account: str | None) -> Gateway:
    owners = {str(owner.id): owner.name for owner in configuration.accounts}
    fitting = [
        gateway
        for gateway in configuration.gateways
        if named in (gateway.name, gateway.id) and account in (None, owners.get(str(gateway.account_id)))
    ]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise CommandFailed(f"Several gateways are called {named}: give the id, or --account.")
    raise CommandFailed(f"There is no gateway {named}. See: trunkflow gateways.")


def _read(file: Path) -> RateTable:
    try:
        return read_rates(file.read_text(encoding="utf-8"))
    except OSError as fault:
        raise CommandFailed(f"{file} cannot be read: {fault.strerror}.") from None
    except UnicodeDecodeError:
        raise CommandFailed(f"{file} is not UTF-8. Save it as UTF-8.") from None
    except BadLine as bad:
        raise CommandFailed(f"{file}:{bad.line}: {bad}") from None


def _show(table: RateTable, as_json: bool) -> None:
    lines = [(prefix, price_text(price)) for prefix, price in sorted(table.prices.items())]
    if as_json:
        print_json([{"prefix": prefix, "price": price} for prefix, price in lines])
        return
    shown = [(prefix or "(any)", price) for prefix, price in lines]
    print_table(("prefix", "price per minute"), shown, empty="It has no rates.")
