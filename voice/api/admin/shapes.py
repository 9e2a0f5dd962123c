"""JSON Schemas that the resources of the administration share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from voice.api.schemas import ID, TEXT, TIME, TRUTH, URL, WHOLE, Schema, described, fields, maybe, shape

__all__ = ["ID", "TEXT", "TIME", "TRUTH", "URL", "WHOLE", "Schema", "described", "fields", "maybe", "shape"]

ORIGIN: Final[Schema] = {
    "enum": ["file", "api"],
    "description": "Who manages it. What a file manages is set back to what the file says when it is next "
    "applied.",
}
HREF: Final[Schema] = URL
NUMBER: Final[Schema] = {"type": "string", "pattern": r"^\+[1-9][0-9]{6,14}$"}

LINKS: Final[Schema] = shape(
    {"first": URL, "previous": maybe(URL), "next": maybe(URL), "last": URL}, title="PageLinks"
)

OWNER: Final[Mapping[str, Schema]] = {
    "account": described(
        TEXT, "For operators' keys: the account, by id or name. The header X-Account says the same."
    )
}
"""The query parameter of operations that are about an account."""


def many(item: Mapping[str, Any]) -> Schema:
    """The envelope of a list."""
    items = {"type": "array", "items": dict(item)}
    return shape(
        {
            "offset": WHOLE,
            "limit": WHOLE,
            "count": WHOLE,
            "totalCount": WHOLE,
            "links": LINKS,
            "items": items,
        }
    )


def word(*words: str) -> Schema:
    return {"type": "string", "enum": list(words)}


def listed(item: Mapping[str, Any]) -> Schema:
    return {"type": "array", "items": dict(item)}
