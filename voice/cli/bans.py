"""``trunkflow bans``: which sources are kept out, letting them in, and keeping others out."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from sip_config.faults import Unfit
from voice.bans import LONGEST_SECONDS, MEANING, Ban, read_ban_key
from voice.bells import Bell
from voice.cli.output import print_json, print_line, print_table, rfc3339
from voice.cli.session import CommandFailed, ConfigOption, JsonOption, LimitOption, settings_of, with_database
from voice.store.bans import BanStore
from voice.store.database import Database

T = TypeVar("T")

bans_app = typer.Typer(
    help="List sources that are kept out; release one; ban one.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

AddressArgument = Annotated[
    str, typer.Argument(metavar="ADDRESS", help="An IP address; of IPv6 it stands for its /64.")
]


@bans_app.command("list")
def list_bans(config: ConfigOption = None, limit: LimitOption = 50, as_json: JsonOption = False) -> None:
    """List the sources that are banned now, newest first, each with the reason."""

    async def read(store: BanStore) -> tuple[tuple[Ban, ...], int]:
        return await store.in_force(limit=limit)

    found, total = _with_bans(config, read)
    if as_json:
        print_json([_described(ban) for ban in found])
        return
    rows = [
        (
            ban.address,
            rfc3339(ban.since),
            rfc3339(ban.until),
            "all" if ban.proven else "udp",
            ban.level,
            MEANING[ban.reason],
        )
        for ban in found
    ]
    print_table(
        ("address", "since", "until", "transports", "level", "because"), rows, empty="Nobody is banned."
    )
    if total > len(found):
        print_line(f"{total - len(found)} more; --limit shows them.")


@bans_app.command()
def release(address: AddressArgument, config: ConfigOption = None) -> None:
    """Let a source in again; running nodes do so within a second."""
    key = _key(address)

    async def lift(store: BanStore) -> bool:
        return await store.release(key)

    if not _with_bans(config, lift):
        raise CommandFailed(f"{key} is not banned. See trunkflow bans list.")
    print_line(f"{key} is released.")


@bans_app.command()
def add(
    address: AddressArgument,
    config: ConfigOption = None,
    seconds: Annotated[
        float, typer.Option(min=1, max=LONGEST_SECONDS, metavar="SECONDS", help="How long.")
    ] = 3_600,
) -> None:
    """Ban a source, also one that an access control list names."""
    key = _key(address)

    async def impose(store: BanStore) -> Ban:
        return await store.impose(key, seconds)

    ban = _with_bans(config, impose)
    print_line(f"{ban.address} is banned until {rfc3339(ban.until)}.")


def _with_bans(config: Path | None, use: Callable[[BanStore], Awaitable[T]]) -> T:
    async def run(database: Database) -> T:
        return await use(BanStore(database, Bell(), time.time))

    return with_database(settings_of(config), run)


def _key(address: str) -> str:
    try:
        return read_ban_key(address)
    except Unfit as unfit:
        raise CommandFailed(str(unfit)) from None


def _described(ban: Ban) -> dict[str, Any]:
    return {**asdict(ban), "since": rfc3339(ban.since), "until": rfc3339(ban.until)}
