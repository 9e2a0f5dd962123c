"""Callflows: in every encoding that comes, with every fault at once, and the numbers that they answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.world import NUMBER, OTHERS_NUMBER, World
from voice.store.config import ConfigStore

SAY = {"action": "say", "options": {"payload": "Hello", "language": "en-GB", "voice": "male"}}
FLOW = {"title": "Forward", "record": True, "steps": [SAY]}
CANONICAL = (
    '<?xml version="1.0" encoding="UTF-8"?><callflow><steps><step id="greet" action="say">'
    "<language>en-GB</language><voice>male</voice><text>Hello</text></step></steps></callflow>"
)
COMPACT = '<?xml version="1.0" encoding="UTF-8"?><Transfer destination="31612345678" mask="true" />'


async def create(api: World, body: Any = FLOW, **more: Any) -> Any:
    made = await api.ask("POST", "/call-flows", body, **more)
    assert made.status == 201, made.content
    return made.data[0]


async def test_the_life_of_a_callflow(api: World) -> None:
    made = await api.ask("POST", "/v1/call-flows/", FLOW)
    assert made.status == 201
    flow = made.data[0]
    assert (flow["title"], flow["record"], flow["default"]) == ("Forward", True, False)
    assert flow["steps"] == [{**SAY, "id": flow["steps"][0]["id"]}]
    assert flow["createdAt"] == flow["updatedAt"]
    path = f"/call-flows/{flow['id']}"
    assert made.json["_links"] == {"self": path} == flow["_links"]
    assert "errors" not in made.json
    assert (await api.ask("GET", path)).data == [flow]
    changed = await api.ask("PUT", path, {"title": "Changed", "steps": [SAY, {"action": "hangup"}]})
    assert changed.status == 200
    assert [step["action"] for step in changed.data[0]["steps"]] == ["say", "hangup"]
    assert (changed.data[0]["record"], changed.data[0]["createdAt"]) == (False, flow["createdAt"])
    listed = await api.ask("GET", "/call-flows?limit=10&offset=0")
    assert [one["title"] for one in listed.data] == ["Changed"]
    gone = await api.ask("DELETE", path, {})
    assert (gone.status, gone.content) == (204, b"")
    for method, body in (("GET", None), ("PUT", FLOW), ("DELETE", None)):
        missing = await api.ask(method, path, body)
        assert (missing.status, missing.errors[0]["code"]) == (404, 13)


async def test_titles_need_not_be_unique(api: World) -> None:
    titles = [(await create(api, {**FLOW, **title}))["title"] for title in ({}, {}, {"title": "a/b"})]
    assert titles == ["Forward", "Forward", "a/b"]
    untitled = await create(api, {"steps": [SAY]})
    assert untitled["title"] == untitled["id"]


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", None]
)
@pytest.mark.parametrize("raw", [json.dumps(FLOW), CANONICAL, COMPACT], ids=["json", "canonical", "compact"])
async def test_encodings(api: World, raw: str, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    flow = await create(api, None, raw=raw, headers=headers)
    actions = [step["action"] for step in flow["steps"]]
    assert actions == (["transfer"] if raw is COMPACT else ["say"])
    assert flow["title"] == ("Forward" if raw[0] == "{" else "XML Call flow")
    if raw is CANONICAL:
        assert flow["steps"][0]["id"] == "greet"


async def test_shown_as_xml_when_asked(api: World) -> None:
    flow = await create(api, None, raw=CANONICAL, headers={"Content-Type": "application/xml"})
    path = f"/call-flows/{flow['id']}"
    shown = await api.ask("GET", path, headers={"Accept": "application/xml, */*"})
    assert shown.headers["Content-Type"].startswith("application/xml")
    assert b'<step id="greet" action="say">' in shown.content
    # What was shown can be put back.
    put = await api.ask("PUT", path, raw=shown.content, headers={"Accept": "text/xml"})
    assert put.content == shown.content
    usual = await api.ask("GET", path, headers={"Accept": "*/*"})
    assert usual.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize(
    "body",
    [
        # Go
        '{"title":"t","record":false,"default":false,"createdAt":"0001-01-01T00:00:00Z","updatedAt":"0001-01-01T00:00:00Z",'
        '"steps":[{"id":"","action":"say","options":{"payload":"Hi","language":"en-GB","voice":"male","Repeat":2}}]}',
        # Java: zeros for everything that is not set
        '{"steps":[{"action":"say","options":{"payload":"Hi","language":"en-GB","voice":"male","repeat":0,"length":0,'
        '"maxLength":0,"timeout":0,"machineTimeout":0,"duration":0,"interval":0,"transcribe":false,"mask":false}}]}',
        # C#
        '{"Title":"t","Steps":[{"Action":"say","Options":{"Payload":"Hi","Language":"en-GB","Voice":"male","duration":0}}]}',
        # Ruby: JSON inside JSON
        '"{\\"title\\":\\"t\\",\\"steps\\":[{\\"action\\":\\"hangup\\"}]}"',
        '{"steps":"[{\\"action\\":\\"hangup\\"}]"}',
    ],
    ids=["go", "java", "cs", "ruby", "ruby steps"],
)
async def test_as_the_sdks_write_it(api: World, body: str) -> None:
    flow = await create(api, None, raw=body)
    assert flow["steps"][0]["action"] in {"say", "hangup"}


async def test_all_faults_at_once_with_pointers(api: World) -> None:
    steps = [{"action": "dance"}, {"action": "say", "options": {"language": "xx-XX"}}, {"action": "pause"}]
    refused = await api.ask("POST", "/call-flows", {"steps": steps})
    assert refused.status == 422
    assert {error["parameter"].split("/options")[0] for error in refused.errors} == {
        "steps/0",
        "steps/1",
        "steps/2",
    }
    assert all(error["code"] == 10 for error in refused.errors)
    assert len(refused.errors) == 3


async def test_faults_in_xml_name_the_line(api: World) -> None:
    raw = (
        "<callflow>\n<steps>\n<step id='a' action='dance'/>\n<step id='a' action='say'/>\n</steps></callflow>"
    )
    refused = await api.ask("POST", "/call-flows", raw=raw)
    assert refused.status == 422
    assert [error["message"].partition(",")[0] for error in refused.errors][:2] == ["line 3", "line 4"]


@pytest.mark.parametrize(
    "raw",
    [
        "<a>",
        "<callflow/>",
        "<!DOCTYPE a><callflow/>",
        "[]",
        "5",
        '{"steps":[]}',
        '{"steps":{}}',
        "{}",
        "",
        "x=1",
    ],
)
async def test_what_is_no_callflow(api: World, raw: str) -> None:
    refused = await api.ask("POST", "/call-flows", raw=raw)
    assert refused.status == 422
    assert refused.errors[0]["message"]


async def test_a_callflow_of_more_than_32_kilobytes(api: World) -> None:
    assert (await api.ask("POST", "/call-flows", raw=" " * 32_769)).status == 413


async def test_one_default_for_an_account(api: World) -> None:
    first = await create(api, {**FLOW, "default": True})
    second = await create(api, {**FLOW, "default": "true"})
    others = await create(api, {**FLOW, "default": True}, key="other")
    defaults = {flow["id"]: flow["default"] for flow in (await api.ask("GET", "/call-flows")).data}
    assert defaults == {first["id"]: False, second["id"]: True}
    assert (await api.ask("GET", f"/call-flows/{others['id']}", key="other")).data[0]["default"] is True
    assert (await api.ask("POST", "/call-flows", {**FLOW, "default": "perhaps"})).errors[0][
        "parameter"
    ] == "default"


async def test_numbers(api: World) -> None:
    flow, other = await create(api), await create(api)
    path = f"/call-flows/{flow['id']}/numbers"
    added = await api.ask("POST", path, {"numbers": [NUMBER.removeprefix("+")]})
    assert added.status == 201
    assert [(one["number"], one["callFlowId"]) for one in added.data] == [("31201234567", flow["id"])]
    assert added.data[0]["_links"] == {"self": f"/numbers/{added.data[0]['id']}"}
    listed = await api.ask("GET", path)
    assert listed.data == added.data
    # Taken over by another callflow; the bare list and the single value mean the same.
    moved = await api.ask("POST", f"/call-flows/{other['id']}/numbers", raw=json.dumps([NUMBER]))
    assert len(moved.data) == 1
    assert (await api.ask("GET", path)).data == []
    put = await api.ask("PUT", path, {"numbers": NUMBER})
    assert (put.status, len(put.data)) == (200, 1)
    none = await api.ask("PUT", path, {"numbers": []})
    assert (none.status, none.data) == (200, [])


async def test_numbers_that_the_account_does_not_own(api: World) -> None:
    path = f"/call-flows/{(await create(api))['id']}/numbers"
    refused = await api.ask("POST", path, {"numbers": [NUMBER, OTHERS_NUMBER, "+442079460000"]})
    assert refused.status == 422
    assert [error["parameter"] for error in refused.errors] == ["numbers/1", "numbers/2"]
    assert (await api.ask("GET", path)).data == []
    faulty = await api.ask("POST", path, {"numbers": ["abc", 5]})
    assert [error["parameter"] for error in faulty.errors] == ["numbers/0"]
    assert (await api.ask("POST", path, {})).errors[0]["code"] == 9


async def test_deleting_leaves_no_number_behind(api: World) -> None:
    flow = await create(api)
    await api.ask("POST", f"/call-flows/{flow['id']}/numbers", {"numbers": [NUMBER]})
    assert (await api.ask("DELETE", f"/call-flows/{flow['id']}")).status == 204
    store = ConfigStore(api.database, media_folder=api.settings.media_directory)
    configuration, version = await store.load(realm=api.settings.base_domain)
    assert {number.callflow_id for number in configuration.numbers} == {None}
    assert version >= 3


async def test_another_account_sees_nothing_of_it(api: World) -> None:
    flow = await create(api)
    path = f"/call-flows/{flow['id']}"
    asked = [
        ("GET", path, None),
        ("PUT", path, FLOW),
        ("DELETE", path, None),
        ("GET", f"{path}/numbers", None),
    ]
    for method, url, body in (*asked, ("POST", f"{path}/numbers", {"numbers": [OTHERS_NUMBER]})):
        assert (await api.ask(method, url, body, key="other")).status == 404, (method, url)
    assert (await api.ask("GET", "/call-flows", key="other")).data == []
    assert (await api.ask("GET", path)).data == [flow]
