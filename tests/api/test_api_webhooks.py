"""Webhooks: as each SDK asks for them, and every account its own."""

from __future__ import annotations

import pytest

from tests.api.world import World

HOOK = {"url": "https://example.com/hook", "token": "secret"}


async def test_the_life_of_a_webhook(api: World) -> None:
    made = await api.ask("POST", "/webhooks/", HOOK)
    assert made.status == 201
    webhook = made.data[0]
    assert webhook["url"] == HOOK["url"]
    assert webhook["token"] == "secret"
    assert webhook["createdAt"] == webhook["updatedAt"]
    assert webhook["_links"] == {"self": f"/webhooks/{webhook['id']}"} == made.json["_links"]
    assert "errors" not in made.json
    path = f"/webhooks/{webhook['id']}"
    # PUT may hold the token only (Python, Node), or a read-only field that was read before (Go).
    only_token = await api.ask(
        "PUT", path, {"title": None, "token": "other", "createdAt": "0001-01-01T00:00:00Z"}
    )
    assert (only_token.status, only_token.data[0]["url"], only_token.data[0]["token"]) == (
        200,
        HOOK["url"],
        "other",
    )
    assert (await api.ask("PUT", path, {"URL": "http://b.example/x"})).data[0]["url"] == "http://b.example/x"
    assert (await api.ask("PUT", path, {"token": ""})).data[0]["token"] is None
    assert (await api.ask("GET", path)).data[0]["url"] == "http://b.example/x"
    gone = await api.ask("DELETE", path, {})
    assert (gone.status, gone.content) == (204, b"")
    missing = await api.ask("GET", path)
    assert missing.status == 404
    assert missing.errors[0] == {
        "code": 13,
        "message": f"No webhook found for ID `{webhook['id']}`.",
        "description": f"No webhook found for ID `{webhook['id']}`.",
        "parameter": None,
    }
    assert "pagination" not in missing.json
    assert (await api.ask("DELETE", path)).status == 404


async def test_another_account_sees_nothing_of_it(api: World) -> None:
    webhook = (await api.ask("POST", "/webhooks", HOOK)).data[0]["id"]
    for method, body in (("GET", None), ("PUT", {"token": "x"}), ("DELETE", None)):
        assert (await api.ask(method, f"/webhooks/{webhook}", body, key="other")).status == 404
    assert (await api.ask("GET", "/webhooks", key="other")).data == []
    assert (await api.ask("GET", f"/webhooks/{webhook}")).data[0]["token"] == "secret"
    assert (await api.ask("GET", "/webhooks", key="operator")).status == 422
    assert len((await api.ask("GET", "/webhooks?account=acme", key="operator")).data) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": None},
        {"url": "ftp://example.com/"},
        {"url": "example.com"},
        {"url": 5},
        {"url": "http://exa mple.com/"},
        {"url": "https://example.com/" + "a" * 3_000},
        {"url": {}, "token": "a" * 300},
    ],
)
async def test_what_cannot_be_a_webhook(api: World, body: dict[str, object]) -> None:
    refused = await api.ask("POST", "/webhooks", body)
    assert refused.status == 422
    assert [error["parameter"] for error in refused.errors] == ["url", "token"][: len(refused.errors)]
    if body in ({}, {"url": None}):
        assert refused.errors[0]["code"] == 9


async def test_all_faults_at_once(api: World) -> None:
    refused = await api.ask("POST", "/webhooks", {"url": "x", "token": [], "title": "t" * 256})
    assert [error["parameter"] for error in refused.errors] == ["url", "token", "title"]
