"""Wake-ups inside one process: whoever stores work rings, whoever does the work looks at once.

The work itself is in the store, and whoever does it looks there every so often in any case: another process
may have stored it, and a bell that nobody heard loses nothing.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field


class Bell:
    """Rings for one waiter; rung while nobody waits, it is heard at the next wait."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self, at_most: float) -> None:
        """Returns when it was rung, or after so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most):
                await self._rung.wait()
        self._rung.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bells:
    """One for each kind of work that waits in the store."""

    calls: Bell = field(default_factory=Bell)
    """A call was accepted that is to be placed."""
    commands: Bell = field(default_factory=Bell)
    """A command for a running call."""
    deliveries: Bell = field(default_factory=Bell)
    """A request to a customer's webhook."""
    transcriptions: Bell = field(default_factory=Bell)
    messages: Bell = field(default_factory=Bell)
    """A voice message or verification came, or a call of one ended."""
    configuration: Bell = field(default_factory=Bell)
    bans: Bell = field(default_factory=Bell)
    """A source was banned or released by an operator."""
