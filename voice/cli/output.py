"""How commands show things: tables for people, JSON for programs, both on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPE_WIDTH: Final = 1_000
"""Columns of a table that goes to a file or program: nothing is cut there."""


def print_json(value: Any) -> None:
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table; `empty` is what to say when it has no rows."""
    lines = [[shown(cell) for cell in row] for row in rows]
    if not lines:
        print_line(empty)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for line in lines:
        table.add_row(*(Text(cell) for cell in line))
    _console().print(table)


def print_line(text: str = "", *, style: str = "") -> None:
    _console().print(Text(text, style=style), soft_wrap=True)


def shown(value: object) -> str:
    """A value as a cell.  What could steer a terminal is made visible: much of it comes from strangers."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case tuple() | list():
            return ", ".join(shown(one) for one in value)
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in str(value))


def rfc3339(seconds: float | None) -> str | None:
    """A time as RFC 3339 in UTC, with milliseconds; None stays None."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def bytes_shown(size: int | None) -> str:
    if size is None:
        return ""
    if size < 10_000:
        return f"{size} B"
    return f"{size / 1_000:.0f} kB" if size < 10_000_000 else f"{size / 1_000_000:.0f} MB"


def _console() -> Console:
    # Made anew each time, since standard output may be another by then; no markup, no guessing at colours.
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return Console(file=sys.stdout, width=width, markup=False, highlight=False, emoji=False)
