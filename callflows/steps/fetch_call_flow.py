"""`fetchCallFlow`: goes on with the callflow that a web server returns."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import ClassVar

from callflows.addresses import WEB_ADDRESS
from callflows.endings import Cause, Ending
from callflows.ports import Unavailable
from callflows.steps.base import Call, Outcome, Step, Word


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchCallFlow(Step):
    """Asks a web server what to do next; the steps that follow it here are never run."""

    url: str

    action: ClassVar = "fetchCallFlow"
    options: ClassVar = {"url": WEB_ADDRESS}

    async def run(self, call: Call) -> Outcome:
        return await going_on_with(call.flows.fetch(self.url, call.variables))


async def going_on_with(asked: Awaitable[str], before: str = "") -> Outcome:
    """The call goes on with the callflow that is asked for; one that cannot be had ends the call.

    `before` goes before what the record says.
    """
    try:
        document = await asked
    except Unavailable as problem:
        reason = f"The callflow to go on with could not be had: {problem}"
        ending = Ending(cause=Cause.NO_FLOW, reason=reason)
        return Outcome(word=Word.FAILED, detail=f"{before}{problem}", ending=ending)
    return Outcome(word=Word.DONE, detail=f"{before}another callflow takes over", document=document)
