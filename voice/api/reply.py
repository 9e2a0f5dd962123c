"""What an operation answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voice.api.faults import NO_HEADERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: int
    body: bytes = b""
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    path: Path | None = None
    """The body is this file, streamed; ranges of it can be asked for (RFC 9110 section 14)."""

    @classmethod
    def json(cls, value: Any, *, status: int = 200, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        return cls(status=status, body=body, content_type="application/json; charset=utf-8", headers=headers)

    @classmethod
    def empty(cls) -> Reply:
        """204: it is done, and there is nothing to say."""
        return cls(status=204)

    @classmethod
    def text(
        cls, text: str, *, content_type: str = "text/plain; charset=utf-8", download: str | None = None
    ) -> Reply:
        """Text that is no JSON; `download` is the file name under which it is saved."""
        headers = NO_HEADERS if download is None else _attachment(download)
        return cls(status=200, body=text.encode(), content_type=content_type, headers=headers)

    @classmethod
    def file(cls, path: Path, *, content_type: str, download: str) -> Reply:
        """A file.  `download`, of plain ASCII, is the name under which it is saved."""
        return cls(status=200, content_type=content_type, headers=_attachment(download), path=path)


def _attachment(name: str) -> dict[str, str]:
    """Without it the Node SDK takes every answer for JSON (reference section 0.11)."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}
