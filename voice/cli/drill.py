"""``trunkflow drill``: rehearses a loss, and shows what it would cost."""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import asdict, replace
from typing import Annotated, Final

import typer

from sip_config.directory import DEFAULT_POPS
from sip_config.faults import meant
from sip_config.model import Pop
from voice.cli.output import print_json, print_line, print_table
from voice.cli.session import CommandFailed, ConfigOption, JsonOption, configuration_of, settings_of
from voice.drill.laboratory import MOST_POPS, laboratory
from voice.drill.pop_loss import DrillFailed, Plan, rehearse
from voice.drill.report import ALLOWED_SECONDS, Report, report_of
from voice.edge.settings import PopRelay
from voice.node_settings import pop_relay

drill_app = typer.Typer(help="Rehearse a loss.", no_args_is_help=True)

_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(s|m)?")
_LEAST_SECONDS: Final = 2.0
_KEY: Final = b"a key of 32 bytes for this drill"


@drill_app.callback()
def drill() -> None:
    """Rehearse a loss."""


@drill_app.command("pop")
def lose_pop(
    name: Annotated[str, typer.Argument(metavar="POP", help="The point of presence that is lost.")],
    blackhole: Annotated[str, typer.Option(metavar="TIME", help="For how long, such as 60s or 2m.")] = "60s",
    config: ConfigOption = None,
    interval: Annotated[
        float, typer.Option(min=0.02, max=60, help="Seconds between two rounds of calls.")
    ] = 0.5,
    as_json: JsonOption = False,
) -> None:
    """Lose a POP: how long until calls go elsewhere, which are lost, and who tries again wrongly.

    The platform's POPs, regions and relay settings are set up on loopback addresses of this machine, an edge
    for each, with calls between them; the running platform is not touched.  Exit status 1: it would not do
    what it promises.
    """
    settings = settings_of(config)
    pops = configuration_of(settings).pops or DEFAULT_POPS
    known = [pop.name for pop in pops]
    if name.lower() not in known:
        raise CommandFailed(f"There is no POP {name}. {meant(name, known, 'POPs')}")
    if len(pops) > MOST_POPS:
        raise CommandFailed(f"A drill has room for {MOST_POPS} POPs, not {len(pops)}.")
    plan = Plan(
        lost=pops[known.index(name.lower())],
        pops=tuple(pops),
        base_domain=settings.base_domain,
        blackhole_seconds=_seconds(blackhole),
        interval=interval,
    )
    # Nothing is between the edges of the drill that TLS would keep away.
    relay = replace(pop_relay(settings.relay, otherwise=_KEY), transport="UDP")
    try:
        report = asyncio.run(_held(plan, pops, relay, quiet=as_json))
    except DrillFailed as failed:
        raise CommandFailed(str(failed)) from None
    except OSError as fault:
        raise CommandFailed(f"The drill needs addresses of 127.0.77.0/24: {fault}.") from None
    if as_json:
        print_json({**asdict(report), "good": report.good})
    else:
        _show(report)
    if not report.good:
        raise typer.Exit(1)


async def _held(plan: Plan, pops: tuple[Pop, ...], relay: PopRelay, *, quiet: bool) -> Report:
    edge_log = logging.getLogger("voice.edge")
    level = edge_log.level
    async with laboratory(plan.base_domain, pops, relay) as wire:
        # Here the loss is news to nobody.
        edge_log.setLevel(logging.ERROR)
        course = await rehearse(plan, wire, (lambda _: None) if quiet else print_line)
    edge_log.setLevel(level)
    return report_of(course, relay.silence_seconds)


def _show(report: Report) -> None:
    rows = [
        ("calls placed", f"{report.calls}, {report.calls_during} of them during the loss"),
        ("answered", f"{report.answered}, and {report.busy} busy as they should be"),
        ("refused by rule", f"{report.refused_by_rule} (bound to a region of which nothing was left)"),
        ("calls lost", len(report.lost)),
        ("wrong retries", len(report.wrong_retries)),
        ("usual time to answer", f"{report.usual_seconds:.3f} s"),
        ("slowest call", f"{report.slowest_seconds:.2f} s ({ALLOWED_SECONDS:g} s are allowed)"),
        ("delayed calls", len(report.delayed)),
        ("time to recover", f"{report.recovered_after:.2f} s after the loss no call waited any more"),
        ("time to return", f"{report.returned_after:.2f} s after its end the POP got calls again"),
        ("standing calls", f"{report.standing_untouched} of {report.standing} ended during the loss"),
        (
            f"through {report.pop}",
            f"{report.standing_resumed} of {report.standing_through_lost} standing ended after its return",
        ),
    ]
    print_table(("what", "result"), rows, empty="")
    for heading, lines in (("lost", report.lost), ("wrong retry", report.wrong_retries)):
        for line in lines[:20]:
            print_line(f"{heading}: {line}")
    print_line("The platform does what it promises." if report.good else "The platform misses its promise.")


def _seconds(text: str) -> float:
    found = _DURATION.fullmatch(text.strip())
    seconds = float(found[1]) * (60 if found[2] == "m" else 1) if found else 0.0
    if not _LEAST_SECONDS <= seconds <= 86_400:
        raise CommandFailed(
            f"{text!r} is no time for a drill. Write 60s or 2m; {_LEAST_SECONDS:g}s at least."
        )
    return seconds
