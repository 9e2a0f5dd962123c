"""``trunkflow keys``: access keys of the API; with the first of them an operator begins."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer

from sip_config.faults import Unfit
from voice.access_scopes import SCOPES, read_scope
from voice.cli.output import print_json, print_line, print_table, rfc3339
from voice.cli.session import AccountOption, CommandFailed, ConfigOption, JsonOption, settings_of
from voice.store.access_keys import AccessKey, AccessKeys
from voice.store.database import Database
from voice.store.listing import Accounts

T = TypeVar("T")

DAY: Final = 86_400.0
_ONCE: Final = "This is the only time that the key is shown."

keys_app = typer.Typer(
    help="Make, list, rotate and revoke access keys of the API.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The key's id, or how it begins.")]


@keys_app.command()
def create(
    config: ConfigOption = None,
    account: Annotated[
        str | None, typer.Option("--account", "-a", metavar="NAME", help="For this account.")
    ] = None,
    operator: Annotated[
        bool, typer.Option("--operator", help="For an operator: sees every account.")
    ] = False,
    test: Annotated[bool, typer.Option("--test", help="Calls are simulated, nothing is changed.")] = False,
    scope: Annotated[
        list[str] | None,
        typer.Option(metavar="SCOPE", help="What it may do, such as calls or calls:read. Default: all."),
    ] = None,
    label: Annotated[str, typer.Option(help="What people know it by.")] = "",
    days: Annotated[
        float | None, typer.Option(min=0.001, help="Expires after so many. Default: never.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make an access key, and show it this once."""
    if operator == (account is not None):
        raise CommandFailed("Say whose key it is to be: --account NAME, or --operator.")
    scopes = [_scope(one) for one in scope or ["*"]]
    if len(label) > 100 or not label.isprintable():
        raise CommandFailed("The label is longer than 100 characters or cannot be printed. Choose another.")

    async def make(keys: AccessKeys, accounts: Accounts) -> tuple[str, AccessKey]:
        owner = None
        if account is not None and (owner := await accounts.id_of(account)) is None:
            raise CommandFailed(f"There is no account {account}. Apply a file that declares it.")
        expires = None if days is None else time.time() + days * DAY
        return await keys.create(owner, test=test, scopes=scopes, label=label, expires_at=expires)

    _print_new(*_with_keys(config, make), as_json)


@keys_app.command("list")
def list_keys(
    config: ConfigOption = None, account: AccountOption = None, as_json: JsonOption = False
) -> None:
    """List access keys; the keys themselves are not known any more."""

    async def read(keys: AccessKeys, accounts: Accounts) -> tuple[AccessKey, ...]:
        if account is None:
            return await keys.list(everybody=True)
        owner = await accounts.id_of(account)
        if owner is None:
            raise CommandFailed(f"There is no account {account}.")
        return await keys.list(owner)

    found = _with_keys(config, read, make=False)
    if as_json:
        print_json([_described(key) for key in found])
        return
    now = time.time()
    rows = [
        (
            key.id,
            f"{key.shown}…",
            "(operator)" if key.account_id is None else key.account_id,
            key.label,
            sorted(key.scopes),
            rfc3339(key.created_at),
            _state(key, now),
        )
        for key in found
    ]
    headings = ("id", "key", "account", "label", "scopes", "created", "state")
    print_table(headings, rows, empty="There are no access keys. Make one with trunkflow keys create.")


@keys_app.command()
def rotate(
    key_id: IdArgument,
    config: ConfigOption = None,
    overlap: Annotated[
        float, typer.Option(min=0, max=720, metavar="HOURS", help="How long the old key still works.")
    ] = 24,
    as_json: JsonOption = False,
) -> None:
    """Make a key with the rights of another, which ends after the overlap."""

    async def make(keys: AccessKeys, _: Accounts) -> tuple[str, AccessKey]:
        old = await _found(keys, key_id)
        made = await keys.rotate(old.id, overlap_seconds=overlap * 3_600)
        if made is None:
            raise CommandFailed(f"Key {old.id} is revoked or expired. Make a new one with keys create.")
        return made

    _print_new(*_with_keys(config, make, make=False), as_json)


@keys_app.command()
def revoke(key_id: IdArgument, config: ConfigOption = None) -> None:
    """End a key; a running API takes it for some seconds at most."""

    async def end(keys: AccessKeys, _: Accounts) -> str:
        old = await _found(keys, key_id)
        if not await keys.revoke(old.id):
            raise CommandFailed(f"Key {old.id} was revoked before.")
        return old.id

    print_line(f"Key {_with_keys(config, end, make=False)} is revoked.")


def _with_keys(
    config: Path | None, use: Callable[[AccessKeys, Accounts], Awaitable[T]], *, make: bool = True
) -> T:
    """`make`: a database that is not there yet is made, so that a key can be there before the first start."""
    settings = settings_of(config)

    async def run() -> T:
        async with await Database.of(settings, make=make) as database:
            return await use(AccessKeys(database, time.time), Accounts(database))

    return asyncio.run(run())


async def _found(keys: AccessKeys, beginning: str) -> AccessKey:
    found = [key for key in await keys.list(everybody=True) if key.id.startswith(beginning)]
    if len(found) != 1:
        what = "no access key" if not found else f"{len(found)} access keys"
        raise CommandFailed(f"There is {what} whose id begins with {beginning}. See trunkflow keys list.")
    return found[0]


def _scope(text: str) -> str:
    try:
        return read_scope(text)
    except Unfit as unfit:
        raise CommandFailed(f"{unfit} All there are: *, {', '.join(SCOPES)}; with :read, GET only.") from None


def _print_new(key: str, made: AccessKey, as_json: bool) -> None:
    if as_json:
        print_json({**_described(made), "key": key})
        return
    print_line(key)
    # Beside the output, so that KEY=$(trunkflow keys create ...) is the key.
    sys.stderr.write(f"Id {made.id}. {_ONCE}\n")


def _described(key: AccessKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "account_id": key.account_id,
        "label": key.label,
        "test": key.test,
        "scopes": sorted(key.scopes),
        "shown": key.shown,
        "created_at": rfc3339(key.created_at),
        "expires_at": rfc3339(key.expires_at),
        "revoked_at": rfc3339(key.revoked_at),
    }


def _state(key: AccessKey, now: float) -> str:
    if key.revoked_at is not None:
        return f"revoked {rfc3339(key.revoked_at)}"
    if key.expires_at is None:
        return "good"
    return f"{'until' if key.is_good(now) else 'expired'} {rfc3339(key.expires_at)}"
