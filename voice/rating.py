"""Rates what has been talked: charges ended legs, and ends calls whose account has spent its balance."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from voice.store.commands import Command, Commands, Kind
from voice.store.errors import StoreError
from voice.store.money import Money

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
SPENT: Final = "The account has spent its balance."


class Rating:
    """Runs until it is cancelled; all it knows is stored, so it goes on after a restart where it was."""

    def __init__(self, money: Money, commands: Commands, *, clock: Callable[[], float] = time.time) -> None:
        self._money = money
        self._commands = commands
        self._clock = clock

    async def run(self) -> None:
        while True:
            try:
                while await self._money.charge_ended_legs(self._clock()):
                    pass
                await self._end_what_cannot_be_paid()
            except StoreError as fault:
                log.warning("rating waits: %s", fault)
            await asyncio.sleep(LOOK_SECONDS)

    async def _end_what_cannot_be_paid(self) -> None:
        for account_id, call_ids in await self._money.spending(self._clock()):
            log.info("account %s has spent its balance: %d calls are ended", account_id, len(call_ids))
            endings = (
                self._commands.ask(Command(call_id=call_id, kind=Kind.HANGUP, body=SPENT))
                for call_id in call_ids
            )
            await asyncio.gather(*endings)
