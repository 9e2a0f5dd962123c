"""The object `limits` of accounts, domains and SIP accounts."""

from __future__ import annotations

from typing import Any, Final

from sip_config import bounds, words
from sip_config.call_limits import UNLIMITED, CallLimits, NumberKind
from sip_config.destinations import country_word
from voice.api.admin import shapes
from voice.api.admin.reading import kept
from voice.api.faults import Json
from voice.api.fields import Fields
from voice.api.money import amount, shown_amount
from voice.api.readers import Misfit, Reader, choice, fitting, integer, number, several

_PREFIXES: Final = shapes.listed({"type": "string", "pattern": r"^[0-9]*$"})
_COUNTRIES: Final = shapes.listed({"type": "string", "pattern": r"^([A-Z]{2}|001)$"})

LIMITS: Final = shapes.described(
    shapes.fields(
        {
            "callsPerSecond": shapes.maybe({"type": "number"}),
            "concurrentCalls": shapes.maybe(shapes.WHOLE),
            "maxCallSeconds": shapes.maybe(shapes.WHOLE),
            "allowedPrefixes": _PREFIXES,
            "deniedPrefixes": _PREFIXES,
            "deniedKinds": shapes.listed(shapes.word(*NumberKind)),
            "allowedCountries": _COUNTRIES,
            "deniedCountries": _COUNTRIES,
            "dailyMinutes": shapes.maybe(shapes.WHOLE),
            "dailySpend": shapes.maybe({"type": "number"}),
            "newDestinationsPerHour": shapes.maybe(shapes.WHOLE),
            "newCountriesPerHour": shapes.maybe(shapes.WHOLE),
        }
    ),
    "What it may call; null: only the limits of its account hold. Fields that are left out stay.",
)

_PREFIX: Final = several(fitting(words.prefix), most=bounds.MOST_DESTINATIONS)
_COUNTRY: Final = several(fitting(country_word), most=bounds.MOST_DESTINATIONS)
_NAMES: Final = {"denied_prefixes": "deniedPrefixes", "denied_countries": "deniedCountries"}


def read_limits(body: Fields, old: CallLimits) -> CallLimits:
    """What the body says under ``limits``; null takes all limits away."""
    if "limits" not in body:
        return old
    given = body.nested("limits")
    if given is None:
        return UNLIMITED
    limits = CallLimits(
        calls_per_second=kept(
            given, "callsPerSecond", number(**bounds.CALLS_PER_SECOND), old.calls_per_second
        ),
        concurrent_calls=kept(
            given, "concurrentCalls", integer(**bounds.CONCURRENT_CALLS), old.concurrent_calls
        ),
        max_call_seconds=kept(
            given, "maxCallSeconds", integer(**bounds.MAX_CALL_SECONDS), old.max_call_seconds
        ),
        allowed_prefixes=kept(given, "allowedPrefixes", _once(_PREFIX), old.allowed_prefixes) or (),
        denied_prefixes=kept(given, "deniedPrefixes", _once(_PREFIX), old.denied_prefixes) or (),
        denied_kinds=kept(given, "deniedKinds", several(choice(NumberKind), most=20), old.denied_kinds) or (),
        allowed_countries=kept(given, "allowedCountries", _once(_COUNTRY), old.allowed_countries) or (),
        denied_countries=kept(given, "deniedCountries", _once(_COUNTRY), old.denied_countries) or (),
        daily_minutes=kept(given, "dailyMinutes", integer(**bounds.DAILY_MINUTES), old.daily_minutes),
        daily_spend=kept(given, "dailySpend", _spend, old.daily_spend),
        new_destinations_per_hour=kept(
            given, "newDestinationsPerHour", integer(**bounds.NEW_PER_HOUR), old.new_destinations_per_hour
        ),
        new_countries_per_hour=kept(
            given, "newCountriesPerHour", integer(**bounds.NEW_PER_HOUR), old.new_countries_per_hour
        ),
    )
    for field, one in limits.contradictions():
        given.fault(_NAMES[field], f"{one} is allowed and denied. Keep it in one of the two lists.")
    return limits


def shown_limits(limits: CallLimits) -> Json:
    return {
        "callsPerSecond": limits.calls_per_second,
        "concurrentCalls": limits.concurrent_calls,
        "maxCallSeconds": limits.max_call_seconds,
        "allowedPrefixes": list(limits.allowed_prefixes),
        "deniedPrefixes": list(limits.denied_prefixes),
        "deniedKinds": [kind.value for kind in limits.denied_kinds],
        "allowedCountries": list(limits.allowed_countries),
        "deniedCountries": list(limits.denied_countries),
        "dailyMinutes": limits.daily_minutes,
        "dailySpend": None if limits.daily_spend is None else shown_amount(limits.daily_spend),
        "newDestinationsPerHour": limits.new_destinations_per_hour,
        "newCountriesPerHour": limits.new_countries_per_hour,
    }


def _once(read: Reader[tuple[str, ...]]) -> Reader[tuple[str, ...]]:
    """Entries that recur count once."""
    return lambda value: tuple(dict.fromkeys(read(value)))


def _spend(value: Any) -> int:
    """In millionths."""
    given = amount(value)
    if given < 0:
        raise Misfit("is below zero; write how much may be spent in a day")
    return given
