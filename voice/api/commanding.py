"""Commands for running calls: what the pool makes of them becomes an answer."""

from __future__ import annotations

from voice.api.faults import Conflict
from voice.api.services import Services
from voice.store.commands import Command, Commands, Kind, Result


class Commanding:
    """Each returns once it is done.  Raises Conflict when the call or leg does not allow it, or is over."""

    def __init__(self, services: Services) -> None:
        self._commands = services.commands or Commands(services.database, services.bells, services.clock)

    async def hang_up(self, call_id: str) -> None:
        await self._tell(Command(kind=Kind.HANGUP, call_id=call_id))

    async def replace(self, call_id: str, document: str) -> None:
        """From here on the call runs this callflow, in canonical XML."""
        await self._tell(Command(kind=Kind.REPLACE, call_id=call_id, body=document))

    async def add_leg(self, call_id: str, destination: str) -> None:
        await self._tell(Command(kind=Kind.ADD_LEG, call_id=call_id, body=destination))

    async def hang_up_leg(self, call_id: str, leg_id: str) -> None:
        await self._tell(Command(kind=Kind.HANGUP_LEG, call_id=call_id, leg_id=leg_id))

    async def hold(self, call_id: str, leg_id: str) -> None:
        await self._tell(Command(kind=Kind.HOLD, call_id=call_id, leg_id=leg_id))

    async def unhold(self, call_id: str, leg_id: str) -> None:
        await self._tell(Command(kind=Kind.UNHOLD, call_id=call_id, leg_id=leg_id))

    async def _tell(self, command: Command) -> None:
        outcome = await self._commands.ask(command)
        if outcome.result is not Result.DONE:
            raise Conflict(outcome.detail)
