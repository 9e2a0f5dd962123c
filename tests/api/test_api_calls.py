"""Calls: accepted for good before the answer, as every SDK asks for them; listed, replaced, hung up."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.api.world import ACME, NUMBER, OTHERS_NUMBER, T0, World
from voice.store.commands import Command, Kind, Outcome, Result
from voice.store.schema import calls
from voice.store.service_schema import balances, outbound_calls, rates

STEPS = [{"action": "say", "options": {"payload": "Hello", "language": "en-GB", "voice": "male"}}]
CALL = {"source": "31201234567", "destination": "31612345678", "callFlow": {"steps": STEPS}}
DONE = Outcome(result=Result.DONE, detail="Done.")
IDS = [str(uuid.UUID(int=at)) for at in range(30)]


async def test_placing_a_call(api: World) -> None:
    made = await api.ask("POST", "/calls/", CALL)
    assert made.status == 201, made.content
    call = made.data[0]
    assert call["status"] == "queued"
    assert (call["source"], call["destination"]) == ("31201234567", "31612345678")
    assert (call["endedAt"], call["createdAt"]) == (None, call["updatedAt"])
    path = f"/calls/{call['id']}"
    assert made.json["_links"] == {"self": path, "legs": f"{path}/legs"}
    assert "errors" not in made.json
    assert "webhook" not in call
    (queued,) = await api.rows(outbound_calls)
    assert (queued["call_id"], queued["state"], queued["account_id"]) == (call["id"], "queued", ACME)
    assert (queued["source"], queued["destination"]) == (NUMBER, "+31612345678")
    assert (queued["ring_seconds"], queued["max_seconds"], queued["simulated"]) == (30.0, 14_400, 0)
    assert "<callflow" in queued["document"]
    assert (await api.ask("GET", path)).data == [call]


@pytest.mark.parametrize(
    "body",
    [
        # Go: a lower case f, and fields that are not set
        '{"source":"31201234567","destination":"31612345678","callflow":{"title":"t","record":false,"default":false,'
        '"createdAt":"0001-01-01T00:00:00Z","updatedAt":"0001-01-01T00:00:00Z","steps":[{"action":"hangup"}]}}',
        # Ruby puts JSON into texts
        '{"source":"31201234567","destination":"31612345678","callFlow":"{\\"steps\\":[{\\"action\\":\\"hangup\\"}]}",'
        '"webhook":"{\\"url\\":\\"https://example.com/hook\\",\\"token\\":\\"t\\"}"}',
        # C#
        '{"source":"31201234567","destination":"31612345678","duration":0,"callFlow":{"title":"t","record":true,'
        '"steps":[{"options":{"destination":"31600000000"},"id":null,"action":"transfer"}]},'
        '"webhook":{"Url":"https://example.com/hook","Token":"t"}}',
        # Java: numbers for numbers, zeros
        '{"source":31201234567,"destination":31612345678,"timeout":0,"callFlow":{"steps":[{"action":"hangup","options":'
        '{"repeat":0,"length":0,"maxLength":0,"timeout":0,"mask":false}}],"default":false,"record":false}}',
        # Python: with a webhook or null
        '{"source":"+31201234567","destination":"+31612345678","callFlow":{"steps":[{"action":"hangup"}]},"webhook":null}',
        # XML in a text
        '{"source":"31201234567","destination":"31612345678","callFlow":"<Hangup/>"}',
    ],
    ids=["go", "ruby", "cs", "java", "python", "xml"],
)
async def test_as_the_sdks_ask(api: World, body: str) -> None:
    made = await api.ask("POST", "/calls", raw=body)
    assert made.status == 201, made.content
    (row,) = await api.rows(calls)
    hook = ("https://example.com/hook", "t") if "com/hook" in body else (None, None)
    assert (row["webhook_url"], row["webhook_token"]) == hook


async def test_numbers_are_written_as_in_the_country_of_the_account_and_shown_as_it_may(api: World) -> None:
    identity = {"country": "NL", "verified": ["+442079460000"]}
    assert (await api.ask("PUT", f"/accounts/{ACME}", {"identity": identity}, key="operator")).status == 200
    body = {"source": "020 123 4567", "destination": "0612345678", "callFlow": {"steps": STEPS}}
    assert (await api.ask("POST", "/calls", body)).status == 201
    assert (await api.ask("POST", "/calls", {**body, "source": "+442079460000"})).status == 201
    refused = await api.ask("POST", "/calls", {**body, "source": "+442079460001"})
    assert (refused.status, refused.errors[0]["parameter"]) == (422, "source")
    rows = await api.rows(outbound_calls)
    assert {row["source"] for row in rows} == {NUMBER, "+442079460000"}
    assert {row["destination"] for row in rows} == {"+31612345678"}
    for path, told in (("/voicemessages", "recipients"), ("/verify", "recipient")):
        message = {told: "0612345678", "originator": "+442079460000", "body": "x", "type": "tts"}
        made = await api.ask("POST", path, message)
        assert made.status == 201, made.content
    rows = await api.rows(outbound_calls)
    assert {row["destination"] for row in rows} == {"+31612345678"}


async def test_as_a_form(api: World) -> None:
    flow = json.dumps({"steps": STEPS}).replace("+", "%2B")
    form = f"source=31201234567&destination=31612345678&timeout=45&callFlow={flow}&callbackUrl=https://example.com/x"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await api.ask("POST", "/calls", raw=form, headers=headers)).status == 201
    (queued,) = await api.rows(outbound_calls)
    assert queued["ring_seconds"] == 45.0
    assert (await api.rows(calls))[0]["webhook_url"] == "https://example.com/x"


async def test_with_the_id_of_a_callflow(api: World) -> None:
    flow = (await api.ask("POST", "/call-flows", {"steps": STEPS})).data[0]["id"]
    wanted = {**CALL, "callFlow": None, "callFlowId": flow, "destination": "sip:bob@example.com"}
    assert (await api.ask("POST", "/calls", wanted)).status == 201
    (queued,) = await api.rows(outbound_calls)
    assert (queued["callflow_id"], queued["destination"]) == (flow, "sip:bob@example.com")
    assert "Hello" in queued["document"]
    others = await api.ask("POST", "/calls", {**wanted, "source": OTHERS_NUMBER}, key="other")
    assert [error["parameter"] for error in others.errors] == ["callFlowId"]


async def test_a_prepaid_account_needs_a_balance(api: World) -> None:
    empty = {"account_id": ACME, "amount": 0, "currency": "EUR", "payment": "prepaid", "end_when_spent": 1}
    await api.put(balances, empty)
    rate = {"id": IDS[1], "account_id": None, "prefix": "31", "per_minute": 20_000, "currency": "EUR"}
    await api.put(rates, rate)
    refused = await api.ask("POST", "/calls", CALL)
    assert (refused.status, refused.errors[0]["code"]) == (422, 25)
    assert await api.rows(calls) == []
    # Simulated calls cost nothing, nor do those to SIP URIs.
    assert (await api.ask("POST", "/calls", CALL, key="test")).status == 201
    assert (await api.ask("POST", "/calls", {**CALL, "destination": "sip:bob@example.com"})).status == 201
    async with api.database.writing() as connection:
        await connection.execute(balances.update().values(amount=20_000))
    assert (await api.ask("POST", "/calls", CALL)).status == 201


async def test_a_test_key_simulates(api: World) -> None:
    assert (await api.ask("POST", "/calls", CALL, key="test")).status == 201
    assert (await api.rows(outbound_calls))[0]["simulated"] == 1
    assert (await api.rows(calls))[0]["simulated"] == 1


@pytest.mark.parametrize(
    ("change", "parameters"),
    [
        ({"source": None, "destination": None, "callFlow": None}, ["source", "destination", "callFlow"]),
        ({"source": OTHERS_NUMBER}, ["source"]),
        ({"source": "31612345678"}, ["source"]),
        ({"source": "anonymous"}, ["source"]),
        ({"destination": "12"}, ["destination"]),
        ({"destination": "sip:a b@example.com"}, ["destination"]),
        ({"destination": "sip:bob@example.com?Subject=x"}, ["destination"]),
        ({"destination": "sip:bob@example.com\r\nVia: x"}, ["destination"]),
        ({"timeout": 601}, ["timeout"]),
        ({"timeout": "soon"}, ["timeout"]),
        ({"webhook": {"url": "nowhere", "token": []}}, ["webhook/url", "webhook/token"]),
        ({"webhook": "nowhere"}, ["webhook"]),
        ({"callFlow": {"steps": [{"action": "x"}]}}, ["callFlow/steps/0"]),
        ({"callFlow": "<nothing"}, ["callFlow"]),
        ({"callFlow": 5}, ["callFlow"]),
        ({"callFlow": None, "callFlowId": "nothing"}, ["callFlowId"]),
        ({"callFlow": {"steps": STEPS, "title": "t" * 40_000}}, ["callFlow"]),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_cannot_be_a_call(api: World, change: dict[str, Any], parameters: list[str]) -> None:
    refused = await api.ask("POST", "/calls", {**CALL, **change})
    assert refused.status == 422
    assert [error["parameter"] for error in refused.errors] == parameters
    assert await api.rows(calls) == []


async def test_list_and_filters(api: World) -> None:
    for at in range(12):
        await api.call(IDS[at], at=T0 + at, status="busy" if at % 2 else "ended")
    await api.call(IDS[20], account="other-id")
    listed = await api.ask("GET", "/calls/?page=1")
    assert [call["id"] for call in listed.data] == IDS[:10]
    assert listed.json["pagination"] == {"totalCount": 12, "pageCount": 2, "currentPage": 1, "perPage": 10}
    assert listed.json["_links"]["self"] == "/calls?page=1"
    assert all("webhook" not in call for call in listed.data)
    beyond = await api.ask("GET", "/calls?page=9")
    assert (beyond.status, beyond.data, beyond.json["pagination"]["pageCount"]) == (200, [], 2)
    busy = await api.ask("GET", "/calls?status=busy&perPage=3&order=newest")
    assert [call["id"] for call in busy.data] == [IDS[11], IDS[9], IDS[7]]
    window = await api.ask("GET", "/calls?from=2017-03-06T13:34:16Z&until=2017-03-06T14:34:18+01:00")
    assert [call["id"] for call in window.data] == IDS[2:4]
    assert len((await api.ask("GET", "/calls?destination=31612345678&source=31201234567")).data) == 10
    refused = await api.ask("GET", "/calls?status=sleeping&from=yesterday")
    assert [error["parameter"] for error in refused.errors] == ["status", "from"]


async def test_the_recording_that_java_asks_a_call_for(api: World) -> None:
    await api.call(IDS[1])
    await api.leg(IDS[2], IDS[1])
    await api.recording(IDS[3], IDS[1], IDS[2])
    answer = await api.ask("GET", f"/calls/{IDS[1]}?legs={IDS[2]}&recordings={IDS[3]}")
    assert answer.data[0]["id"] == IDS[3]
    assert answer.data[0]["format"] == "wav"
    assert (await api.ask("GET", f"/calls/{IDS[1]}?legs={IDS[2]}&recordings=none")).status == 404


async def test_hanging_up(api: World) -> None:
    queued = (await api.ask("POST", "/calls", CALL)).data[0]["id"]
    # Nobody has it yet: nothing needs to be told.
    assert (await api.ask("DELETE", f"/calls/{queued}", {})).status == 204
    ended = (await api.ask("GET", f"/calls/{queued}")).data[0]
    assert ended["status"] == "ended"
    assert ended["endedAt"]
    assert (await api.rows(outbound_calls))[0]["state"] == "over"
    running = await api.call(IDS[1], status="ongoing", ended_at=None)
    async with api.obeying(DONE) as got:
        gone = await api.ask("DELETE", f"/calls/{running}")
    assert (gone.status, gone.content) == (204, b"")
    assert got == [Command(kind=Kind.HANGUP, call_id=running)]
    # One that has ended is as it was meant to be.
    await api.call(IDS[2])
    assert (await api.ask("DELETE", f"/calls/{IDS[2]}")).status == 204


@pytest.mark.parametrize("body", [{"steps": STEPS}, {"callFlow": {"steps": STEPS}}], ids=["bare", "wrapped"])
async def test_replacing_the_callflow(api: World, body: dict[str, Any]) -> None:
    running = await api.call(IDS[1], status="ongoing", ended_at=None)
    async with api.obeying(DONE) as got:
        replaced = await api.ask("PUT", f"/calls/{running}", body)
    assert (replaced.status, replaced.data[0]["id"]) == (200, running)
    assert got[0].kind is Kind.REPLACE
    assert "<callflow" in got[0].body
    faulty = await api.ask("PUT", f"/calls/{running}", {"steps": [{"action": "x"}]})
    assert faulty.errors[0]["parameter"] == "steps/0"
    await api.call(IDS[2])
    over = await api.ask("PUT", f"/calls/{IDS[2]}", body)
    assert (over.status, over.errors[0]["code"]) == (422, 21)


async def test_adding_a_leg(api: World) -> None:
    running = await api.call(IDS[1], status="ongoing", ended_at=None)
    refusal = Outcome(result=Result.REFUSED, detail="The call has no room for another leg.")
    async with api.obeying(DONE, DONE, refusal) as got:
        assert (await api.ask("POST", f"/calls/{running}/31612345678")).status == 201
        assert (await api.ask("POST", f"/calls/{running}/sip:bob%40example.com", {})).status == 201
        refused = await api.ask("POST", f"/calls/{running}/+31612345678", {})
    assert [command.body for command in got] == ["+31612345678", "sip:bob@example.com", "+31612345678"]
    assert (refused.status, refused.errors[0]["message"]) == (422, refusal.detail)
    assert (await api.ask("POST", f"/calls/{running}/nobody")).errors[0]["parameter"] == "destination"


async def test_legs(api: World) -> None:
    await api.call(IDS[1])
    await api.leg(IDS[2], IDS[1])
    await api.leg(
        IDS[3], IDS[1], at=T0 + 1, direction="outgoing", sip_status=404, status="failed", answered_at=None
    )
    listed = await api.ask("GET", f"/calls/{IDS[1]}/legs")
    assert [leg["id"] for leg in listed.data] == IDS[2:4]
    leg = listed.data[0]
    assert (leg["callId"], leg["status"], leg["sipResponseCode"], leg["duration"]) == (
        IDS[1],
        "hangup",
        200,
        55,
    )
    assert leg["_links"] == {"self": f"/calls/{IDS[1]}/legs/{IDS[2]}"}
    assert (listed.data[1]["sipResponseCode"], listed.data[1]["answeredAt"]) == (404, None)
    assert (await api.ask("GET", f"/v1/calls/{IDS[1]}/legs/{IDS[2]}/")).data == [leg]
    assert (await api.ask("GET", f"/calls/{IDS[9]}/legs/{IDS[2]}")).status == 404


async def test_hold_unhold_and_hang_up_a_leg(api: World) -> None:
    await api.call(IDS[1], status="ongoing", ended_at=None)
    await api.leg(IDS[2], IDS[1], status="ongoing", ended_at=None)
    gone = Outcome(result=Result.GONE, detail="The leg has ended.")
    async with api.obeying(DONE, DONE, DONE, gone) as got:
        assert (await api.ask("POST", f"/legs/{IDS[2]}/hold")).data[0]["id"] == IDS[2]
        assert (await api.ask("POST", f"/legs/{IDS[2]}/unhold", {})).status == 200
        assert (await api.ask("DELETE", f"/legs/{IDS[2]}", {})).status == 204
        late = await api.ask("POST", f"/legs/{IDS[2]}/hold")
    assert [command.kind for command in got] == [Kind.HOLD, Kind.UNHOLD, Kind.HANGUP_LEG, Kind.HOLD]
    assert {command.leg_id for command in got} == {IDS[2]}
    assert (late.status, late.errors[0]["message"]) == (422, "The leg has ended.")


async def test_another_account_sees_nothing_of_it(api: World) -> None:
    await api.call(IDS[1], status="ongoing", ended_at=None)
    await api.leg(IDS[2], IDS[1], ended_at=None)
    asked: list[tuple[str, str, Any]] = [
        ("GET", f"/calls/{IDS[1]}", None),
        ("PUT", f"/calls/{IDS[1]}", {"steps": STEPS}),
        ("DELETE", f"/calls/{IDS[1]}", None),
        ("POST", f"/calls/{IDS[1]}/31612345678", None),
        ("GET", f"/calls/{IDS[1]}/legs", None),
        ("GET", f"/calls/{IDS[1]}/legs/{IDS[2]}", None),
        ("DELETE", f"/legs/{IDS[2]}", None),
        ("POST", f"/legs/{IDS[2]}/hold", None),
    ]
    async with api.obeying() as got:
        for method, path, body in asked:
            assert (await api.ask(method, path, body, key="other")).status == 404, (method, path)
    assert got == []
    assert (await api.ask("GET", "/calls", key="other")).data == []
