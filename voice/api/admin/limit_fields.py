"""The object `limits` of accounts, domains and SIP accounts."""

from __future__ import annotations

from typing import Final

from sip_config import bounds
from sip_config.call_limits import UNLIMITED, CallLimits
from voice.api.admin import shapes
from voice.api.admin.reading import kept
from voice.api.faults import Json
from voice.api.fields import Fields
from voice.api.readers import integer, number

LIMITS: Final = shapes.described(
    shapes.fields(
        {
            "callsPerSecond": shapes.maybe({"type": "number"}),
            "concurrentCalls": shapes.maybe(shapes.WHOLE),
            "maxCallSeconds": shapes.maybe(shapes.WHOLE),
        }
    ),
    "What it may call; null: only the limits of its account hold. Fields that are left out stay.",
)


def read_limits(body: Fields, old: CallLimits) -> CallLimits:
    """What the body says under ``limits``; null takes all limits away."""
    if "limits" not in body:
        return old
    given = body.nested("limits")
    if given is None:
        return UNLIMITED
    return CallLimits(
        calls_per_second=kept(
            given, "callsPerSecond", number(**bounds.CALLS_PER_SECOND), old.calls_per_second
        ),
        concurrent_calls=kept(
            given, "concurrentCalls", integer(**bounds.CONCURRENT_CALLS), old.concurrent_calls
        ),
        max_call_seconds=kept(
            given, "maxCallSeconds", integer(**bounds.MAX_CALL_SECONDS), old.max_call_seconds
        ),
    )


def shown_limits(limits: CallLimits) -> Json:
    return {
        "callsPerSecond": limits.calls_per_second,
        "concurrentCalls": limits.concurrent_calls,
        "maxCallSeconds": limits.max_call_seconds,
    }
