"""An event loop on virtual time: where another loop would sleep, this one moves its clock on."""

from __future__ import annotations

import asyncio
import selectors


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise RuntimeError(
                f"Virtual time stands still at {self.now:g} s: everything waits, and no timer is set."
            )
        self.now += max(timeout, 0.0)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Its clock begins at 0 and jumps to the next timer whenever nothing is ready; an hour takes no time.

    For code that waits through asyncio only: there is no network in virtual time.
    ``asyncio.Runner(loop_factory=VirtualTimeLoop)`` runs a coroutine on it.
    """

    def __init__(self) -> None:
        self._virtual = _JumpingSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now
