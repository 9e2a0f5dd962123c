"""The options of a gateway, which stand among its other fields."""

from __future__ import annotations

from typing import Final

from sip_config import bounds
from sip_config.gateway_options import GatewayOptions
from voice.api.admin import shapes
from voice.api.faults import Json
from voice.api.fields import Fields
from voice.api.readers import integer, truth

OPTIONS: Final = {
    "weight": shapes.described(
        {"type": "integer", "minimum": 0, "maximum": bounds.WEIGHT["most"]},
        "Its share of the calls among gateways of equal priority.",
    ),
    "trusted": shapes.described(shapes.TRUTH, "Whether it is told who calls, also when that is withheld."),
}


def read_options(body: Fields, old: GatewayOptions) -> GatewayOptions:
    return GatewayOptions(
        weight=body.get("weight", integer(**bounds.WEIGHT), old.weight),
        trusted=body.get("trusted", truth, old.trusted),
    )


def shown_options(options: GatewayOptions) -> Json:
    return {"weight": options.weight, "trusted": options.trusted}
