"""What the API places is held to the rules for destinations at once, not only when it is dialled."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from tests.api.world import ACME, World
from tests.rest.conftest import api as api
from voice.store.schema import accounts

PREMIUM = "31909123456"
STEPS = {"steps": [{"action": "hangup"}]}
CALL = {"source": "31201234567", "destination": PREMIUM, "callFlow": STEPS}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/calls", CALL, "destination"),
        ("/voicemessages", {"body": "Hello", "recipients": ["31612345678", PREMIUM]}, "recipients"),
        ("/verify", {"recipient": PREMIUM, "type": "tts"}, "recipient"),
    ],
)
async def test_a_number_that_the_account_may_not_call(
    api: World, path: str, body: dict[str, Any], field: str
) -> None:
    async with api.database.writing() as connection:
        await connection.execute(
            update(accounts).where(accounts.c.id == ACME).values(limits='{"denied_kinds": ["premium"]}')
        )
    answer = await api.ask("POST", path, body)
    assert answer.status == 422, answer.content
    (fault,) = [error for error in answer.errors if error["parameter"] == field]
    assert "+31909123456, a premium number" in fault["description"]


async def test_other_numbers_are_as_they_were(api: World) -> None:
    answer = await api.ask("POST", "/calls", {**CALL, "destination": "31612345678"})
    assert answer.status == 201, answer.content
