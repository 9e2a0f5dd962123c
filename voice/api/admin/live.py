"""Live state: how many calls there are now, and for operators what the node is doing."""

from __future__ import annotations

from typing import Final

from voice.api.admin import shapes
from voice.api.admin.editing import Editor
from voice.api.faults import Family
from voice.api.operation import Account as Owner
from voice.api.operation import Operation
from voice.api.reply import Reply
from voice.api.request import Request
from voice.api.services import Services
from voice.store.administration import calls_in_progress

_SHOWN: Final = shapes.shape(
    {
        "callsInProgress": shapes.WHOLE,
        "accounts": shapes.listed(
            shapes.shape(
                {
                    "id": shapes.TEXT,
                    "name": shapes.TEXT,
                    "callsInProgress": shapes.WHOLE,
                    "concurrentCalls": shapes.described(shapes.WHOLE, "How many it may have."),
                }
            )
        ),
        "configurationVersion": shapes.described(shapes.WHOLE, "Counts the changes of the configuration."),
        "node": shapes.described(
            shapes.maybe({"type": "object"}),
            "For operators, where the API runs inside a node: figures of its edge and its pool.",
        ),
    },
    title="LiveState",
)


class _Live:
    def __init__(self, services: Services, editor: Editor) -> None:
        self._services = services
        self._editor = editor

    async def view(self, request: Request) -> Reply:
        current, version = await self._editor.store.load(realm=self._editor.realm)
        running = await calls_in_progress(self._services.database, request.account)
        live = self._services.live
        return Reply.json(
            {
                "callsInProgress": sum(running.values()),
                "accounts": [
                    {
                        "id": account.id,
                        "name": account.name,
                        "callsInProgress": running.get(account.id, 0),
                        "concurrentCalls": account.concurrent_calls,
                    }
                    for account in current.accounts
                    if request.account in (None, account.id)
                ],
                "configurationVersion": version,
                "node": dict(live.snapshot()) if live is not None and request.by.is_operator else None,
            }
        )


def operations(services: Services, editor: Editor) -> tuple[Operation, ...]:
    return (
        Operation(
            method="GET",
            path="/sip/live",
            run=_Live(services, editor).view,
            family=Family.REST,
            tag="Live state",
            scope="live",
            account=Owner.OPTIONAL,
            summary="View the live state",
            query=shapes.OWNER,
            answers={200: _SHOWN},
        ),
    )
