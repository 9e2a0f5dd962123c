"""Variants of usual messages, and the torture messages of RFC 4475 and RFC 5118."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.sip_messages import BYE

DATA: Final = Path(__file__).resolve().parent.parent / "data"


def request_with(*lines: bytes, without: bytes = b"") -> bytes:
    """The BYE with header lines added; `without` names one to leave out."""
    start, *rest = BYE.removesuffix(b"\r\n\r\n").split(b"\r\n")
    kept = [line for line in rest if not without or not line.startswith(without + b":")]
    return b"\r\n".join([start, *kept, *lines]) + b"\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Torture:
    """A row of an index, with its message."""

    file: str
    valid: bool
    is_request: bool
    codes: frozenset[str]
    data: bytes


def torture_messages() -> list[Torture]:
    found = []
    for folder in ("rfc4475", "rfc5118"):
        with (DATA / folder / "index.tsv").open(encoding="utf-8") as index:
            for row in csv.DictReader(index, delimiter="\t"):
                found.append(
                    Torture(
                        file=row["file"],
                        valid=row["verdict"] == "valid",
                        is_request=row["kind"] == "request",
                        codes=frozenset(row["acceptable_codes"].split()),
                        data=(DATA / folder / row["file"]).read_bytes(),
                    )
                )
    return found
