"""What a callflow says of itself, beside its steps: title, record, maxDuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from callflows.faults import Fault, quoted
from callflows.raw import Place, RawCallflow

HEAD = ("title", "record", "maxDuration")

LONGEST_TITLE = 255
LONGEST_DURATION = 86_400
"""Seconds."""

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    title: str | None = None
    record: bool = False
    max_duration: int | None = None


def read_head(said: Mapping[str, str], place: Place, faults: list[Fault]) -> Head:
    """From texts, as attributes are; what is wrong goes to `faults`, and counts as not said."""

    def wrong(message: str, remedy: str) -> None:
        faults.append(Fault(line=place.line, element=place.element, message=message, remedy=remedy))

    title = said.get("title") or None
    if title is not None and (len(title) > LONGEST_TITLE or _NOT_IN_XML.search(title)):
        wrong(
            "The title is too long, or holds a character that XML cannot carry.",
            f"Use at most {LONGEST_TITLE} printable characters.",
        )
        title = None
    record = said.get("record", "false")
    if record not in ("true", "false"):
        wrong(f"{quoted(record)} is no value for record.", "Write true or false.")
    duration = said.get("maxDuration") or None
    if duration is not None and not (
        re.fullmatch("[0-9]{1,9}", duration) and 1 <= int(duration) <= LONGEST_DURATION
    ):
        wrong(
            f"{quoted(duration)} is no value for maxDuration.",
            f"Write whole seconds from 1 to {LONGEST_DURATION}.",
        )
        duration = None
    return Head(
        title=title, record=record == "true", max_duration=None if duration is None else int(duration)
    )


def written_head(flow: RawCallflow) -> dict[str, str]:
    """What is not as it would be anyway, as texts."""
    said = {}
    if flow.title is not None:
        said["title"] = flow.title
    if flow.record:
        said["record"] = "true"
    if flow.max_duration is not None:
        said["maxDuration"] = str(flow.max_duration)
    return said
