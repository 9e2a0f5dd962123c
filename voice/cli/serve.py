"""``trunkflow serve``: runs the node."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from voice.cli.apply import apply_declaration, shown_change
from voice.cli.output import print_line
from voice.cli.session import CommandFailed
from voice.config_file import read_config_file


def serve(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="TOML file with the node's settings.")],
) -> None:
    """Run a node until it is told to stop: SIGTERM lets calls end, a second one ends them.

    What CONFIG declares besides the settings (accounts, gateways, POPs) is applied first.
    """
    read = read_config_file(config, os.environ)
    if read.declaration is not None:
        for change in apply_declaration(read):
            print_line(shown_change(change))
    # Imported here: no other command needs the media stack.
    from voice.node import NodeError
    from voice.node import serve as run_node

    try:
        run_node(read.settings)
    except NodeError as fault:
        raise CommandFailed(str(fault)) from None
    except OSError as fault:
        raise CommandFailed(
            f"The node cannot run: {fault}. "
            "If an address is in use, stop what uses it, or change it in [node.sip]."
        ) from None
