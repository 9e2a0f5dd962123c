"""MessageBird's JSON objects of calls, legs, recordings and transcriptions (reference, sections 2 and 5).

The API answers with them and the webhooks carry them, so there is one place that knows their shape.
Each takes a row of the store as a mapping of column names.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

Row = Mapping[str, Any]
Json = dict[str, Any]

MILLIONTHS: Final = 1_000_000

_SIP_STATUSES: Final = {200, 403, 404, 408, 410, 480, 484, 486, 488, 500, 501, 502, 503}
"""Those that every SDK knows: others are shown as the one of their class (reference, section 5.2)."""


def timestamp(seconds: float | None) -> str | None:
    """RFC 3339 in UTC with whole seconds, such as ``2017-03-06T13:34:14Z``."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def call_object(row: Row) -> Json:
    """Never with a ``webhook``: the Python SDK breaks on it.  Events add it."""
    return {
        "id": row["id"],
        "status": row["status"],
        "source": shown_number(row["source"]),
        "destination": shown_number(row["destination"]),
        "numberId": row["number_id"],
        "createdAt": timestamp(row["started_at"]),
        "updatedAt": timestamp(row["updated_at"]),
        "endedAt": timestamp(row["ended_at"]),
    }


def leg_object(row: Row) -> Json:
    """`duration` counts from the answer, in whole seconds begun; `cost` in the currency's unit."""
    answered, ended = row["answered_at"], row["ended_at"]
    return {
        "id": row["id"],
        "callId": row["call_id"],
        "source": shown_number(row["source"]),
        "destination": shown_number(row["destination"]),
        "status": row["status"],
        "direction": row["direction"],
        "cost": (row["cost"] or 0) / MILLIONTHS,
        "currency": row["currency"] or "EUR",
        "duration": whole_seconds(ended - answered) if answered and ended else 0,
        "createdAt": timestamp(row["started_at"]),
        "updatedAt": timestamp(row["updated_at"]),
        "answeredAt": timestamp(answered),
        "endedAt": timestamp(ended),
        **({"sipResponseCode": code} if (code := _known_status(row["sip_status"])) else {}),
    }


def recording_object(row: Row) -> Json:
    """``state`` says what ``status`` says: the Java SDK reads that one."""
    status = row["status"]
    path = f"/recordings/{row['id']}"
    return {
        "id": row["id"],
        "format": "wav",
        "legId": row["leg_id"],
        "callId": row["call_id"],
        "status": status,
        "state": status,
        "type": row["kind"],
        "duration": whole_seconds(row["seconds"] or 0.0),
        "createdAt": timestamp(row["started_at"]),
        "updatedAt": timestamp(row["updated_at"] or row["ended_at"] or row["started_at"]),
        "deletedAt": timestamp(row["deleted_at"]),
        "_links": {"file": f"{path}.wav", "self": path},
    }


def transcription_object(row: Row) -> Json:
    """``error`` holds the reason of a ``failed`` one."""
    path = f"/transcriptions/{row['id']}"
    return {
        "id": row["id"],
        "recordingId": row["recording_id"],
        "legId": row["leg_id"],
        "status": row["status"],
        "error": row["reason"],
        "createdAt": timestamp(row["created_at"]),
        "updatedAt": timestamp(row["updated_at"]),
        "_links": {"file": f"{path}.txt", "self": path},
    }


def shown_number(number: str | None) -> str | None:
    """Without the leading ``+``, as MessageBird shows numbers."""
    return None if number is None else number.removeprefix("+")


def whole_seconds(seconds: float) -> int:
    """Seconds begun: 0.2 s of talk are 1 s."""
    return -int(-max(seconds, 0.0) // 1)


def _known_status(status: int | None) -> int | None:
    if status is None or status < 200:
        return None
    if status in _SIP_STATUSES:
        return status
    return {4: 480, 5: 500, 6: 486}.get(status // 100)
