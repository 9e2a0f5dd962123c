"""What the resources work with: one value that the node makes and gives to the server.

Each resource takes from it what it needs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from voice.api.principal import Keys
from voice.bells import Bells
from voice.settings import Settings
from voice.store.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    settings: Settings
    database: Database
    keys: Keys
    bells: Bells = field(default_factory=Bells)
    clock: Callable[[], float] = time.time
    """UTC seconds since the epoch."""
