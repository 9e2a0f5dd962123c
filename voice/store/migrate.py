"""Brings a database to the present tables; asked at every start."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

# Alembic introduces itself at every look at the database; only what goes wrong is worth a line.
logging.getLogger("alembic").setLevel(logging.WARNING)

_SCRIPTS: Final = Path(__file__).parent / "migrations"


class NewerDatabase(Exception):
    """The database has a revision that this version of trunkflow does not know."""


def is_present(connection: Connection) -> bool:
    """Whether the database has the present tables already.  Raises NewerDatabase."""
    scripts = ScriptDirectory.from_config(_config())
    found = set(MigrationContext.configure(connection).get_current_heads())
    if not found <= {script.revision for script in scripts.walk_revisions()}:
        raise NewerDatabase
    return found == set(scripts.get_heads())


def upgrade(connection: Connection) -> None:
    """Runs the migrations that are missing, inside the connection's transaction.

    Does nothing when another process was quicker.
    """
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return config
