"""The limits that stand in a call's way, each with its cause, the rule, and what to change."""

from __future__ import annotations

from dataclasses import dataclass

from sip_config.destinations import denied
from voice.edge.core.ledger import Used
from voice.edge.core.live_calls import Subject

_MILLIONTHS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OverLimit:
    """The limit that stands in the way."""

    cause: str
    rule: str
    remedy: str
    status: int = 503
    """The caller's PBX then tries its next trunk, which a 486 (a busy callee, and nobody is) would keep it
    from.  Another status where no other trunk should be tried."""
    retry_after: int | None = None
    """Seconds; None when nobody can know."""


def full(subject: Subject, most: int) -> OverLimit:
    return OverLimit(
        cause=_cause(subject, "concurrent-calls"),
        rule=f"{subject}: {most} calls at a time",
        remedy=f"{_named(subject)} has as many calls as it may ({most}): "
        "wait until one ends, or raise its concurrent calls.",
    )


def too_fast(subject: Subject, rate: float, wait: float) -> OverLimit:
    return OverLimit(
        cause=_cause(subject, "calls-per-second"),
        rule=f"{subject}: {rate:g} calls per second",
        remedy=f"{_named(subject)} began more than {rate:g} calls per second: "
        "let the PBX place them more slowly, or raise its calls per second.",
        retry_after=max(1, round(wait)),
    )


def destination_denied(subject: Subject, number: str) -> OverLimit | None:
    """None: the rules of this subject let it be called."""
    found = denied(subject.limits, number)
    if found is None:
        return None
    return OverLimit(
        cause=_cause(subject, found.cause),
        rule=f"{subject}: {found.rule}",
        remedy=f"{_named(subject)} may not call {found.what}: {found.remedy} in its limits.",
        status=403,
    )


def too_many_new(subject: Subject, name: str, most: int, *, country: bool) -> OverLimit:
    word = "countries" if country else "destinations"
    return OverLimit(
        cause=_cause(subject, "new-countries" if country else "new-destinations"),
        rule=f"{subject}: {most} new {word} an hour",
        remedy=f"{_named(subject)} called {most} {word} within an hour that its account had never called "
        f"before, and {name} would be one more: see whether somebody has taken over its PBX; "
        f"if all is well, call it later, or raise its new {word} per hour.",
        status=403,
    )


def day_is_over(subject: Subject, used: Used, more: Used) -> OverLimit | None:
    """`more`: what the call takes at least."""
    minutes, spend = subject.limits.daily_minutes, subject.limits.daily_spend
    if minutes is not None and used.seconds + more.seconds > minutes * 60:
        return OverLimit(
            cause=_cause(subject, "daily-minutes"),
            rule=f"{subject}: {minutes} minutes a day",
            remedy=f"{_named(subject)} has talked for its {minutes} minutes of this day: "
            "wait for the next day in UTC, or raise its daily minutes.",
        )
    if spend is not None and used.spend + more.spend > spend + 0.5:
        return OverLimit(
            cause=_cause(subject, "daily-spend"),
            rule=f"{subject}: {_money(spend)} a day",
            remedy=f"{_named(subject)} has spent its {_money(spend)} of this day, or has less left than a "
            "minute of this call costs: wait for the next day in UTC, or raise its daily spend.",
        )
    return None


def no_rate(account: Subject, destination: str) -> OverLimit:
    return OverLimit(
        cause="no-rate",
        rule=f"{account}: prepaid, no rate",
        remedy=f"There is no rate for {destination[:64]}, so the prepaid {account} cannot call it: "
        "ask the operator for a rate.",
        status=402,
    )


def balance_spent(account: Subject, left: float, per_minute: int, currency: str) -> OverLimit:
    return OverLimit(
        cause="balance",
        rule=f"{account}: prepaid balance",
        remedy=f"{_named(account)} has {_money(max(0.0, left))} {currency} left for further calls, and the "
        f"first minute of this one takes {_money(per_minute)}: top the account up.",
        status=402,
    )


def gateway_by_uri(gateway: str, account: str, uri: str) -> OverLimit:
    return OverLimit(
        cause="gateway-by-uri",
        rule=f"{account}: gateway {gateway} by SIP URI",
        remedy=f"{uri[:80]} leads to gateway {gateway}, which is not the account's own: "
        "dial the number itself.",
        status=403,
    )


def _cause(subject: Subject, what: str) -> str:
    return f"{subject.kind.lower().replace(' ', '-')}-{what}"


def _named(subject: Subject) -> str:
    """At the beginning of a sentence."""
    text = str(subject)
    return text[0].upper() + text[1:]


def _money(millionths: float) -> str:
    text = f"{millionths / _MILLIONTHS:.6f}".rstrip("0")
    whole, _, cents = text.partition(".")
    return f"{whole}.{cents:0<2}"
