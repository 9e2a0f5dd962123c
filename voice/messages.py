"""Reports on voice messages: each new status of a recipient is told to the customer's report URL, once."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Final

from voice.bells import Bells
from voice.store.errors import StoreError
from voice.store.messages import Changed, MessageStore
from voice.webhooks.signing import sorted_query

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
"""How often the calls of messages are looked at."""


class MessageReports:
    """Runs until it is cancelled; after a restart it goes on where it was, since all it knows is stored."""

    def __init__(self, store: MessageStore, bells: Bells) -> None:
        self._store = store
        self._bells = bells

    async def run(self) -> None:
        while True:
            try:
                changed = await self._store.changed()
                for one in changed:
                    await self._store.note(one, _report if one.report_url else None)
            except StoreError as fault:
                log.warning("reports on voice messages wait: %s", fault)
                changed = ()
            if any(one.report_url for one in changed):
                self._bells.deliveries.ring()
            await self._bells.messages.wait(LOOK_SECONDS)


def offset_time(seconds: float) -> str:
    """RFC 3339 with an offset, such as ``2017-05-26T20:06:37+00:00``, as the REST resources write it."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()


def _report(changed: Changed) -> str:
    """The URL of a report (reference, section 6): a GET whose query says everything."""
    recipient = changed.recipient
    assert changed.report_url is not None
    said = {
        "id": changed.message_id,
        "recipient": recipient.number,
        "status": recipient.status.value,
        "statusDatetime": offset_time(recipient.status_at or 0.0),
    }
    if changed.reference:
        said["reference"] = changed.reference
    return sorted_query(changed.report_url, said)
