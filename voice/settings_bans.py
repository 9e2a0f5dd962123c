"""Reads ``[node.bans]``: how fast strangers may send, when they are banned, and for how long."""

from __future__ import annotations

from sip_config.reading import Section
from voice.settings import BanSettings

_A_YEAR = 31_536_000
_MANY = 1_000_000


def read_bans(section: Section) -> BanSettings:
    usual = BanSettings()
    settings = BanSettings(
        enabled=section.boolean("enabled", usual.enabled),
        include_named=section.boolean("include_named", usual.include_named),
        first_seconds=section.number("first_seconds", usual.first_seconds, least=1, most=_A_YEAR),
        longest_seconds=section.number("longest_seconds", usual.longest_seconds, least=1, most=_A_YEAR),
        unknown_domains=section.integer("unknown_domains", usual.unknown_domains, least=1, most=_MANY),
        wrong_users=section.integer("wrong_users", usual.wrong_users, least=1, most=64),
        wrong_passwords=section.integer("wrong_passwords", usual.wrong_passwords, least=1, most=_MANY),
        flood_requests=section.integer("flood_requests", usual.flood_requests, least=1, most=_MANY),
        requests_per_second=section.number(
            "requests_per_second", usual.requests_per_second, least=0.1, most=_MANY
        ),
        request_burst=section.integer("request_burst", usual.request_burst, least=1, most=_MANY),
        domain_requests_per_second=section.number(
            "domain_requests_per_second", usual.domain_requests_per_second, least=0.1, most=_MANY
        ),
        domain_request_burst=section.integer(
            "domain_request_burst", usual.domain_request_burst, least=1, most=_MANY
        ),
        nftables=section.boolean("nftables", usual.nftables),
    )
    if settings.longest_seconds < settings.first_seconds:
        section.fault(
            "longest_seconds",
            f"The longest ban ({settings.longest_seconds:g} s) is shorter than the first "
            f"({settings.first_seconds:g} s).",
            "Raise longest_seconds or lower first_seconds.",
        )
    section.reject_unknown()
    return settings
