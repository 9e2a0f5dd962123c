"""``trunkflow calls``: the calls on record, and one of them as a timeline."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Final

import typer

from voice.cli.output import print_json, print_table, rfc3339
from voice.cli.session import (
    AccountOption,
    CommandFailed,
    ConfigOption,
    JsonOption,
    LimitOption,
    settings_of,
    with_database,
)
from voice.cli.timeline import print_history
from voice.records import CallStatus
from voice.store.database import Database
from voice.store.queries import CallHistory, CallRow, call_history, find_calls, list_calls

_SHORTEST_ID: Final = 4
_SOME: Final = 5

calls_app = typer.Typer(
    help="List calls, newest first; `calls show ID` prints one as a timeline.",
    invoke_without_command=True,
    rich_markup_mode=None,
)


@calls_app.callback()
def calls(
    context: typer.Context,
    config: ConfigOption = None,
    account: AccountOption = None,
    status: Annotated[CallStatus | None, typer.Option(help="Only calls that are, or ended, so.")] = None,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    if context.invoked_subcommand is not None:
        context.obj = config
        return
    found = with_database(
        settings_of(config),
        lambda database: list_calls(
            database, limit=limit, account=account, status=status.value if status else None
        ),
    )
    if as_json:
        print_json([_with_times(asdict(call)) for call in found])
        return
    rows = [
        (
            call.id,
            rfc3339(call.started_at),
            call.account or call.account_id,
            call.domain,
            call.source,
            call.destination,
            call.status,
            _duration(call),
            call.end_reason,
        )
        for call in found
    ]
    columns = ("id", "begun", "account", "domain", "source", "destination", "status", "length", "end")
    print_table(columns, rows, empty="There are no calls on record.")


@calls_app.command()
def show(
    context: typer.Context,
    call: Annotated[str, typer.Argument(metavar="ID", help="Id of the call, or how it begins.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a call as a timeline: legs, steps, recordings, media statistics, how it ended."""
    history = with_database(
        settings_of(config or context.obj), lambda database: _history(database, call.strip().lower())
    )
    if as_json:
        print_json(
            {
                **_with_times(asdict(history.call)),
                "legs": [_with_times(asdict(leg)) for leg in history.legs],
                "steps": [_with_times(asdict(step)) for step in history.steps],
                "recordings": [_with_times(asdict(recording)) for recording in history.recordings],
                "events": [_with_times(asdict(event)) for event in history.events],
            }
        )
        return
    print_history(history)


async def _history(database: Database, wanted: str) -> CallHistory:
    if len(wanted) < _SHORTEST_ID:
        raise CommandFailed(f"{wanted!r} is too short. Give at least {_SHORTEST_ID} characters of the id.")
    found = await find_calls(database, wanted, limit=_SOME)
    exact = [call for call in found if call.id == wanted]
    if len(exact or found) > 1:
        ids = ", ".join(call.id for call in found)
        raise CommandFailed(f"More than one call begins with {wanted}: {ids}. Give more of the id.")
    history = await call_history(database, found[0].id) if found else None
    if history is None:
        raise CommandFailed(f"There is no call {wanted}. See trunkflow calls for those on record.")
    return history


def _duration(call: CallRow) -> str:
    if call.started_at is None or call.ended_at is None:
        return ""
    return f"{call.ended_at - call.started_at:.1f} s"


def _with_times(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: rfc3339(value) if key == "at" or key.endswith("_at") else value for key, value in row.items()
    }
