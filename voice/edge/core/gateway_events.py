"""Records of what happens to gateways."""

from __future__ import annotations

from sip_config.model import Gateway
from voice.records import Event


def gateway_event(gateway: Gateway, kind: str, detail: str, now: float) -> Event:
    return Event(
        at=now, kind=kind, detail=detail, account_id=gateway.account_id, data={"gateway": gateway.name}
    )
