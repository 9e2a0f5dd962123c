"""JSON Schemas of what the voice API takes and answers, for the documentation and the tests that hold it.

Answers are described closely, bodies in the way they should be sent: what else is understood
(`voice.api.readers`) is kept from the page, which would be hard to read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from voice.records import CallStatus, LegStatus

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
ID: Final[Schema] = {"type": "string", "format": "uuid"}
TIME: Final[Schema] = {"type": "string", "format": "date-time"}
URL: Final[Schema] = {"type": "string", "format": "uri", "maxLength": 2_048}
WHOLE: Final[Schema] = {"type": "integer", "minimum": 0}
TRUTH: Final[Schema] = {"type": "boolean"}


def maybe(schema: Mapping[str, Any]) -> Schema:
    """The same, or null."""
    return {"anyOf": [dict(schema), {"type": "null"}]}


def described(schema: Mapping[str, Any], description: str) -> Schema:
    return {**schema, "description": description}


def shape(
    properties: Mapping[str, Mapping[str, Any]], *, title: str | None = None, optional: tuple[str, ...] = ()
) -> Schema:
    """An object of an answer: every property is there, but for those that are optional.

    What has a title is shown under it, once for all that use it.
    """
    return {
        **({"title": title} if title else {}),
        "type": "object",
        "properties": {name: dict(schema) for name, schema in properties.items()},
        "required": [name for name in properties if name not in optional],
    }


def fields(properties: Mapping[str, Mapping[str, Any]], *, required: tuple[str, ...] = ()) -> Schema:
    """An object of a body: only what is named `required` has to be there."""
    schema: Schema = {
        "type": "object",
        "properties": {name: dict(schema) for name, schema in properties.items()},
    }
    return {**schema, "required": list(required)} if required else schema


LINKS: Final[Schema] = {"type": "object", "additionalProperties": {"type": "string", "pattern": "^/"}}

PAGINATION: Final[Schema] = shape(
    {"totalCount": WHOLE, "pageCount": WHOLE, "currentPage": WHOLE, "perPage": WHOLE}, title="Pagination"
)


def one(item: Mapping[str, Any]) -> Schema:
    """The envelope of a single object."""
    data = {"type": "array", "items": dict(item), "minItems": 1, "maxItems": 1}
    return shape({"data": data, "_links": LINKS, "pagination": PAGINATION})


def many(item: Mapping[str, Any]) -> Schema:
    """The envelope of a list."""
    data = {"type": "array", "items": dict(item)}
    return shape({"data": data, "_links": LINKS, "pagination": PAGINATION})


PAGE_LINKS: Final[Schema] = shape(
    {"first": URL, "previous": maybe(URL), "next": maybe(URL), "last": URL}, title="PageLinks"
)


def rest_many(item: Mapping[str, Any]) -> Schema:
    """The envelope of a list in the REST API."""
    return shape(
        {
            "offset": WHOLE,
            "limit": WHOLE,
            "count": WHOLE,
            "totalCount": WHOLE,
            "links": PAGE_LINKS,
            "items": {"type": "array", "items": dict(item)},
        }
    )


CALL: Final[Schema] = shape(
    {
        "id": ID,
        "status": {"enum": [str(status) for status in CallStatus]},
        "source": maybe(TEXT),
        "destination": maybe(TEXT),
        "numberId": maybe(ID),
        "createdAt": TIME,
        "updatedAt": TIME,
        "endedAt": maybe(TIME),
        "_links": LINKS,
    },
    title="Call",
)

LEG: Final[Schema] = shape(
    {
        "id": ID,
        "callId": ID,
        "source": maybe(TEXT),
        "destination": maybe(TEXT),
        "status": {"enum": [str(status) for status in LegStatus]},
        "direction": {"enum": ["incoming", "outgoing"]},
        "cost": described({"type": "number"}, "In the currency's unit."),
        "currency": TEXT,
        "duration": described(WHOLE, "Seconds since the answer, begun ones counted."),
        "createdAt": TIME,
        "updatedAt": TIME,
        "answeredAt": maybe(TIME),
        "endedAt": maybe(TIME),
        "sipResponseCode": WHOLE,
        "_links": LINKS,
    },
    title="Leg",
    optional=("sipResponseCode",),
)

RECORDING: Final[Schema] = shape(
    {
        "id": ID,
        "format": {"const": "wav"},
        "legId": maybe(ID),
        "callId": ID,
        "status": {"enum": ["recording", "done", "failed"]},
        "state": {"enum": ["recording", "done", "failed"]},
        "type": {"enum": ["ivr", "call", "transfer", None]},
        "duration": WHOLE,
        "createdAt": TIME,
        "updatedAt": TIME,
        "deletedAt": maybe(TIME),
        "_links": LINKS,
    },
    title="Recording",
)

TRANSCRIPTION: Final[Schema] = shape(
    {
        "id": ID,
        "recordingId": ID,
        "legId": maybe(ID),
        "status": {"enum": ["created", "transcribing", "done", "failed"]},
        "error": maybe(described(TEXT, "Why it failed, and what to do.")),
        "createdAt": TIME,
        "updatedAt": TIME,
        "_links": LINKS,
    },
    title="Transcription",
)

WEBHOOK: Final[Schema] = shape(
    {
        "id": ID,
        "url": URL,
        "token": maybe(TEXT),
        "title": maybe(TEXT),
        "createdAt": TIME,
        "updatedAt": TIME,
        "_links": LINKS,
    },
    title="Webhook",
)
