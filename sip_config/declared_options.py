"""The options of a gateway in the declarative file, which stand in the gateway's own table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from sip_config import bounds, words
from sip_config.faults import Unfit
from sip_config.gateway_options import GatewayOptions, HeaderRules
from sip_config.header_fields import MOST_RULES, header_field, header_name
from sip_config.model import Gateway, NumberFormat
from sip_config.rate_table import NO_RATES, BadLine, RateTable, read_rates
from sip_config.reading import Section

T = TypeVar("T")

MOST_FAILOVERS: Final = 32
_LARGEST_RATES: Final = 4 * 1024 * 1024
"""Bytes."""


def read_options(gateway: Section, folder: Path | None) -> GatewayOptions:
    """Leaves it to the caller to refuse what nobody knows.

    `folder`: what file names are relative to; None: no file may be named.
    """
    usual = GatewayOptions()
    return GatewayOptions(
        weight=gateway.integer("weight", usual.weight, **bounds.WEIGHT),
        trusted=gateway.boolean("trusted", usual.trusted),
        ringing_seconds=gateway.optional_number("ringing_seconds", **bounds.WAIT_SECONDS),
        total_seconds=gateway.optional_number("total_seconds", **bounds.WAIT_SECONDS),
        failover=_few(gateway, "failover", words.failover, MOST_FAILOVERS, usual.failover),
        keepalive_seconds=gateway.optional_number("keepalive_seconds", **bounds.KEEPALIVE_SECONDS),
        cooldown_seconds=gateway.number(
            "cooldown_seconds", usual.cooldown_seconds, **bounds.COOLDOWN_SECONDS
        ),
        cooldown_after=gateway.integer("cooldown_after", usual.cooldown_after, **bounds.COOLDOWN_AFTER),
        concurrent_calls=gateway.optional_integer("concurrent_calls", **bounds.CONCURRENT_CALLS),
        calls_per_second=gateway.optional_number("calls_per_second", **bounds.CALLS_PER_SECOND),
        country=gateway.fitting("country", words.country, None),
        strip_prefix=gateway.fitting("strip_prefix", words.digits_in_front, usual.strip_prefix),
        add_prefix=gateway.fitting("add_prefix", words.digits_in_front, usual.add_prefix),
        caller_id_format=gateway.choice("caller_id_format", usual.caller_id_format),
        headers=HeaderRules(
            remove=_few(gateway, "remove_headers", header_name),
            replace=_few(gateway, "replace_headers", header_field),
            add=_few(gateway, "add_headers", header_field),
        ),
        register=gateway.boolean("register", usual.register),
        register_seconds=gateway.integer(
            "register_seconds", usual.register_seconds, **bounds.REGISTER_SECONDS
        ),
        register_user=gateway.fitting("register_user", words.username, None),
        register_domain=gateway.fitting("register_domain", words.host, None),
        rates=_rates(gateway, folder),
    )


def option_faults(gateway: Gateway) -> Iterator[tuple[str | None, Unfit]]:
    """What is wrong with options that are right one by one; with the field, where one decides."""
    options = gateway.options
    if options.register and gateway.username is None:
        yield (
            "register",
            Unfit("A registration needs a user name and a password.", "Add username and password."),
        )
    if gateway.number_format is NumberFormat.NATIONAL and options.country is None:
        yield (
            "number_format",
            Unfit("Numbers in national format are those of a country.", 'Add country = "NL".'),
        )
    ringing, total = options.ringing_seconds, options.total_seconds
    if ringing is not None and total is not None and ringing > total:
        yield (
            "ringing_seconds",
            Unfit("It may ring later than it has to be answered.", "Make total_seconds the longer one."),
        )


def _few(
    gateway: Section,
    key: str,
    convert: Callable[[str], T],
    most: int = MOST_RULES,
    default: tuple[T, ...] = (),
) -> tuple[T, ...]:
    found = gateway.each(key, convert, default)
    if len(found) > most:
        gateway.fault(key, f"There are {len(found)} entries.", f"Use at most {most}.")
    return found


def _rates(gateway: Section, folder: Path | None) -> RateTable:
    name = gateway.text("rates_file")
    if not name:
        return NO_RATES
    if folder is None:
        gateway.fault("rates_file", "No file can be named here.", "Send the rates themselves.")
        return NO_RATES
    path = folder / name
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_RATES + 1)
        text = content.decode()
    except OSError as fault:
        gateway.fault(
            "rates_file", f"{path} cannot be read: {fault.strerror}.", "Correct the path or its permissions."
        )
        return NO_RATES
    except UnicodeDecodeError:
        gateway.fault("rates_file", f"{path} is not UTF-8.", "Save it as UTF-8.")
        return NO_RATES
    if len(content) > _LARGEST_RATES:
        gateway.fault("rates_file", f"{path} is larger than {_LARGEST_RATES} bytes.", "Use a smaller file.")
        return NO_RATES
    try:
        return read_rates(text)
    except BadLine as bad:
        gateway.fault_in(str(path), bad.line, bad.message, bad.remedy)
        return NO_RATES
