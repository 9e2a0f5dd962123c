"""``trunkflow apply``: makes the store match a file."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from sip_config.cautions import cautions
from sip_config.configuration import Configuration, new_id, with_ids_of
from sip_config.differences import Change, differences
from voice.cli.output import print_line, shown
from voice.cli.session import CommandFailed, ConfigOption, settings_of
from voice.config_file import ConfigFile, read_config_file
from voice.store.config import ConfigStore, check_clashes
from voice.store.database import Database


def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="TOML file with accounts, gateways, POPs.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change, change nothing.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Make the store match a declarative file: what it lacks is added, what it does not name is removed.

    A file that has a [node] table of its own is applied to that node, unless --config names another.
    """
    explicit = settings_of(config) if config else None
    read = read_config_file(file, os.environ, settings=explicit, otherwise=lambda: settings_of(None))
    if read.declaration is None:
        raise CommandFailed(f"{file} declares nothing. Add an [accounts.NAME] table, a gateway or a POP.")
    sip = read.settings.sip
    for caution in cautions(
        read.declaration.configuration,
        takes_tls=bool(sip.tls or sip.wss),
        asks_for_certificates=sip.certificates.client_authorities is not None,
    ):
        print_line(f"caution: {caution}")
    changes = apply_declaration(read, dry_run=dry_run)
    for change in changes:
        print_line(shown_change(change))
    count = "1 change" if len(changes) == 1 else f"{len(changes)} changes"
    if not changes:
        print_line("Nothing to change.")
    elif dry_run:
        print_line(f"{count} to make; nothing was changed (--dry-run).")
    else:
        print_line(f"{count} made.")


def apply_declaration(read: ConfigFile, *, dry_run: bool = False) -> tuple[Change, ...]:
    """Applies what a file declares to the database that its settings name.  Raises StoreError."""
    declaration, settings = read.declaration, read.settings
    assert declaration is not None
    if dry_run and settings.database_url is None and not settings.database_file.exists():
        # Opening the database would make it.
        wanted = with_ids_of(declaration.configuration, nothing := Configuration(), new_id)
        check_clashes(wanted)
        return differences(nothing, wanted)

    async def run() -> tuple[Change, ...]:
        async with await Database.of(settings) as database:
            store = ConfigStore(database, media_folder=settings.media_directory)
            return await store.apply(declaration, dry_run=dry_run)

    return asyncio.run(run())


def shown_change(change: Change) -> str:
    return "\n    ".join([f"{change.action} {shown(change.name)}", *map(shown, change.details)])
