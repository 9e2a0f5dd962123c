"""``trunkflow api``: serves the API without a node."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from voice.cli.session import CommandFailed
from voice.config_file import read_config_file


def api(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="TOML file with the node's settings.")],
) -> None:
    """Serve the API alone, beside nodes that have the same database.

    Set [node.api] enabled = false for a node on the same machine, which would take the port.  What CONFIG
    declares is not applied.
    """
    read = read_config_file(config, os.environ)
    # Imported here: no other command needs the server.
    from voice.api_alone import serve

    try:
        serve(read.settings)
    except OSError as fault:
        raise CommandFailed(
            f"The API cannot run: {fault}. "
            "If an address is in use, stop what uses it, or change it in [node.api]."
        ) from None
