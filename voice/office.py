"""What a node does besides calls: webhooks, reports, rating, transcriptions; and what its API works with."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

from voice.api.services import Services
from voice.bells import Bells
from voice.live import LiveState
from voice.messages import MessageReports
from voice.node_settings import client_settings
from voice.rating import Rating
from voice.settings import Settings
from voice.store.access_keys import AccessKeys
from voice.store.commands import Commands
from voice.store.database import Database
from voice.store.deliveries import Deliveries
from voice.store.messages import MessageStore
from voice.store.money import Money
from voice.store.outbound import OutboundStore
from voice.store.signing_keys import SigningKeys
from voice.store.transcriptions import TranscriptionStore
from voice.transcription.service import TranscriptionService
from voice.transcription.sphinx import PocketsphinxEngine
from voice.webhooks.client import SafeClient
from voice.webhooks.delivery import Deliverer


class Office:
    """Of one node; everything it has to do is in the store, so it goes on after a restart where it was."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        bells: Bells,
        secrets: SigningKeys,
        commands: Commands,
        queue: OutboundStore,
    ) -> None:
        # A client of its own: receivers of webhooks must not take connections from callflows.
        self._client = SafeClient(client_settings(settings))
        transcriptions = TranscriptionStore(database, clock=time.time, bells=bells)
        self._transcriptions = TranscriptionService(
            transcriptions, [PocketsphinxEngine()], bells, settings.recordings_directory
        )
        self._deliverer = Deliverer(Deliveries(database, time.time), secrets, self._client, bells.deliveries)
        self._reports = MessageReports(MessageStore(database, queue), bells)
        self._rating = Rating(Money(database), commands)

    async def start(self, stack: AsyncExitStack) -> None:
        await stack.enter_async_context(self._client)

    def works(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """What has to run until the node stops."""
        return (
            self._deliverer.run(),
            self._reports.run(),
            self._rating.run(),
            self._transcriptions.run(),
        )


def services_of(
    settings: Settings,
    database: Database,
    bells: Bells,
    commands: Commands | None = None,
    live: LiveState | None = None,
) -> Services:
    """What the API works with: inside a node with its `commands` and `live` state, alone without."""
    return Services(
        settings=settings,
        database=database,
        keys=AccessKeys(database, time.time),
        bells=bells,
        commands=commands,
        live=live,
    )
