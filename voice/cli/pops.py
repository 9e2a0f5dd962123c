"""``trunkflow pops``: the points of presence, and which of them are alive."""

from __future__ import annotations

import time

from sip_config.directory import DEFAULT_POPS
from voice.cli.output import print_json, print_line, print_table, rfc3339
from voice.cli.session import ConfigOption, JsonOption, configuration_of, settings_of
from voice.pop_states import FILE, read_states


def pops(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List points of presence, and which of them the node on this machine believes to be alive."""
    settings = settings_of(config)
    configured = configuration_of(settings).pops or DEFAULT_POPS
    states = read_states(settings.data_directory / "run" / FILE, time.time())
    rows = []
    for pop in configured:
        known = (states or {}).get(pop.name, {})
        rows.append(
            {
                "name": pop.name,
                "region": pop.region.value,
                "address": pop.address,
                "state": known.get("state"),
                "since": rfc3339(known.get("since")),
                "round_trip_ms": known.get("round_trip_ms"),
                "calls_taken": known.get("taken"),
                "calls_not_taken": known.get("untaken"),
                "why": known.get("why") if known.get("state") == "down" else None,
            }
        )
    if as_json:
        print_json(rows)
        return
    columns = [
        column for column in rows[0] if column == "name" or any(row[column] is not None for row in rows)
    ]
    headings = [column.replace("_", " ") for column in columns]
    print_table(headings, ([row[column] for column in columns] for row in rows), empty="There are no POPs.")
    if states is None:
        print_line("No node runs with this data directory, so nobody here knows which of them are alive.")
