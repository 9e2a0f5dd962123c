"""``trunkflow check``: says whether a callflow document would be taken."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from callflows.canonical import parse_document
from callflows.faults import DocumentFaults
from sip_config.declared_account import LARGEST_DOCUMENT
from sip_config.faults import ConfigurationFaults, Fault
from voice.cli.output import print_line
from voice.cli.session import CommandFailed


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Callflow document.")],
) -> None:
    """Check a callflow document; every fault is said, with its line and what to do."""
    try:
        with file.open("rb") as opened:
            document = opened.read(LARGEST_DOCUMENT + 1)
    except OSError as fault:
        raise CommandFailed(f"{file} cannot be read: {fault.strerror}. Name another file.") from None
    try:
        flow = parse_document(document)
    except DocumentFaults as refused:
        raise ConfigurationFaults(
            Fault(
                source=str(file),
                line=fault.line,
                key=fault.element,
                message=fault.message,
                remedy=fault.remedy,
            )
            for fault in refused.faults
        ) from None
    steps = len(flow.steps)
    print_line(f"{file}: good, {steps} {'step' if steps == 1 else 'steps'}.")
