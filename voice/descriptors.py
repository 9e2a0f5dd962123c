"""How many files and sockets this process may have open at a time.

Systems give 1,024 to whoever does not ask for more, for the sake of programs that use select(); beyond it no
connection is taken, no file is opened and no process is started.
"""

from __future__ import annotations

import logging
import resource
from typing import Final

_ELSE: Final = 1_024
"""What is open beside that which has a bound of its own: the database, the pool, sounds."""

log = logging.getLogger(__name__)


def make_room(bounds: int) -> None:
    """Raises the limit as far as the system lets it, for `bounds` connections and processes together."""
    wanted = bounds + _ELSE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    room = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (room, hard))
    if room < wanted:
        log.warning(
            "the system lets this process have %d files and connections open, and %d may be needed: raise"
            " LimitNOFILE in the unit (ulimit -n), or lower the bounds of connections in [node.sip] and"
            " [node.api]",
            room,
            wanted,
        )
