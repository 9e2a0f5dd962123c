"""What the resources work with: one value that the node makes and gives to the server.

Each resource takes from it what it needs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from voice.bells import Bells
from voice.live import LiveState
from voice.settings import Settings
from voice.store.access_keys import AccessKeys
from voice.store.commands import Commands
from voice.store.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    settings: Settings
    database: Database
    keys: AccessKeys
    bells: Bells = field(default_factory=Bells)
    clock: Callable[[], float] = time.time
    """UTC seconds since the epoch."""
    commands: Commands | None = None
    """Those that the pool of the same process takes, for quick answers; None: of the API's own."""
    live: LiveState | None = None
    """Of the node that the API runs in; None: it runs alone."""
