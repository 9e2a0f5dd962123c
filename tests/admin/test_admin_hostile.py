"""Bodies and queries that nobody should send: refused, never a fault of ours."""

from __future__ import annotations

from typing import Any

import pytest

from tests.admin.test_admin_tenancy import BODIES, asked, furnished
from tests.api.world import World
from voice.api.admin.resources import operations

ODD: tuple[Any, ...] = (None, -1, 2**70, "", "\0", "\ud800", "x" * 5_000, [[]], [{}], {"a": {"b": []}})
FILES = ("", "[", "a = 1", "accounts = 1", "[accounts]\nx = 1", "[accounts.x]\n" * 3)
QUERIES = ("since=x", "limit=-1&offset=99999999999999", "domain=%00", "source=%ff", "callId=")


async def test_no_value_of_a_field_breaks_anything(api: World) -> None:
    parameters = await furnished(api)
    for operation in operations(api.services):
        if operation.method not in {"POST", "PUT"} or operation.raw_body:
            continue
        named: dict[str, Any] = (operation.body or {}).get("properties", {})
        method, path, _, _ = asked(operation, parameters)
        for field in named:
            for value in ODD:
                body = {**BODIES.get(operation.path, {}), field: value}
                answer = await api.ask(method, f"{path}?account=acme", body, key="operator")
                assert answer.status < 500, (operation.path, field, answer.content)


@pytest.mark.parametrize("text", FILES)
async def test_no_configuration_file_breaks_anything(api: World, text: str) -> None:
    answer = await api.ask("PUT", "/configuration?dryRun=1", raw=text, key="operator")
    assert answer.status in {200, 422}


async def test_no_query_breaks_a_list(api: World) -> None:
    for operation in operations(api.services):
        if operation.method == "GET" and "{" not in operation.path:
            for query in QUERIES:
                answer = await api.ask("GET", f"{operation.path}?account=acme&{query}", key="operator")
                assert answer.status in {200, 422}, (operation.path, query)
