"""The server: routes, keys, limits, and what it does with what is no proper request."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest

from tests.api.world import World, world
from voice.api.faults import Family
from voice.api.operation import Operation
from voice.api.readers import text
from voice.api.reply import Reply
from voice.api.request import Request


async def echo(request: Request) -> Reply:
    """Shows what an operation gets."""
    name = request.body.optional("name", text())
    request.body.check()
    return Reply.json({"data": [{"name": name, "fields": list(request.body), "account": request.account}]})


async def bug(request: Request) -> Reply:
    raise RuntimeError("live_secret is not to be shown")


async def slow(request: Request) -> Reply:
    await asyncio.Event().wait()
    raise AssertionError


def operation(method: str, path: str, run: object, **more: object) -> Operation:
    usual = {
        "family": Family.VOICE,
        "tag": "t",
        "summary": f"{method} {path}",
        "scope": "calls",
        "answers": {},
    }
    return Operation(**{**usual, "method": method, "path": path, "run": run, **more})  # type: ignore[arg-type]


OPERATIONS = (
    operation("GET", "/things/{thing}", echo),
    operation("POST", "/things/{thing}", echo, bare="name", also=("/old/{x}/things/{thing}",)),
    operation("PUT", "/things/{thing}", echo),
    operation("DELETE", "/things/{thing}", echo),
    operation("POST", "/bug", bug),
    operation("GET", "/slow", slow, family=Family.REST),
)


@pytest.mark.parametrize(
    "path", ["/things/1", "/things/1/", "/v1/things/1", "/v1/things/1/", "//things//1", "/v1//things/1"]
)
async def test_a_path_with_or_without_version_and_slashes(tmp_path: Path, path: str) -> None:
    async with world(tmp_path, OPERATIONS) as api:
        assert (await api.ask("GET", path)).status == 200


async def test_methods(tmp_path: Path) -> None:
    async with world(tmp_path, OPERATIONS) as api:
        refused = await api.ask("PATCH", "/things/1", {})
        assert refused.status == 405
        assert refused.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS, POST, PUT"
        assert refused.errors[0]["code"] == 98
        head = await api.ask("HEAD", "/things/1")
        assert (head.status, head.content) == (200, b"")
        assert int(head.headers["Content-Length"]) > 0
        options = await api.ask("OPTIONS", "/things/1", key=None)
        assert (options.status, options.headers["Allow"][:6]) == (204, "DELETE")
        missing = await api.ask("GET", "/nothing")
        assert (missing.status, missing.errors[0]["code"]) == (404, 98)
        assert (await api.ask("POST", "/old/2/things/1", {"name": "a"})).data[0]["name"] == "a"


async def test_the_verb_in_the_query(tmp_path: Path) -> None:
    async with world(tmp_path, OPERATIONS) as api:
        assert (await api.ask("GET", "/bug?_method=PUT")).status == 405
        posted = await api.ask("GET", "/things/1?_method=POST&Name=from+the+query")
        assert posted.data[0]["name"] == "from the query"
        assert (await api.ask("POST", "/things/1?_method=DELETE", {"name": "b"})).data[0]["name"] == "b"


@pytest.mark.parametrize(
    ("raw", "content_type", "name"),
    [
        (b'{"NAME":"a"}', "text/plain", "a"),
        (b'{"name":5}', None, "5"),
        (b'"a"', "application/json", "a"),
        (b'"{\\"name\\":\\"a\\"}"', "application/json", "a"),
        (b"name=a+b&other=1", "application/x-www-form-urlencoded", "a b"),
        (b"name=a", "application/json; charset=utf-8", None),
        (b"", "application/json", None),
        (b"{}", None, None),
        (b"null", None, None),
        (b"  \n", None, None),
        (b'\xef\xbb\xbf{"name":"a"}', "application/json", "a"),
    ],
)
async def test_bodies_of_every_kind(
    tmp_path: Path, raw: bytes, content_type: str | None, name: str | None
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    async with world(tmp_path, OPERATIONS) as api:
        answer = await api.ask("POST", "/things/1", raw=raw, headers=headers)
        if raw == b"name=a":  # says that it is JSON, which it is not
            assert (answer.status, answer.errors[0]["code"]) == (422, 21)
        else:
            assert answer.data[0]["name"] == name
        assert (await api.ask("DELETE", "/things/1", raw=b"{}")).status == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 60_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"name":' + b"9" * 50_000 + b"}",
        b'{"name":1e999}',
        b'{"name":NaN}',
        b'{"name":"\\u0000"}',
        b'{"name":"\\ud800"}',
        b'{"name":"\xff\xfe"}',
        b'{"name":{}}',
        b'{"name":["a"]}',
        b'{"name":true}',
        b'{"name":',
        b"<xml/>",
        b"[1]" * 2,
        b"\x00\x01\x02",
        b"a=1&" * 2_000,
    ],
    ids=lambda raw: repr(raw[:14]),
)
async def test_hostile_bodies_are_refused_with_a_reason(tmp_path: Path, raw: bytes) -> None:
    async with world(tmp_path, OPERATIONS) as api:
        answer = await api.ask("PUT", "/things/1", raw=raw)
        assert answer.status == 422, answer.content
        assert answer.json["data"] is None
        assert answer.errors[0]["message"] == answer.errors[0]["description"] != ""
        assert set(answer.errors[0]) == {"code", "message", "description", "parameter"}


async def test_what_is_too_large_or_cannot_be_read(tmp_path: Path) -> None:
    async with world(tmp_path, OPERATIONS) as api:
        assert (await api.ask("POST", "/things/1", raw=b" " * 65_536)).status == 200
        assert (await api.ask("POST", "/things/1", raw=b" " * 65_537)).status == 413
        gzipped = {"Content-Encoding": "gzip"}
        assert (await api.ask("POST", "/things/1", raw=b"x", headers=gzipped)).status == 415
        parts = {"Content-Type": "multipart/form-data; boundary=x"}
        assert (await api.ask("POST", "/things/1", raw=b"--x--", headers=parts)).status == 415


async def test_an_endless_body_is_cut_off(tmp_path: Path) -> None:
    async with world(tmp_path, OPERATIONS) as api, api.connection() as (reader, writer):
        writer.write(_head(api, "POST", "Transfer-Encoding: chunked"))
        for _ in range(20):
            writer.write(b"2000\r\n" + b" " * 0x2000 + b"\r\n")
        await writer.drain()
        assert b" 413 " in await reader.readline()


async def test_a_body_that_does_not_come_is_waited_for_only_so_long(tmp_path: Path) -> None:
    async with (
        world(tmp_path, OPERATIONS, body_seconds=0.2) as api,
        api.connection() as (reader, writer),
    ):
        writer.write(_head(api, "POST", "Content-Length: 100") + b"{")
        assert b" 408 " in await reader.readline()
        assert b'"code":21' in await reader.read()


async def test_curl_waits_for_a_continue(tmp_path: Path) -> None:
    async with world(tmp_path, OPERATIONS) as api, api.connection() as (reader, writer):
        writer.write(_head(api, "POST", "Content-Length: 2\r\nExpect: 100-continue"))
        assert b" 100 " in await reader.readline()
        await reader.readline()
        writer.write(b"{}")
        assert b" 200 " in await reader.readline()


async def test_silent_connections_make_room(tmp_path: Path) -> None:
    async with world(tmp_path, OPERATIONS, max_connections=8) as api:
        silent = [await asyncio.open_connection(api.address.host, api.address.port) for _ in range(30)]
        for _, writer in silent[:8]:
            writer.write(b"GET /things/1 HTTP/1.1\r\nX-Slow: ")
        assert (await api.ask("GET", "/things/1")).status == 200
        # The oldest were closed; the newest are still there.
        assert await silent[0][0].read() == b""
        for _, writer in silent:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)


@pytest.mark.parametrize(
    "line",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /things/1 HTTP/1.1\r\nX: " + b"a" * 9_000 + b"\r\n\r\n",
    ],
    ids=["garbage", "version", "header"],
)
async def test_what_is_no_http_is_answered_in_our_shape(tmp_path: Path, line: bytes) -> None:
    async with world(tmp_path, OPERATIONS) as api, api.connection() as (reader, writer):
        writer.write(line)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert b" 400 " in head.splitlines()[0]
        assert json.loads(body)["errors"][0]["code"] == 21


async def test_keys(tmp_path: Path) -> None:
    async with world(tmp_path, OPERATIONS) as api:
        for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "AccessKey live_wrong"}):
            answer = await api.ask("GET", "/things/1", key=None, headers=headers)
            assert answer.status == 401
            assert answer.errors[0]["code"] == 2
            assert answer.headers["WWW-Authenticate"] == "AccessKey"
        lower = {"Authorization": f"accesskey  {api.keys['live']}"}
        assert (await api.ask("GET", "/things/1", key=None, headers=lower)).status == 200
        assert (await api.ask("GET", "/things/1", key="reader")).status == 200
        lacking = await api.ask("POST", "/things/1", {}, key="reader")
        assert (lacking.status, "scope calls" in lacking.errors[0]["message"]) == (401, True)


async def test_an_operator_says_for_whom(tmp_path: Path) -> None:
    async with world(tmp_path, OPERATIONS) as api:
        by_name = await api.ask("GET", "/things/1?account=acme", key="operator")
        by_id = await api.ask("GET", "/things/1", key="operator", headers={"X-Account": "acme-id"})
        assert by_name.data[0]["account"] == by_id.data[0]["account"] == "acme-id"
        assert (await api.ask("GET", "/things/1", key="operator")).data[0]["account"] is None
        assert (await api.ask("GET", "/things/1?account=nobody", key="operator")).status == 422
        assert (await api.ask("GET", "/things/1?account=acme")).status == 200
        assert (await api.ask("GET", "/things/1?account=other")).status == 401


async def test_who_asks_too_often_waits(tmp_path: Path) -> None:
    async with world(tmp_path, OPERATIONS, requests_per_second=0.5, burst=3) as api:
        answers = [await api.ask("GET", "/things/1") for _ in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429]
        assert answers[3].headers["Retry-After"] == "2"
        assert answers[3].errors[0]["code"] == 22
        # Another key has a bucket of its own.
        assert (await api.ask("GET", "/things/1", key="other")).status == 200


async def test_who_guesses_keys_waits_but_nobody_else(tmp_path: Path) -> None:
    async with world(tmp_path, OPERATIONS) as api:
        assert (await api.ask("GET", "/things/1")).status == 200
        statuses = [(await api.ask("GET", "/things/1", key=f"live_{at}")).status for at in range(22)]
        assert statuses == [401] * 20 + [429] * 2
        # From the same address, with a key that was right before.
        assert (await api.ask("GET", "/things/1")).status == 200


async def test_request_ids_and_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with world(tmp_path, OPERATIONS) as api:
        given = await api.ask("GET", "/things/1?token=123456", headers={"X-Request-Id": "abc-1"})
        assert given.headers["X-Request-Id"] == "abc-1"
        refused = await api.ask("GET", "/things/1", headers={"X-Request-Id": "a b\tc"})
        assert len(refused.headers["X-Request-Id"]) == 36
        failed = await api.ask("POST", "/bug", {})
        assert (failed.status, failed.errors[0]["code"]) == (500, 99)
        assert failed.headers["X-Request-Id"] in failed.errors[0]["message"]
        assert "live_secret" not in failed.content.decode()
        assert failed.headers["X-Request-Id"] in caplog.text
        assert "abc-1" in caplog.text
        assert api.keys["live"] not in caplog.text
        assert "123456" not in caplog.text


async def test_an_answer_that_takes_too_long(tmp_path: Path) -> None:
    async with world(tmp_path, OPERATIONS, answer_seconds=0.1) as api:
        late = await api.ask("GET", "/slow")
        assert (late.status, late.errors[0]["code"]) == (503, 100)
        assert "data" not in late.json
        assert late.headers["Retry-After"]


async def test_two_operations_cannot_claim_one_place(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is claimed twice"):
        async with world(tmp_path, (*OPERATIONS, OPERATIONS[0])):
            pass


def _head(api: World, method: str, *headers: str) -> bytes:
    lines = [f"{method} /things/1 HTTP/1.1", "Host: x", f"Authorization: AccessKey {api.keys['live']}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode()
