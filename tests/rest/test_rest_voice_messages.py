"""Voice messages: as every SDK sends them, stored with their calls, reported once."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest
from sqlalchemy import update

from tests.api.world import NUMBER, World
from voice.messages import MessageReports
from voice.store.messages import MessageStore
from voice.store.outbound import OutboundStore
from voice.store.schema import calls
from voice.store.service_schema import deliveries, outbound_calls, voice_messages

MESSAGE = {"recipients": ["31612345678"], "body": "This is a test message"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


async def test_a_message_is_stored_with_its_calls(api: World) -> None:
    made = await api.ask("POST", "/voicemessages", {**MESSAGE, "recipients": [31612345678, "+31687654321"]})
    assert made.status == 201, made.content
    message = made.json
    assert len(message["id"]) == 32
    assert int(message["id"], 16)
    assert message["href"].endswith(f"/voicemessages/{message['id']}")
    assert (message["language"], message["voice"], message["repeat"]) == ("en-gb", "female", 1)
    assert (message["ifMachine"], message["machineTimeout"]) == ("delay", 7000)
    assert message["createdDatetime"].endswith("+00:00")
    people = message["recipients"]
    assert [people[name] for name in ("totalCount", "totalSentCount", "totalDeliveredCount")] == [2, 0, 0]
    assert [one["recipient"] for one in people["items"]] == [31612345678, 31687654321]
    assert {one["status"] for one in people["items"]} == {"calling"}
    queued = await api.rows(outbound_calls)
    assert {row["destination"] for row in queued} == {"+31612345678", "+31687654321"}
    assert {(row["state"], row["source"], row["origin"]) for row in queued} == {
        ("queued", NUMBER, "voice_message")
    }
    assert (await api.ask("GET", f"/voicemessages/{message['id']}")).json == message
    listed = (await api.ask("GET", "/voicemessages?limit=10&offset=0")).json
    assert (listed["totalCount"], listed["count"], listed["items"]) == (1, 1, [message])


@pytest.mark.parametrize(
    ("raw", "headers", "count"),
    [
        # PHP sends every default, a short language and a name as originator
        (
            '{"originator":"MessageBird","body":"x","reference":null,"language":"nl","voice":"male","repeat":1,'
            '"ifMachine":"continue","machineTimeout":7000,"scheduledDatetime":null,"recipients":[31612345678],'
            '"reportUrl":null}',
            JSON,
            1,
        ),
        # Python and Node: a text with commas
        ('{"recipients":"31612345678,31687654321","body":"x","language":"en-gb"}', JSON, 2),
        ('{"recipients":"31612345678, +31687654321","body":"x"}', JSON, 2),
        # Go: texts in a list; C#: numbers; Java: zeros for what is not set
        ('{"recipients":["31612345678"],"body":"x","originator":"","repeat":0,"machineTimeout":0}', JSON, 1),
        # Ruby: a form
        ("recipients=31612345678%2C31687654321&body=x&repeat=2", FORM, 2),
        # One recipient twice is called once
        ('{"recipients":["31612345678","+31612345678"],"body":"x"}', JSON, 1),
        # Markup in a text is read, not obeyed
        ('{"recipients":"31612345678","body":"1 < 2 & <hangup/> \\"quoted\\""}', JSON, 1),
    ],
)
async def test_what_sdks_send(api: World, raw: str, headers: dict[str, str], count: int) -> None:
    made = await api.ask("POST", "/voicemessages", raw=raw, headers=headers)
    assert made.status == 201, made.content
    assert made.json["recipients"]["totalCount"] == len(await api.rows(outbound_calls)) == count
    assert "errors" not in made.json


@pytest.mark.parametrize(
    ("changed", "parameter"),
    [
        ({"recipients": []}, "recipients"),
        ({"recipients": [str(31600000000 + at) for at in range(51)]}, "recipients"),
        ({"recipients": ["nobody"]}, "recipients"),
        ({"body": ""}, "body"),
        ({"body": "x" * 1001}, "body"),
        ({"repeat": 11}, "repeat"),
        ({"machineTimeout": 399}, "machineTimeout"),
        ({"machineTimeout": 10_001}, "machineTimeout"),
        ({"ifMachine": "shout"}, "ifMachine"),
        ({"language": "no language"}, "language"),
        ({"originator": "31699999999"}, "originator"),
        ({"scheduledDatetime": "tomorrow"}, "scheduledDatetime"),
        ({"reportUrl": "ftp://example.com"}, "reportUrl"),
    ],
)
async def test_what_is_wrong_is_named_and_nobody_is_called(
    api: World, changed: dict[str, Any], parameter: str
) -> None:
    refused = await api.ask("POST", "/voicemessages", {**MESSAGE, **changed})
    assert refused.status == 422, refused.content
    assert refused.errors[0]["parameter"].startswith(parameter)
    assert await api.rows(outbound_calls) == await api.rows(voice_messages) == []


async def test_a_message_for_later_waits_and_can_be_withdrawn(api: World) -> None:
    later = {**MESSAGE, "scheduledDatetime": "2099-01-01T12:00:00+01:00"}
    message = (await api.ask("POST", "/voicemessages", later)).json
    assert message["recipients"]["items"][0]["status"] == "scheduled"
    assert message["scheduledDatetime"] == "2099-01-01T11:00:00+00:00"
    (queued,) = await api.rows(outbound_calls)
    assert queued["not_before"] > 4_000_000_000
    assert await OutboundStore(api.database, api.services.clock).due(10) == ()
    path = f"/voicemessages/{message['id']}"
    assert (await api.ask("DELETE", path)).status == 204
    (over,) = await api.rows(outbound_calls)
    assert (over["state"], over["document"]) == ("over", None)
    assert (await api.ask("GET", path)).status == (await api.ask("DELETE", path)).status == 404


async def test_others_do_not_see_it(api: World) -> None:
    message = (await api.ask("POST", "/voicemessages", MESSAGE)).json
    path = f"/voicemessages/{message['id']}"
    assert (await api.ask("GET", path, key="other")).status == 404
    assert (await api.ask("DELETE", path, key="other")).status == 404
    assert (await api.ask("GET", "/voicemessages", key="other")).json["items"] == []
    assert len(await api.rows(voice_messages)) == 1


@pytest.mark.parametrize(
    ("columns", "status", "delivered", "failed"),
    [
        ({"status": "ended", "answered_at": 10.0}, "answered", 1, 0),
        ({"status": "busy"}, "busy", 0, 1),
        ({"status": "no_answer"}, "failed", 0, 1),
        ({"status": "failed"}, "failed", 0, 1),
    ],
)
async def test_each_new_status_is_reported_once(
    api: World, columns: dict[str, Any], status: str, delivered: int, failed: int
) -> None:
    url = "https://example.com/report?shop=7"
    message = (await api.ask("POST", "/voicemessages", {**MESSAGE, "reportUrl": url, "reference": "r"})).json
    async with api.database.writing() as connection:
        await connection.execute(update(calls).values(ended_at=20.0, updated_at=20.0, **columns))
    store = MessageStore(api.database, OutboundStore(api.database, api.services.clock))
    # Two nodes that look at the same time, and one that was started anew.
    for reporters in (2, 1):
        tasks = [
            asyncio.create_task(MessageReports(store, api.services.bells).run()) for _ in range(reporters)
        ]
        async with asyncio.timeout(10):
            while await store.changed():
                await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    (report,) = await api.rows(deliveries)
    assert (report["method"], report["event"]) == ("GET", "voiceMessageReport")
    query = report["url"].partition("?")[2].split("&")
    assert query == sorted(query)
    assert {f"id={message['id']}", "recipient=31612345678", "reference=r", f"status={status}"} <= set(query)
    assert "shop=7" in query
    people = (await api.ask("GET", f"/voicemessages/{message['id']}")).json["recipients"]
    assert people["items"][0]["status"] == status
    assert [people[f"total{name}Count"] for name in ("Sent", "Delivered", "DeliveryFailed")] == [
        1,
        delivered,
        failed,
    ]


async def test_many_running_calls_do_not_hide_one_that_has_ended(api: World) -> None:
    store = MessageStore(api.database, OutboundStore(api.database, api.services.clock))
    for _ in range(11):
        numbers = [str(31600000000 + at) for at in range(50)]
        made = await api.ask("POST", "/voicemessages", {**MESSAGE, "recipients": numbers})
        assert made.status == 201
    last = (await api.ask("POST", "/voicemessages", MESSAGE)).json["id"]
    call_id = (await store.recipients_of([last]))[last][0].call_id
    async with api.database.writing() as connection:
        await connection.execute(update(calls).values(status="ongoing"))
        await connection.execute(
            update(calls).where(calls.c.id == call_id).values(status="ended", answered_at=1.0, ended_at=2.0)
        )
    assert [one.message_id for one in await store.changed()] == [last]


async def test_an_unknown_message_is_not_found(api: World) -> None:
    answer = await api.ask("GET", f"/voicemessages/{uuid.uuid4().hex}")
    assert (answer.status, answer.errors[0]["code"]) == (404, 20)
    assert json.loads(answer.content).keys() == {"errors"}
