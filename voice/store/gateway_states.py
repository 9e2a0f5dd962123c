"""How the gateways are, as each running node sees them.  Errors of the database come out as StoreError."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import delete, insert, select

from voice.store.database import Database
from voice.store.schema import gateway_states

BELIEVED_SECONDS: Final = 60.0
"""A node that has not said anything for longer is not running."""

State = dict[str, Any]
"""Values as JSON has them."""


async def keep_states(database: Database, node: str, states: Mapping[str, State], now: float) -> None:
    """What a node says of all its gateways, by id, in the place of what it said before."""
    rows = [
        {"node": node, "gateway_id": gateway_id, "state": json.dumps(state), "at": now}
        for gateway_id, state in states.items()
    ]
    with database.errors():
        async with database.writing() as connection:
            await connection.execute(delete(gateway_states).where(gateway_states.c.node == node))
            if rows:
                await connection.execute(insert(gateway_states), rows)


async def states_by_gateway(database: Database, now: float) -> dict[str, list[State]]:
    """What the running nodes say, by the id of the gateway."""
    query = (
        select(gateway_states)
        .where(gateway_states.c.at > now - BELIEVED_SECONDS)
        .order_by(gateway_states.c.gateway_id, gateway_states.c.node)
    )
    found: dict[str, list[State]] = defaultdict(list)
    with database.errors():
        async with database.reading() as connection:
            for row in (await connection.execute(query)).mappings():
                state = {"node": row["node"], "at": row["at"], **json.loads(row["state"])}
                found[row["gateway_id"]].append(state)
    return dict(found)
