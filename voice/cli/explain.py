"""``trunkflow explain``: why a call was refused or let in, gate by gate, and what to change."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer

from sip_config.networks import as_sockets_say, packed
from voice.bans import MEANING, Ban, ban_key
from voice.bells import Bell
from voice.cli.output import print_json, print_line, print_table, rfc3339
from voice.cli.session import (
    CommandFailed,
    ConfigOption,
    JsonOption,
    configuration_of,
    settings_of,
    with_database,
)
from voice.explain import GateVerdict, SourceVerdict, gates_of_call, gates_of_refusal, source_now
from voice.settings import Settings
from voice.store.bans import BanStore
from voice.store.config import ConfigStore
from voice.store.database import Database
from voice.store.queries import CallRow, RefusalRow, find_calls, list_calls, list_refusals

_SHOWN = 10
"""Calls and refusals that are explained at a time, the newest."""
_DOMAINS_SHOWN = 20
_CALL_TIMES = ("started_at", "answered_at", "updated_at", "ended_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything that is known of a call or a source."""

    source: SourceVerdict | None
    ban: Ban | None
    """Of the source, where there is one."""
    calls: tuple[CallRow, ...]
    refusals: tuple[RefusalRow, ...]


def explain(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="CALL-ID|SOURCE", help="Id of a call, its SIP Call-ID, or the IP address it came from."
        ),
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say of a call, or of all that came from an address, what each gate decided and what to change."""
    settings = settings_of(config)
    wanted = _address(subject.strip())
    findings = with_database(settings, lambda database: _findings(database, settings, wanted))
    if findings.source is None and not findings.calls and not findings.refusals:
        raise CommandFailed(
            f"Nothing is on record about {wanted!r}. Give the id of a call (trunkflow calls), a SIP Call-ID, "
            f"or an IP address. Refusals are kept for a limited time.{_elsewhere(settings)}"
        )
    if as_json:
        print_json(_as_json(findings))
        return
    if findings.source is not None:
        _print_source(wanted, findings.source, findings.ban)
    for call in findings.calls:
        _print_call(call)
    for refusal in findings.refusals:
        _print_refusal(refusal)


async def _findings(database: Database, settings: Settings, wanted: str) -> Findings:
    if packed(wanted) is None:
        calls = await find_calls(database, wanted.lower(), limit=_SHOWN) if len(wanted) >= 4 else ()
        calls = calls or await list_calls(database, limit=_SHOWN, sip_call_id=wanted)
        sip_call_ids = {wanted} | {call.sip_call_id for call in calls if call.sip_call_id}
        refusals: tuple[RefusalRow, ...] = ()
        for sip_call_id in sorted(sip_call_ids):
            refusals += await list_refusals(database, limit=_SHOWN, sip_call_id=sip_call_id)
        return Findings(source=None, ban=None, calls=calls, refusals=refusals)
    store = ConfigStore(database, media_folder=settings.media_directory)
    directory = await store.directory(base_domain=settings.base_domain, pop=settings.pop)
    return Findings(
        source=source_now(directory, wanted, most=_DOMAINS_SHOWN),
        ban=await BanStore(database, Bell(), time.time).of(ban_key(wanted)),
        calls=await list_calls(database, limit=_SHOWN, source=wanted),
        refusals=await list_refusals(database, limit=_SHOWN, source=wanted),
    )


def _elsewhere(settings: Settings) -> str:
    """Where else it may be on record."""
    pops = configuration_of(settings).pops
    others = [pop.name for pop in pops if pop.address is not None and pop.name != settings.pop]
    if not others:
        return ""
    names = " or ".join(others)
    return (
        f" A call is on record where it is handled: ask at POP {names} as well, if its database is another."
    )


def _address(subject: str) -> str:
    """A source as records write it, without the port that they put behind it; anything else as it is."""
    for text in (subject, subject.rpartition(":")[0].strip("[]") if "." in subject or "]" in subject else ""):
        if packed(text) is not None:
            return as_sockets_say(text)
    return subject


def _print_source(address: str, source: SourceVerdict, ban: Ban | None) -> None:
    print_line(f"A call from {address} now", style="bold")
    if ban is not None:
        kept_out = "It is banned" if ban.proven else "Its datagrams are banned"
        spared = "" if ban.by_operator else " Addresses that the configuration names get in all the same."
        if not ban.proven:
            spared += " So do those that log in by TCP or TLS."
        print_line(
            f"{kept_out} until {rfc3339(ban.until)}, because {MEANING[ban.reason]}: "
            f"trunkflow bans release {address} lets it in again.{spared}"
        )
    print_line(f"Before it is read: {source.verdict}, {source.entry}.")
    if source.gateway is not None:
        print_line(f"It is the address of gateway {source.gateway}: its calls to numbers are taken.")
    if source.pop is not None:
        print_line(f"It is the address of POP {source.pop}: the calls that it relays are taken.")
    rows = [(one.domain, one.verdict, one.entry, one.remedy) for one in source.domains]
    print_table(("domain", "verdict", "entry", "what to change"), rows, empty="There are no domains.")
    if source.more:
        print_line(f"There are {source.more} more domains.")
    print_line()


def _print_call(call: CallRow) -> None:
    print_line(
        f"Call {call.id}, {rfc3339(call.started_at)}, from {call.source_address or 'the API'}", style="bold"
    )
    if call.source_address is not None:
        _print_gates(gates_of_call(asdict(call)))
    print_line(f"It was let in; status {call.status}. {call.end_reason or ''}".rstrip())
    print_line(f"trunkflow calls show {call.id} says what became of it.")
    print_line()


def _print_refusal(refusal: RefusalRow) -> None:
    request = f"{refusal.method} {refusal.request_uri}".strip() or "A packet"
    times = f", {refusal.count} times" if refusal.count > 1 else ""
    print_line(f"{request}, {rfc3339(refusal.at)}, from {refusal.source_address}{times}", style="bold")
    _print_gates(gates_of_refusal(asdict(refusal)))
    answer = f"answered {refusal.sip_status}" if refusal.sip_status else "not answered"
    print_line(f"Refused ({refusal.cause}), {answer}. {refusal.remedy}")
    print_line()


def _print_gates(gates: tuple[GateVerdict, ...]) -> None:
    print_table(("gate", "verdict", "entry"), [(one.gate, one.verdict, one.entry) for one in gates], empty="")


def _as_json(findings: Findings) -> dict[str, Any]:
    calls = [
        {
            **asdict(call),
            **{name: rfc3339(getattr(call, name)) for name in _CALL_TIMES},
            "gates": [asdict(one) for one in gates_of_call(asdict(call))] if call.source_address else [],
        }
        for call in findings.calls
    ]
    refusals = [
        {
            **asdict(refusal),
            "at": rfc3339(refusal.at),
            "gates": [asdict(one) for one in gates_of_refusal(asdict(refusal))],
        }
        for refusal in findings.refusals
    ]
    source = None if findings.source is None else asdict(findings.source)
    ban = None
    if findings.ban is not None:
        ban = {
            **asdict(findings.ban),
            "since": rfc3339(findings.ban.since),
            "until": rfc3339(findings.ban.until),
        }
    return {"source": source, "ban": ban, "calls": calls, "refusals": refusals}
