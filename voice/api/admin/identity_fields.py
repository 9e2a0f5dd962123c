"""The object `identity` of an account."""

from __future__ import annotations

from typing import Final

from sip_config import bounds, words
from sip_config.identity_policy import E164_ONLY, IdentityPolicy, OtherCallers
from voice.api.admin import shapes
from voice.api.admin.reading import OWN_NUMBER, kept
from voice.api.faults import Json
from voice.api.fields import Fields
from voice.api.readers import choice, fitting, several

IDENTITY: Final = shapes.described(
    shapes.fields(
        {
            "country": shapes.described(
                shapes.maybe(shapes.TEXT), "Whose national formats its numbers may be written in; ISO 3166."
            ),
            "callerId": shapes.described(
                shapes.maybe(shapes.NUMBER), "Asserted of callers of whom nothing else may be believed."
            ),
            "verified": shapes.described(
                shapes.listed(shapes.NUMBER), "Numbers elsewhere that its calls may show."
            ),
            "ranges": shapes.described(
                shapes.listed(shapes.TEXT), "Likewise, such as +31201234500-+31201234599."
            ),
            "others": shapes.described(
                shapes.word(*OtherCallers), "What becomes of a caller id that it may not show."
            ),
        }
    ),
    "What its calls may show of who calls. Fields that are left out stay.",
)
_VERIFIED: Final = several(OWN_NUMBER, most=bounds.MOST_VERIFIED_NUMBERS)
_RANGES: Final = several(fitting(words.number_range), most=bounds.MOST_NUMBER_RANGES)


def read_identity(body: Fields, old: IdentityPolicy) -> IdentityPolicy:
    """What the body says under ``identity``; null sets it back."""
    if "identity" not in body:
        return old
    given = body.nested("identity")
    if given is None:
        return E164_ONLY
    return IdentityPolicy(
        country=kept(given, "country", fitting(words.country), old.country),
        caller_id=kept(given, "callerId", OWN_NUMBER, old.caller_id),
        verified=tuple(sorted(set(given.get("verified", _VERIFIED, old.verified)))),
        ranges=tuple(sorted(set(given.get("ranges", _RANGES, old.ranges)))),
        others=given.get("others", choice(OtherCallers), old.others),
    )


def shown_identity(policy: IdentityPolicy) -> Json:
    return {
        "country": policy.country,
        "callerId": policy.caller_id,
        "verified": list(policy.verified),
        "ranges": list(policy.ranges),
        "others": policy.others,
    }
