"""The API in a process of its own, beside the nodes that have the same database.

What it accepts it stores, and the nodes find it there: a call is placed, a command done, within a quarter
of a second.
"""

from __future__ import annotations

import asyncio
import signal

from voice.api.server import ApiServer
from voice.bells import Bells
from voice.descriptors import make_room
from voice.logs import log_to_stderr
from voice.office import services_of
from voice.settings import Settings
from voice.store.database import Database


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT.  Raises OSError (an address that is taken) and StoreError."""
    log_to_stderr(settings)
    make_room(settings.api.max_connections)
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with (
        await Database.of(settings) as database,
        ApiServer(settings.api, services_of(settings, database, Bells())),
    ):
        await stop.wait()
