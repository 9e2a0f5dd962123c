"""The OpenAPI document, the page that shows it, and what is asked according to it."""

from __future__ import annotations

import asyncio
import os
import re
import warnings
from typing import Any

import hypothesis
import pytest
import schemathesis

from tests.api.world import World
from voice.api import resources

METHODS = {"get", "post", "put", "delete"}

EXAMPLES = int(os.environ.get("TRUNKFLOW_EXAMPLES", "2"))


async def read(api: World) -> dict[str, Any]:
    answer = await api.ask("GET", "/openapi.json", key=None)
    assert answer.headers["Content-Type"].startswith("application/json")
    document: dict[str, Any] = answer.json
    return document


async def test_every_operation_is_documented(api: World) -> None:
    document = await read(api)
    assert document["openapi"] == "3.1.0"
    shown = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    served = {(one.method, path) for one in resources.operations(api.services) for path in one.paths}
    assert shown == served
    assert {method for methods in document["paths"].values() for method in methods} <= METHODS


async def test_operations_say_what_they_are(api: World) -> None:
    document = await read(api)
    operations = [one for methods in document["paths"].values() for one in methods.values()]
    ids = [one["operationId"] for one in operations]
    assert len(set(ids)) == len(ids)
    for path, methods in document["paths"].items():
        for one in methods.values():
            named = {parameter["name"] for parameter in one["parameters"] if "name" in parameter}
            assert set(re.findall(r"{([^}]+)}", path)) <= named
            assert one["summary"]
            assert one["tags"]
            assert "default" in one["responses"]


async def test_references_lead_somewhere(api: World) -> None:
    document = await read(api)

    def follow(part: Any) -> None:
        if isinstance(part, dict):
            if isinstance(reference := part.get("$ref"), str):
                at: Any = document
                for name in reference.removeprefix("#/").split("/"):
                    at = at[name]
            for value in part.values():
                follow(value)
        elif isinstance(part, list):
            for value in part:
                follow(value)

    follow(document)


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/", "/v1/docs"])
async def test_the_page_needs_nothing_from_anywhere(api: World, path: str) -> None:
    page = await api.ask("GET", path, key=None)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")
    assert "unsafe" not in policy
    html = page.content.decode()
    assert "<style" not in html
    assert not re.search(r"\son\w+=|\sstyle=|<script>|https?://", html)
    for asset, media_type in re.findall(r'(?:src|href)="(/docs/[^"]+\.(js|css))"', html):
        got = await api.ask("GET", asset, key=None)
        assert got.status == 200
        assert {"js": "text/javascript", "css": "text/css"}[media_type] in got.headers["Content-Type"]
        assert b"innerHTML" not in got.content


@pytest.mark.parametrize(("key", "account"), [("live", None), ("operator", "acme"), ("operator", None)])
async def test_what_is_asked_according_to_the_document_never_breaks_it(
    api: World, key: str, account: str | None
) -> None:
    """A little of it with each run; TRUNKFLOW_EXAMPLES says how much for each operation."""
    schema: Any = schemathesis.openapi.from_dict(await read(api))
    headers = {"Authorization": f"AccessKey {api.keys[key]}"}
    if account is not None:
        headers["X-Account"] = account
    base = f"http://{api.address}"

    def ask_all() -> int:
        asked = 0
        for found in schema.get_all_operations():
            operation = found.ok()
            raw = operation.definition.raw
            content = raw.get("requestBody", {}).get("content", {"application/json": {}})
            if raw.get("deprecated") or "application/json" not in content:
                continue  # The same as another operation, or a body that no schema describes.

            @hypothesis.given(case=operation.as_strategy())
            @hypothesis.settings(max_examples=EXAMPLES, database=None, deadline=None, derandomize=True)
            def ask(case: Any) -> None:
                nonlocal asked
                answer = case.call(base_url=base, headers=headers)
                assert answer.status_code < 500, answer.text
                asked += 1

            ask()
        return asked

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert await asyncio.to_thread(ask_all) > 50
