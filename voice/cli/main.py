"""The command ``trunkflow``: puts the commands together, and turns what goes wrong into a sentence.

Exit status: 0 done; 1 it could not be done; 2 the command line or a file has a fault, and nothing was
changed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

import typer

from sip_config.faults import ConfigurationFaults
from voice.cli.api import api
from voice.cli.apply import apply
from voice.cli.bans import bans_app
from voice.cli.calls import calls_app
from voice.cli.check import check
from voice.cli.configured import acls, domains, gateways, numbers
from voice.cli.deliveries import webhooks_app
from voice.cli.dns import dns_app
from voice.cli.drill import drill_app
from voice.cli.explain import explain
from voice.cli.gauntlet import gauntlet
from voice.cli.keys import keys_app
from voice.cli.pops import pops
from voice.cli.rates import rates
from voice.cli.refusals import refusals
from voice.cli.serve import serve
from voice.cli.session import CommandFailed
from voice.store.errors import StoreError

FAILED: Final = 1
FAULTY: Final = 2
INTERRUPTED: Final = 130

app = typer.Typer(
    name="trunkflow",
    help="SIP trunking platform and voice callflow engine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(serve)
app.command()(api)
app.command()(apply)
app.command()(check)
for listing in (domains, acls, numbers, gateways):
    app.command()(listing)
app.command()(rates)
app.add_typer(calls_app, name="calls")
app.command()(pops)
app.command()(refusals)
app.command()(explain)
app.command()(gauntlet)
app.add_typer(bans_app, name="bans")
app.add_typer(keys_app, name="keys")
app.add_typer(dns_app, name="dns")
app.add_typer(drill_app, name="drill")
app.add_typer(webhooks_app, name="webhooks")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and exits."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Runs one command; returns the exit status."""
    try:
        app(args=list(arguments), prog_name="trunkflow")
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else FAILED
    except ConfigurationFaults as faults:
        _complain(str(faults))
        return FAULTY
    except (CommandFailed, StoreError) as failure:
        _complain(str(failure))
        return FAILED
    except BrokenPipeError:
        # Whoever read the output has had enough; the interpreter must not complain about it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _complain(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
