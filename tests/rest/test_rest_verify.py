"""Verify: codes by telephone, and what keeps others from guessing them or from running up bills."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from sqlalchemy import update

from tests.api.world import World
from voice.api.verify import MOST_AN_HOUR
from voice.store.service_schema import deliveries, outbound_calls, verifications

CODE = {"recipient": "31612345678", "type": "tts", "returnToken": True}


async def begin(api: World, **more: Any) -> Any:
    made = await api.ask("POST", "/verify", {**CODE, **more})
    assert made.status == 201, made.content
    return made.json


def wrong(token: str) -> str:
    return str((int(token[0]) + 1) % 10) + token[1:]


async def test_a_code_is_read_digit_by_digit_and_entered(api: World) -> None:
    made = await begin(api, template="Your account security code is %token.", language="nl-nl", tokenLength=8)
    token = made["token"]
    assert len(token) == 8
    assert made["recipient"] == 31612345678
    assert (made["status"], made["type"]) == ("sent", "tts")
    assert len(made["id"]) == 32
    (queued,) = await api.rows(outbound_calls)
    spoken = re.sub(r"&lt;[^&]*&gt;|<[^>]*>|\s", "", queued["document"])
    assert token in spoken
    assert token not in queued["document"]
    (kept,) = await api.rows(verifications)
    assert token not in str(kept)
    path = f"/verify/{made['id']}"
    assert "token" not in (await api.ask("GET", path)).json
    right = await api.ask("GET", f"{path}?token={token}")
    assert (right.status, right.json["status"]) == (200, "verified")
    again = await api.ask("GET", f"{path}?token={token}")
    assert (again.status, again.errors[0]["parameter"]) == (422, "token")
    assert (await api.ask("GET", path)).json["status"] == "verified"


async def test_without_being_asked_nobody_is_told_the_code(api: World) -> None:
    made = await begin(api, returnToken=False)
    assert "token" not in made


@pytest.mark.parametrize("query", ["token=", "token=%20", "token"])
async def test_an_empty_token_is_an_error_and_does_not_count(api: World, query: str) -> None:
    made = await begin(api)
    empty = await api.ask("GET", f"/verify/{made['id']}?{query}")
    assert (empty.status, empty.errors[0]["parameter"]) == (422, "token")
    right = await api.ask("GET", f"/verify/{made['id']}?token={made['token']}")
    assert right.json["status"] == "verified"


async def test_wrong_codes_count(api: World) -> None:
    made = await begin(api, maxAttempts=2)
    path = f"/verify/{made['id']}"
    first = await api.ask("GET", f"{path}?token={wrong(made['token'])}")
    assert (first.status, first.errors[0]["code"], first.errors[0]["parameter"]) == (422, 10, "token")
    assert (await api.ask("GET", path)).json["status"] == "sent"
    assert (await api.ask("GET", f"{path}?token={wrong(made['token'])}")).status == 422
    assert (await api.ask("GET", path)).json["status"] == "failed"
    late = await api.ask("GET", f"{path}?token={made['token']}")
    assert late.status == 422


async def test_guesses_at_the_same_time_are_counted_one_by_one(api: World) -> None:
    made = await begin(api, maxAttempts=3, reportUrl="https://example.com/report")
    path = f"/verify/{made['id']}"
    guesses = [api.ask("GET", f"{path}?token={wrong(made['token'])}") for _ in range(20)]
    assert {answer.status for answer in await asyncio.gather(*guesses)} == {422}
    (kept,) = await api.rows(verifications)
    assert (kept["attempts"], kept["status"]) == (3, "failed")
    (report,) = await api.rows(deliveries)
    assert "status=failed" in report["url"]
    assert (await api.ask("GET", f"{path}?token={made['token']}")).status == 422


async def test_a_code_expires(api: World) -> None:
    made = await begin(api)
    async with api.database.writing() as connection:
        await connection.execute(update(verifications).values(valid_until=1.0))
    late = await api.ask("GET", f"/verify/{made['id']}?token={made['token']}")
    assert late.status == 422
    assert "expired" in late.errors[0]["description"]
    assert (await api.ask("GET", f"/verify/{made['id']}")).json["status"] == "expired"


async def test_a_recipient_is_called_so_often_an_hour_even_at_the_same_time(api: World) -> None:
    asked = [api.ask("POST", "/verify", CODE) for _ in range(MOST_AN_HOUR + 5)]
    answers = await asyncio.gather(*asked)
    assert sorted(answer.status for answer in answers) == [201] * MOST_AN_HOUR + [429] * 5
    refused = next(answer for answer in answers if answer.status == 429)
    assert int(refused.headers["Retry-After"]) > 0
    assert len(await api.rows(outbound_calls)) == MOST_AN_HOUR
    assert (await api.ask("POST", "/verify", {**CODE, "recipient": "31687654321"})).status == 201


async def test_what_is_deleted_is_not_called_and_not_found(api: World) -> None:
    made = await begin(api)
    path = f"/verify/{made['id']}"
    assert (await api.ask("DELETE", path)).status == 204
    (queued,) = await api.rows(outbound_calls)
    assert queued["state"] == "over"
    for method, where in (("GET", path), ("GET", f"{path}?token={made['token']}"), ("DELETE", path)):
        gone = await api.ask(method, where)
        assert (gone.status, gone.errors[0]["code"]) == (404, 20)


@pytest.mark.parametrize(
    "kind", [{}, {"type": "sms"}, {"type": "flash"}, {"type": "email"}, {"type": "pigeon"}]
)
async def test_other_channels_are_refused_with_a_sentence(api: World, kind: dict[str, str]) -> None:
    refused = await api.ask("POST", "/verify", {"recipient": "31612345678", **kind})
    assert (refused.status, refused.errors[0]["parameter"]) == (422, "type")
    assert "tts" in refused.errors[0]["description"]
    assert await api.rows(outbound_calls) == []


@pytest.mark.parametrize(
    ("changed", "parameter"),
    [
        ({"recipient": "nobody"}, "recipient"),
        ({"template": "no place for it"}, "template"),
        ({"tokenLength": 5}, "tokenLength"),
        ({"tokenLength": 11}, "tokenLength"),
        ({"timeout": 259_201}, "timeout"),
        ({"maxAttempts": 11}, "maxAttempts"),
        ({"voice": "robot"}, "voice"),
        ({"language": "no language"}, "language"),
    ],
)
async def test_what_is_wrong_is_named(api: World, changed: dict[str, Any], parameter: str) -> None:
    refused = await api.ask("POST", "/verify", {**CODE, **changed})
    assert refused.status == 422, refused.content
    assert refused.errors[0]["parameter"] == parameter
    assert await api.rows(verifications) == []


async def test_a_form_as_ruby_sends_it_and_others_do_not_see_it(api: World) -> None:
    made = await api.ask(
        "POST",
        "/verify",
        raw="recipient=31612345678&type=tts&originator=Code&tokenLength=6&returnToken=true",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert made.status == 201, made.content
    path = f"/verify/{made.json['id']}"
    assert (await api.ask("GET", f"{path}?token={made.json['token']}", key="other")).status == 404
    assert (await api.ask("DELETE", path, key="other")).status == 404
    assert (await api.ask("GET", path)).json["status"] == "sent"


async def test_there_are_no_emails(api: World) -> None:
    answer = await api.ask("GET", "/verify/messages/email/1d2535fb6b1f4b96bc3b2b23b0a4b3a5")
    assert (answer.status, answer.errors[0]["code"]) == (404, 20)
