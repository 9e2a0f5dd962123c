"""The key by which the edges of several POPs believe one another has to be there once there are several."""

from __future__ import annotations

from collections.abc import Iterable

from sip_config.faults import Unfit
from sip_config.model import Pop
from voice.settings import Settings


def missing_key(pops: Iterable[Pop], settings: Settings) -> Unfit | None:
    """What is wrong when other POPs have addresses and there is no key to believe them by."""
    others = [pop.name for pop in pops if pop.address is not None and pop.name != settings.pop]
    if not others or settings.relay.key is not None:
        return None
    return Unfit(
        f"POPs have addresses ({', '.join(others)}), and this node has no key to exchange calls with them.",
        "Write the same key into [node.relay] of every POP, such as openssl rand -base64 32 makes; or leave "
        "the addresses out.",
    )
