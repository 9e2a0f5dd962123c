"""What every command needs: its settings, the database, and an end without a traceback."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from sip_config.configuration import Configuration
from voice.config_file import read_settings_file
from voice.settings import Settings
from voice.settings_file import CONFIG_VARIABLE
from voice.store.config import ConfigStore
from voice.store.database import Database

T = TypeVar("T")

DEFAULT_CONFIG = Path("trunkflow.toml")

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help=f"The node's settings. Default: ${CONFIG_VARIABLE}, else {DEFAULT_CONFIG}.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs: JSON instead of a table.")]
AccountOption = Annotated[
    str | None, typer.Option("--account", "-a", metavar="NAME", help="Only what belongs to this account.")
]
LimitOption = Annotated[
    int, typer.Option("--limit", "-n", min=1, max=100_000, help="At most so many, the newest.")
]


class CommandFailed(Exception):
    """The command cannot do what was asked.  The message says why, and what to do."""


def settings_of(config: Path | None) -> Settings:
    """The settings that a command works with.  Raises ConfigurationFaults."""
    named = os.environ.get(CONFIG_VARIABLE)
    return read_settings_file(config or (Path(named) if named else DEFAULT_CONFIG), os.environ)


def with_database(settings: Settings, use: Callable[[Database], Awaitable[T]]) -> T:
    """What `use` makes of a node's database, which must exist.  Raises StoreError."""

    async def run() -> T:
        async with await Database.of(settings, make=False) as database:
            return await use(database)

    return asyncio.run(run())


def configuration_of(settings: Settings) -> Configuration:
    """All that is configured in a node's database.  Raises StoreError."""

    async def load(database: Database) -> Configuration:
        store = ConfigStore(database, media_folder=settings.media_directory)
        configuration, _ = await store.load(realm=settings.base_domain)
        return configuration

    return with_database(settings, load)
