"""``trunkflow gauntlet``: attacks a SIP server and shows a table of what it stood."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from typing import Annotated, Final

import typer

from voice.cli.output import print_json, print_line, print_table, shown
from voice.cli.session import CommandFailed
from voice.gauntlet.aim import CLAIMS, TRANSPORTS, Aim, BadAim, located
from voice.gauntlet.attack import Attack, Result, Verdict
from voice.gauntlet.runner import ATTACKS, FAMILIES, run

_PROGRESS: Final = 79
_COLUMNS: Final = ("family", "attack", "expected", "came", "verdict", "reason")


def gauntlet(
    target: Annotated[str, typer.Argument(metavar="HOST[:PORT]", help="The SIP server to attack.")],
    transport: Annotated[str, typer.Option(metavar="|".join(TRANSPORTS), help="How to reach it.")] = "udp",
    domain: Annotated[
        str | None, typer.Option(help="What stands behind the @ of the URIs that are asked for; else HOST.")
    ] = None,
    number: Annotated[
        str | None, typer.Option(help="A number that may be called: calls to it are placed and ended.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="User name of an account that may call.")] = None,
    password: Annotated[
        str | None,
        typer.Option(help="Its password.", envvar="GAUNTLET_PASSWORD", show_envvar=True),
    ] = None,
    claim: Annotated[
        list[str] | None,
        typer.Option(
            help="An address that the server lets in, for headers to claim. May be said repeatedly."
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Local address to attack from; on loopback else a new one each time.")
    ] = None,
    probe_source: Annotated[
        str | None,
        typer.Option(help="Local address of the good caller: another one, if attackers are banned."),
    ] = None,
    patience: Annotated[
        float, typer.Option(min=0.2, max=30, help="Seconds that an answer is waited for.")
    ] = 2.0,
    flood_rate: Annotated[
        int, typer.Option(min=10, max=20_000, help="Messages per second of a flood.")
    ] = 300,
    flood_seconds: Annotated[float, typer.Option(min=0.5, max=60, help="How long a flood lasts.")] = 2.0,
    at_most: Annotated[
        float, typer.Option(min=1, help="Seconds after which no further attack begins.")
    ] = 3_600.0,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="FAMILY", help=f"Only this family of attacks: {', '.join(FAMILIES)}."),
    ] = None,
    permitted: Annotated[
        bool,
        typer.Option("--i-may-attack-this", help="The target is mine although it has a public address."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Attack a SIP server, and show what it stood and what not.

    Takes some minutes; the table comes at the end. Without --number no calls are placed, without --user
    and --password no logins are tried, and what needs them is skipped.

    Exit status: 0 nothing failed; 1 something failed, nothing could be shown, or the server could not be
    attacked.
    """
    if transport not in TRANSPORTS:
        raise CommandFailed(f"{shown(transport)} is no transport. Say one of {', '.join(TRANSPORTS)}.")
    if (user is None) != (password is None):
        raise CommandFailed("A login needs both --user and --password.")
    attacks = _chosen(only or ())
    try:
        named, host, port = located(target, transport, permitted=permitted)
        aim = Aim(
            host=host,
            port=port,
            transport=transport.upper(),
            domain=domain or named,
            number=number,
            claims=tuple(claim) if claim else CLAIMS,
            user=user,
            password=password,
            source=source,
            probe_source=probe_source,
            patience=patience,
            flood_rate=flood_rate,
            flood_seconds=flood_seconds,
            at_most=at_most,
        )
        results = _attacked(aim, attacks)
    except BadAim as fault:
        raise CommandFailed(str(fault)) from None
    counts = Counter(result.verdict for result in results)
    if as_json:
        print_json([_json(result) for result in results])
    else:
        print_table(_COLUMNS, map(_row, results), empty="No attack was made.")
        print_line(", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict) + ".")
    if counts[Verdict.FAIL] or not counts[Verdict.PASS] or len(results) < len(attacks):
        raise typer.Exit(1)


def _attacked(aim: Aim, attacks: list[Attack]) -> list[Result]:
    """What came of the attacks; when somebody interrupts them, of those that were made."""
    results: list[Result] = []

    def heard(result: Result) -> None:
        results.append(result)
        if sys.stderr.isatty():
            line = f"{len(results)} of {len(attacks)}: {result.verdict} {result.family}, {result.attack}"
            # The line is written over by the next one.
            sys.stderr.write(f"\r\033[K{line[:_PROGRESS]}" + ("\n" if len(results) == len(attacks) else ""))
            sys.stderr.flush()

    try:
        asyncio.run(run(aim, attacks, heard))
    except KeyboardInterrupt:
        sys.stderr.write(f"\nInterrupted: {len(attacks) - len(results)} attacks were not made.\n")
    return results


def _chosen(only: list[str] | tuple[()]) -> list[Attack]:
    for family in only:
        if family not in FAMILIES:
            raise CommandFailed(f"{shown(family)} is no family of attacks: {', '.join(FAMILIES)}.")
    return [attack for attack in ATTACKS if not only or attack.family in only]


def _row(result: Result) -> tuple[object, ...]:
    return (result.family, result.attack, result.expected, result.came, result.verdict, result.reason)


def _json(result: Result) -> dict[str, object]:
    return {
        "family": result.family,
        "attack": result.attack,
        "expected": result.expected,
        "came": result.came,
        "verdict": str(result.verdict),
        "reason": result.reason or None,
        "seconds": round(result.seconds, 3),
    }
