"""The options of a gateway, which stand among its other fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from sip_config import bounds, words
from sip_config.declared_options import MOST_FAILOVERS
from sip_config.faults import Unfit, quoted
from sip_config.gateway_options import CallerIdFormat, GatewayOptions, HeaderRules
from sip_config.header_fields import MOST_RULES, header_field, header_name
from sip_config.rate_table import MOST_RATES, NO_RATES, RateTable, price_of
from voice.api.admin import shapes
from voice.api.admin.reading import USERNAME, kept
from voice.api.faults import Json
from voice.api.fields import Fields
from voice.api.readers import Misfit, Reader, choice, fitting, integer, number, several, truth

T = TypeVar("T")

_COUNTRY: Final = fitting(words.country)
_LONGEST_FIELD: Final = 600
"""Characters of a header field with its name."""


def _range(
    kind: str, limits: bounds.Whole | bounds.Real, about: str, *, maybe: bool = False
) -> shapes.Schema:
    schema: shapes.Schema = {"type": kind, "minimum": limits["least"], "maximum": limits["most"]}
    return shapes.described(shapes.maybe(schema) if maybe else schema, about)


def _real(limits: bounds.Real, about: str, *, maybe: bool = True) -> shapes.Schema:
    return _range("number", limits, about, maybe=maybe)


def _whole(limits: bounds.Whole, about: str, *, maybe: bool = False) -> shapes.Schema:
    return _range("integer", limits, about, maybe=maybe)


_LINES: Final = shapes.listed(shapes.TEXT)
OPTIONS: Final = {
    "weight": _whole(bounds.WEIGHT, "Its share of the calls among gateways of equal priority; 0: the last."),
    "trusted": shapes.described(shapes.TRUTH, "Whether it is told who calls, also when that is withheld."),
    "ringingSeconds": _real(
        bounds.WAIT_SECONDS, "Without ringing for so long, the next gateway is tried. Null: any time."
    ),
    "totalSeconds": _real(
        bounds.WAIT_SECONDS, "Without an answer for so long, the next gateway is tried. Null: any time."
    ),
    "failover": shapes.described(
        shapes.listed({"type": "string", "pattern": "^[456](xx|[0-9]{2})$"}),
        'Responses after which the next gateway is tried: codes such as "503", or "5xx" for all 5xx.',
    ),
    "keepaliveSeconds": _real(bounds.KEEPALIVE_SECONDS, "Between two OPTIONS to it. Null: none are sent."),
    "cooldownSeconds": _real(
        bounds.COOLDOWN_SECONDS, "For how long a gateway that fails is tried last.", maybe=False
    ),
    "cooldownAfter": _whole(bounds.COOLDOWN_AFTER, "Failures in a row, until it is tried last."),
    "concurrentCalls": _whole(
        bounds.CONCURRENT_CALLS, "At a time, at one edge; null: any number.", maybe=True
    ),
    "callsPerSecond": _real(bounds.CALLS_PER_SECOND, "At one edge; null: any number."),
    "country": shapes.described(
        shapes.maybe(shapes.TEXT), "ISO 3166 code: whose national number format it speaks."
    ),
    "stripPrefix": shapes.described(
        {"type": "string"}, "Taken off the front of a dialled number in its format."
    ),
    "addPrefix": shapes.described({"type": "string"}, "Put in front of a dialled number in its format."),
    "callerIdFormat": shapes.described(
        shapes.word(*CallerIdFormat), "Where it is told the caller's number, beside From."
    ),
    "removeHeaders": shapes.described(_LINES, "Names of header fields that are taken out of INVITEs."),
    "replaceHeaders": shapes.described(_LINES, '"Name: value": takes the place of fields of that name.'),
    "addHeaders": shapes.described(_LINES, '"Name: value": put at the end.'),
    "register": shapes.described(shapes.TRUTH, "Whether the edge registers there."),
    "registerSeconds": _whole(bounds.REGISTER_SECONDS, "How long a registration is asked to last."),
    "registerUser": shapes.described(
        shapes.maybe(shapes.TEXT), "User part of what is registered; null: the user name."
    ),
    "registerDomain": shapes.described(
        shapes.maybe(shapes.TEXT), "Host part of what is registered; null: the host."
    ),
}
RATES: Final = {
    "rates": shapes.described(
        shapes.maybe({"type": "object"}),
        'Price per minute by prefix, such as {"31": "0.0085", "": "0.2"}: of gateways of equal priority the '
        f"cheapest goes first. At most {MOST_RATES}. Is not shown again.",
    )
}
RATE_COUNT: Final = {"rateCount": shapes.described(shapes.WHOLE, "How many rates it has.")}


def read_options(body: Fields, old: GatewayOptions) -> GatewayOptions:
    return GatewayOptions(
        weight=body.get("weight", integer(**bounds.WEIGHT), old.weight),
        trusted=body.get("trusted", truth, old.trusted),
        ringing_seconds=kept(body, "ringingSeconds", number(**bounds.WAIT_SECONDS), old.ringing_seconds),
        total_seconds=kept(body, "totalSeconds", number(**bounds.WAIT_SECONDS), old.total_seconds),
        failover=body.get("failover", _several(words.failover, MOST_FAILOVERS), old.failover),
        keepalive_seconds=kept(
            body, "keepaliveSeconds", number(**bounds.KEEPALIVE_SECONDS), old.keepalive_seconds
        ),
        cooldown_seconds=body.get("cooldownSeconds", number(**bounds.COOLDOWN_SECONDS), old.cooldown_seconds),
        cooldown_after=body.get("cooldownAfter", integer(**bounds.COOLDOWN_AFTER), old.cooldown_after),
        concurrent_calls=kept(
            body, "concurrentCalls", integer(**bounds.CONCURRENT_CALLS), old.concurrent_calls
        ),
        calls_per_second=kept(
            body, "callsPerSecond", number(**bounds.CALLS_PER_SECOND), old.calls_per_second
        ),
        country=kept(body, "country", _COUNTRY, old.country),
        strip_prefix=body.get("stripPrefix", _in_front, old.strip_prefix),
        add_prefix=body.get("addPrefix", _in_front, old.add_prefix),
        caller_id_format=body.get("callerIdFormat", choice(CallerIdFormat), old.caller_id_format),
        headers=HeaderRules(
            remove=body.get("removeHeaders", _several(header_name, MOST_RULES), old.headers.remove),
            replace=body.get("replaceHeaders", _several(header_field, MOST_RULES), old.headers.replace),
            add=body.get("addHeaders", _several(header_field, MOST_RULES), old.headers.add),
        ),
        register=body.get("register", truth, old.register),
        register_seconds=body.get(
            "registerSeconds", integer(**bounds.REGISTER_SECONDS), old.register_seconds
        ),
        register_user=kept(body, "registerUser", USERNAME, old.register_user),
        register_domain=kept(body, "registerDomain", fitting(words.host), old.register_domain),
        rates=(kept(body, "rates", _rates, old.rates) or NO_RATES),
    )


def shown_options(options: GatewayOptions) -> Json:
    return {
        "weight": options.weight,
        "trusted": options.trusted,
        "ringingSeconds": options.ringing_seconds,
        "totalSeconds": options.total_seconds,
        "failover": list(options.failover),
        "keepaliveSeconds": options.keepalive_seconds,
        "cooldownSeconds": options.cooldown_seconds,
        "cooldownAfter": options.cooldown_after,
        "concurrentCalls": options.concurrent_calls,
        "callsPerSecond": options.calls_per_second,
        "country": options.country,
        "stripPrefix": options.strip_prefix,
        "addPrefix": options.add_prefix,
        "callerIdFormat": options.caller_id_format,
        "removeHeaders": list(options.headers.remove),
        "replaceHeaders": [f"{name}: {value}" for name, value in options.headers.replace],
        "addHeaders": [f"{name}: {value}" for name, value in options.headers.add],
        "register": options.register,
        "registerSeconds": options.register_seconds,
        "registerUser": options.register_user,
        "registerDomain": options.register_domain,
        "rateCount": len(options.rates.prices),
    }


def _several(convert: Callable[[str], T], most: int) -> Reader[tuple[T, ...]]:
    return several(fitting(convert, longest=_LONGEST_FIELD), most=most)


def _in_front(value: object) -> str:
    return "" if value == "" else fitting(words.digits_in_front)(value)


def _rates(value: object) -> RateTable:
    if not isinstance(value, Mapping):
        raise Misfit('Give an object of prefixes and prices, such as {"31": "0.0085"}.')
    if len(value) > MOST_RATES:
        raise Misfit(f"There are {len(value)} rates; give at most {MOST_RATES}.")
    prices: dict[str, int] = {}
    for written, price in value.items():
        try:
            prefix = words.prefix(written) if written else ""
            millionths = price_of(str(price))
        except Unfit as fault:
            raise Misfit(str(fault), f"/{written}") from None
        if prefix in prices:
            raise Misfit(f"Prefix {quoted(prefix)} has a price already.", f"/{written}")
        prices[prefix] = millionths
    return RateTable(prices=prices)
