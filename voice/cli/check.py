"""``trunkflow check``: says whether a callflow document would be taken, and what would become of a call."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from callflows.faults import DocumentFaults
from callflows.reading import read_callflow
from callflows.simulator import Script, simulate
from sip_config.declared_account import LARGEST_DOCUMENT
from sip_config.faults import ConfigurationFaults, Fault
from voice.cli.output import print_line, shown
from voice.cli.session import CommandFailed

_KEYS: Final = "0123456789*#ABCD"
_LONGEST_CALL: Final = 86_400.0


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Callflow document: XML or JSON.")],
    simulated: Annotated[
        bool, typer.Option("--simulate", help="Also run it, without a telephone, and show what happens.")
    ] = False,
    key: Annotated[
        list[str] | None,
        typer.Option(metavar="SECOND:KEY", help="With --simulate: the caller presses a key, such as 4:1."),
    ] = None,
    hangs_up: Annotated[
        float | None,
        typer.Option(
            metavar="SECOND", min=0, max=_LONGEST_CALL, help="With --simulate: the caller hangs up."
        ),
    ] = None,
) -> None:
    """Check a callflow document; every fault is said, with its line and what to do."""
    keys = tuple(_pressed(one) for one in key or ())
    try:
        with file.open("rb") as opened:
            document = opened.read(LARGEST_DOCUMENT + 1)
    except OSError as fault:
        raise CommandFailed(f"{file} cannot be read: {fault.strerror}. Name another file.") from None
    try:
        flow = read_callflow(document)
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
    if simulated:
        transcript = simulate(flow, Script(keys=keys, hangs_up_at=hangs_up))
        print_line(_lines(str(transcript)))


def _pressed(text: str) -> tuple[float, str]:
    second, _, key = text.partition(":")
    try:
        at = float(second)
    except ValueError:
        at = -1.0
    if not 0 <= at <= _LONGEST_CALL or len(key) != 1 or key not in _KEYS:
        raise CommandFailed(f"{shown(text)} is no key press. Write SECOND:KEY, such as 4:1 or 12.5:#.")
    return at, key


def _lines(text: str) -> str:
    """Lines as they may stand in a terminal: a document is as likely as not from somebody else."""
    return "\n".join(map(shown, text.splitlines()))
