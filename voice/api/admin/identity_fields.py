"""The object `identity` of an account."""

from __future__ import annotations

from typing import Final

from sip_config import words
from sip_config.identity_policy import E164_ONLY, IdentityPolicy
from voice.api.admin import shapes
from voice.api.admin.reading import kept
from voice.api.faults import Json
from voice.api.fields import Fields
from voice.api.readers import fitting

IDENTITY: Final = shapes.described(
    shapes.fields({"country": shapes.maybe(shapes.TEXT)}),
    "What its calls may show of who calls. Fields that are left out stay.",
)


def read_identity(body: Fields, old: IdentityPolicy) -> IdentityPolicy:
    """What the body says under ``identity``; null sets it back."""
    if "identity" not in body:
        return old
    given = body.nested("identity")
    if given is None:
        return E164_ONLY
    return IdentityPolicy(country=kept(given, "country", fitting(words.country), old.country))


def shown_identity(policy: IdentityPolicy) -> Json:
    return {"country": policy.country}
