"""JSON Schemas of callflows and their numbers (reference sections 2.1 to 2.3)."""

from __future__ import annotations

from typing import Final

from callflows.steps import STEPS
from voice.api.schemas import ID, LINKS, TEXT, TIME, TRUTH, WHOLE, Schema, described, fields, maybe, shape

_STEP: Final[Schema] = {
    **fields(
        {
            "id": described(TEXT, "Unique in the callflow; one is made when it is missing."),
            "action": {"type": "string"},
            "options": {"type": "object", "additionalProperties": True},
            "conditions": {
                "type": "array",
                "items": fields(
                    {"variable": TEXT, "operator": TEXT, "value": TEXT},
                    required=("variable", "operator", "value"),
                ),
                "description": "The step runs if all of them hold.",
            },
            "onKeypressGoto": described(TEXT, "The step to go on with when a key is pressed."),
            "onKeypressVar": described(TEXT, "The variable that takes the keys."),
            "endKey": TEXT,
            "maxNumKeys": WHOLE,
        },
        required=("action",),
    ),
    "title": "Step",
    "description": f"docs/callflows.md lists the options of each action: {', '.join(sorted(STEPS))}.",
}

FLOW_BODY: Final[Schema] = {
    **fields(
        {
            "title": maybe(TEXT),
            "record": described(TRUTH, "Whether the whole call is recorded."),
            "steps": {"type": "array", "items": _STEP, "minItems": 1},
            "default": described(TRUTH, "Whether it answers the account's numbers that have no callflow."),
            "maxDuration": described(WHOLE, "Seconds that a call may last."),
        },
        required=("steps",),
    ),
    "title": "CallflowBody",
}

FLOW: Final[Schema] = shape(
    {
        "id": ID,
        "title": TEXT,
        "record": TRUTH,
        "steps": {"type": "array", "items": _STEP},
        "default": TRUTH,
        "maxDuration": WHOLE,
        "createdAt": TIME,
        "updatedAt": TIME,
        "_links": LINKS,
    },
    title="Callflow",
    optional=("maxDuration",),
)

NUMBER: Final[Schema] = shape(
    {
        "id": ID,
        "number": described(TEXT, "E.164 without the +."),
        "callFlowId": maybe(ID),
        "createdAt": TIME,
        "updatedAt": TIME,
        "_links": LINKS,
    },
    title="Number",
)
