"""Where the pool's desk gets callflows and transcriptions from: the customers' servers, and the store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from callflows.ports import Unavailable
from voice.objects import recording_object
from voice.pool.orders import CallOrder
from voice.store.errors import StoreError
from voice.store.listing import Listing
from voice.store.transcriptions import TooManyTranscriptions, TranscriptionStore
from voice.webhooks.flows import FlowFetcher, FlowQuestion

SETTLED_SECONDS = 3.0
"""How long the record of a recording may take to the database before its callflow goes on without it."""


class Flows:
    """Dynamic callflows: a call's order becomes the question to the customer's server."""

    def __init__(
        self, fetcher: FlowFetcher, listing: Listing, flushed: Callable[[float], Awaitable[None]]
    ) -> None:
        self._fetcher = fetcher
        self._listing = listing
        self._flushed = flushed

    async def fetch(self, url: str, order: CallOrder, variables: Mapping[str, str]) -> str:
        return await self._fetcher.fetch(url, _question(order, variables))

    async def finished(
        self, url: str, recording_id: str, order: CallOrder, variables: Mapping[str, str]
    ) -> str:
        await self._flushed(SETTLED_SECONDS)
        try:
            row = await self._listing.recording(order.account_id, recording_id)
        except StoreError as fault:
            raise Unavailable(f"recording {recording_id} cannot be looked up: {fault}") from None
        if row is None:
            raise Unavailable(f"recording {recording_id} is not on record, so it cannot be posted to {url}")
        return await self._fetcher.finished(url, recording_object(row), _question(order, variables))


def _question(order: CallOrder, variables: Mapping[str, str]) -> FlowQuestion:
    return FlowQuestion(
        call_id=order.call_id,
        source=order.source,
        destination=order.destination,
        number_id=order.number_id,
        variables=variables,
        account_id=order.account_id,
    )


class Transcribers:
    """Transcriptions that callflows ask for."""

    def __init__(self, store: TranscriptionStore) -> None:
        self._store = store

    async def want(self, recording_id: str, leg_id: str, language: str, order: CallOrder) -> None:
        try:
            await self._store.request(
                recording_id=recording_id,
                call_id=order.call_id,
                leg_id=leg_id,
                account_id=order.account_id,
                language=language,
            )
        except TooManyTranscriptions:
            raise Unavailable(f"recording {recording_id} has as many transcriptions as it may") from None
