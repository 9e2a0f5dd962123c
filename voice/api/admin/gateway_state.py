"""How gateways are, as the running nodes see them; shown with each gateway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sip_config.model import Gateway
from voice.api.admin import shapes
from voice.api.admin.editing import Editor
from voice.api.admin.entries import Entries, Kind
from voice.api.faults import Json
from voice.api.services import Services
from voice.objects import timestamp
from voice.store.gateway_states import states_by_gateway

_MAYBE_TIME: Final = shapes.maybe(shapes.TIME)
STATES: Final = shapes.described(
    shapes.listed(
        shapes.shape(
            {
                "node": shapes.described(shapes.TEXT, "Which node says so."),
                "at": shapes.TIME,
                "available": shapes.described(shapes.TRUTH, "False: it is tried after all others."),
                "calls": shapes.WHOLE,
                "addresses": shapes.described(
                    shapes.WHOLE, "From how many it may call because of its name or its registration."
                ),
                "failures": shapes.described(shapes.WHOLE, "Of calls and OPTIONS, in a row."),
                "reason": shapes.described(shapes.maybe(shapes.TEXT), "What failed last."),
                "since": shapes.described(_MAYBE_TIME, "When `available` changed."),
                "outUntil": shapes.described(
                    _MAYBE_TIME, "End of the cooldown; null when it is out: once it answers OPTIONS."
                ),
                "roundTripMs": shapes.described(
                    shapes.maybe({"type": "number"}), "Of the last OPTIONS that were answered."
                ),
                "registration": shapes.maybe(
                    shapes.shape(
                        {
                            "standing": shapes.word("waiting", "registered", "failed", "leaving", "left"),
                            "until": _MAYBE_TIME,
                            "problem": shapes.maybe(shapes.TEXT),
                            "nextAttempt": _MAYBE_TIME,
                        }
                    )
                ),
                "nameProblem": shapes.described(shapes.maybe(shapes.TEXT), "Why DNS does not know its host."),
            },
            title="GatewayState",
        )
    ),
    "One for each running node.",
)


class Gateways(Entries[Gateway]):
    """Gateways with their states."""

    def __init__(self, editor: Editor, kind: Kind[Gateway], services: Services) -> None:
        super().__init__(editor, kind)
        self._services = services

    async def live(self) -> Mapping[str, Json]:
        found = await states_by_gateway(self._services.database, self._services.clock())
        return {
            gateway_id: {"states": [_shown(one) for one in states]} for gateway_id, states in found.items()
        }


def _shown(state: Mapping[str, Any]) -> Json:
    registration = state["registration"]
    return {
        **state,
        **{name: timestamp(state[name]) for name in ("at", "since", "outUntil")},
        "registration": registration
        and {**registration, **{name: timestamp(registration[name]) for name in ("until", "nextAttempt")}},
    }
