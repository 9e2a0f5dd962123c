"""``trunkflow dns zone``: the DNS records by which PBXs find the points of presence."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from sip_config.directory import DEFAULT_POPS
from sip_config.faults import Unfit
from sip_config.words import host_name
from sip_config.zone import TCP, TLS, UDP, ZoneOptions, name_server, without_address, zone
from voice.cli.session import CommandFailed, ConfigOption, configuration_of, settings_of

dns_app = typer.Typer(help="DNS of the platform's names.", no_args_is_help=True)


@dns_app.callback()
def dns() -> None:
    """DNS of the platform's names."""


@dns_app.command("zone")
def write_zone(
    servers: Annotated[
        list[str],
        typer.Option(
            "--ns",
            metavar="NAME[=ADDRESS]",
            help="A name server of the zone, with its address if its name is inside the zone; repeatable.",
        ),
    ],
    config: ConfigOption = None,
    contact: Annotated[
        str | None, typer.Option(metavar="MAILBOX", help="Of the zone. Default: hostmaster@ the base domain.")
    ] = None,
    ttl: Annotated[int, typer.Option(min=1, max=604_800, metavar="SECONDS")] = 300,
    serial: Annotated[
        int | None, typer.Option(min=1, max=4_294_967_295, help="Default: the time, in seconds since 1970.")
    ] = None,
    tls_port: Annotated[
        int | None,
        typer.Option(min=1, max=65_535, help="Of the edges. Default: as in [node.relay]."),
    ] = None,
    tls: Annotated[
        bool | None,
        typer.Option("--tls/--no-tls", help="Do the edges take TLS? Default: as this node."),
    ] = None,
) -> None:
    """Write the zone of the base domain: SOA, NS, NAPTR, SRV, A and AAAA for every domain and POP."""
    settings = settings_of(config)
    configuration = configuration_of(settings)
    pops = configuration.pops or DEFAULT_POPS
    with_tls = bool(settings.sip.tls) if tls is None else tls
    try:
        options = ZoneOptions(
            name_servers=tuple(name_server(server) for server in servers),
            serial=int(time.time()) if serial is None else serial,
            contact="hostmaster" if contact is None else _mailbox(contact),
            ttl=ttl,
            services=(UDP, TCP, TLS) if with_tls else (UDP, TCP),
            tls_port=settings.relay.tls_port if tls_port is None else tls_port,
        )
        for line in zone(settings.base_domain, configuration.domains, pops, options):
            sys.stdout.write(f"{line}\n")
    except Unfit as unfit:
        raise CommandFailed(str(unfit)) from None
    missing = without_address(pops)
    if missing:
        sys.stderr.write(f"Without an address, and so not in the zone: {', '.join(missing)}.\n")


def _mailbox(text: str) -> str:
    """``who@example.com`` as DNS writes it (RFC 1035 section 8)."""
    who, at, host = text.partition("@")
    if not at or not who or not who.isascii() or not who.isprintable() or set(who) & set(' "\\;()'):
        raise Unfit(f"{text!r} is no mailbox.", "Write one, such as hostmaster@example.com.")
    return f"{who.replace('.', chr(92) + '.')}.{host_name(host)}."
