"""Whose keys may do what: every operation, with every kind of key."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.api.world import ACME, World
from voice.access_scopes import SCOPES
from voice.api.admin.resources import operations
from voice.api.operation import Account, Operation

BODIES: dict[str, Any] = {
    "/accounts": {"name": "third"},
    "/access-keys": {"label": "third"},
    "/sip/acls": {"name": "third"},
    "/sip/acls/{acl}/networks": {"network": "192.0.2.77"},
    "/sip/acls/{acl}/sip-accounts": {"username": "third"},
    "/sip/domains": {"label": "third"},
    "/numbers": {"number": "+31203333333"},
    "/sip/gateways": {"name": "third", "host": "192.0.2.3"},
    "/sip/pops": {"name": "third", "region": "EU"},
    "/sip/bans": {"address": "203.0.113.66"},
}
ACCOUNT_MAY_NOT = {("POST", "/numbers")}
"""Beside those that are for operators."""


async def furnished(api: World) -> dict[str, str]:
    """Everything of the account acme once; values for the paths' parameters."""

    async def made(path: str, body: Any, key: str = "live") -> dict[str, Any]:
        answer = await api.ask("POST", path, body, key=key)
        assert answer.status == 201, answer.content
        found: dict[str, Any] = answer.json
        return found

    acl = await made("/sip/acls", {"name": "office", "networks": ["192.0.2.1"]})
    user = await made("/sip/acls/office/sip-accounts", {"username": "pbx"})
    domain = await made("/sip/domains", {"label": "acme"})
    number = await made("/numbers?account=acme", {"number": "+31201111111"}, "operator")
    gateway = await made("/sip/gateways?account=acme", {"name": "own", "host": "192.0.2.9"}, "operator")
    key = await made("/access-keys", {"label": "second"})
    signing = await made("/signing-keys", {})
    await api.ask("PUT", "/media/tune.wav", raw=b"RIFF")
    return {
        "account": ACME,
        "access_key": key["id"],
        "signing_key": signing["id"],
        "acl": acl["id"],
        "network": "192.0.2.1%2F32",
        "sip_account": user["id"],
        "domain": domain["id"],
        "number": number["id"],
        "gateway": gateway["id"],
        "pop": "us1",
        "media": "tune.wav",
        "address": "203.0.113.66",
    }


def asked(operation: Operation, parameters: dict[str, str]) -> tuple[str, str, Any, bytes | None]:
    path = operation.path.format(**parameters)
    if operation.raw_body:
        return operation.method, path, None, b""
    body = BODIES.get(operation.path, {}) if operation.method in {"POST", "PUT"} else None
    return operation.method, path, body, None


async def status(api: World, operation: Operation, parameters: dict[str, str], key: str | None) -> int:
    method, path, body, raw = asked(operation, parameters)
    answer = await api.ask(method, path, body, key=key, raw=raw)
    assert answer.status < 500, (method, path, answer.content)
    return answer.status


async def version(api: World) -> int:
    live = await api.ask("GET", "/sip/live", key="operator")
    found: int = live.json["configurationVersion"]
    return found


async def test_nobody_without_a_good_key_does_anything(api: World) -> None:
    parameters = await furnished(api)
    revoked, row = await api.services.keys.create(ACME)
    await api.services.keys.revoke(row.id)
    expired, _ = await api.services.keys.create(ACME, expires_at=time.time() - 1)
    before = await version(api)
    for operation in operations(api.services):
        # Not from the address that is punished for wrong keys: a good key in between keeps it welcome.
        for key in (revoked, expired):
            assert await status(api, operation, parameters, key) in {401, 429}, operation.path
    assert await version(api) == before


async def test_another_account_finds_nothing(api: World) -> None:
    parameters = await furnished(api)
    before = await version(api)
    for operation in operations(api.services):
        if "{" not in operation.path:
            continue
        found = await status(api, operation, parameters, "other")
        if operation.account is Account.OPERATOR:
            assert found == 401, operation.path
        elif operation.raw_body:
            assert found == 422, operation.path  # an upload would be its own
        else:
            assert found == 404, operation.path
    assert await version(api) == before
    for operation in operations(api.services):
        if operation.method == "GET" and "{" not in operation.path and operation.account is Account.OPTIONAL:
            shown = (await api.ask("GET", operation.path, key="other")).content
            assert b"acme" not in shown, operation.path
            asked_for = await api.ask("GET", f"{operation.path}?account=acme", key="other")
            assert asked_for.status == 401, operation.path


async def test_a_key_without_the_scope_does_nothing(api: World) -> None:
    parameters = await furnished(api)
    for operation in operations(api.services):
        assert operation.scope in SCOPES
        others = [scope for scope in SCOPES if scope != operation.scope]
        owner = None if operation.account is Account.OPERATOR else ACME
        key, _ = await api.services.keys.create(owner, scopes=others)
        assert await status(api, operation, parameters, key) == 401, operation.path
        reader, _ = await api.services.keys.create(owner, scopes=[f"{operation.scope}:read"])
        if operation.method != "GET":
            assert await status(api, operation, parameters, reader) == 401, operation.path
        else:
            shows_secret = operation.path == "/signing-keys/{signing_key}"
            expected = 401 if shows_secret else 200
            assert await status(api, operation, parameters, reader) == expected, operation.path


async def test_a_test_key_reads_and_changes_nothing(api: World) -> None:
    parameters = await furnished(api)
    before = await version(api)
    for operation in operations(api.services):
        if operation.account is Account.OPERATOR:
            continue
        found = await status(api, operation, parameters, "test")
        assert found in ({200} if operation.method == "GET" else {401, 422}), operation.path
    assert await version(api) == before


async def test_operations_for_operators_refuse_accounts(api: World) -> None:
    parameters = await furnished(api)
    for operation in operations(api.services):
        if operation.account is Account.OPERATOR or (operation.method, operation.path) in ACCOUNT_MAY_NOT:
            assert await status(api, operation, parameters, "live") == 401, operation.path


async def test_accounts_and_operators_do_the_rest(api: World) -> None:
    parameters = await furnished(api)
    for key in ("live", "operator"):
        for operation in operations(api.services):
            if operation.method == "DELETE" or operation.raw_body:
                continue
            if key == "live" and (
                operation.account is Account.OPERATOR or (operation.method, operation.path) in ACCOUNT_MAY_NOT
            ):
                continue
            method, path, body, _ = asked(operation, parameters)
            named = (
                f"{path}?account=acme"
                if key == "operator" and operation.scope not in {"pops", "bans"}
                else path
            )
            answer = await api.ask(method, named, body, key=key)
            # What the account has made already is there when the operator makes it.
            taken = key == "operator" and answer.status == 422 and answer.errors[0]["code"] == 101
            assert answer.status in {200, 201} or taken, (operation.path, answer.content)


async def test_every_operation_answers_as_documented(api: World) -> None:
    parameters = await furnished(api)
    for operation in operations(api.services):
        if operation.method != "DELETE" and not operation.raw_body:
            method, path, body, _ = asked(operation, parameters)
            await api.ask(method, f"{path}?account=acme", body, key="operator")
    await api.ask("PUT", "/media/tune.wav", raw=b"RIFF")
    await api.ask("PUT", "/configuration?dryRun=1", raw="[accounts.acme]\n", key="operator")
    # The parts of a list before the list, the account that all belong to last.
    for operation in sorted(
        operations(api.services), key=lambda one: (one.tag == "Accounts", -len(one.path))
    ):
        if operation.method == "DELETE":
            key = "operator" if operation.account is Account.OPERATOR else "live"
            assert await status(api, operation, parameters, key) == 204, operation.path
    assert api.conformance is not None
    assert api.conformance.seen == {(one.method, one.path) for one in operations(api.services)}


async def test_an_operator_must_say_for_whom(api: World) -> None:
    answer = await api.ask("POST", "/sip/acls", {"name": "x"}, key="operator")
    assert (answer.status, answer.errors[0]["parameter"]) == (422, "account")


@pytest.mark.parametrize("scopes", [["*"], ["calls"], ["access-keys", "acls:read", "acls"]])
async def test_no_key_gives_away_what_it_lacks(api: World, scopes: list[str]) -> None:
    keys = api.services.keys
    narrow, _ = await keys.create(ACME, scopes=["access-keys", "acls:read"])
    made = await api.ask("POST", "/access-keys", {"scopes": scopes}, key=narrow)
    assert made.status == 401
    _, wide = await keys.create(ACME, scopes=scopes)
    rotated = await api.ask("POST", f"/access-keys/{wide.id}/rotate", {}, key=narrow)
    assert rotated.status == 401
    fitting = {"scopes": ["acls:read"]}
    assert (await api.ask("POST", "/access-keys", fitting, key=narrow)).status == 201


async def test_a_key_is_shown_once_rotated_and_revoked(api: World) -> None:
    made = (await api.ask("POST", "/access-keys", {"label": "shop", "scopes": "acls,calls:read"})).json
    key = made["key"]
    assert (made["accountId"], made["scopes"], made["test"]) == (ACME, ["acls", "calls:read"], False)
    assert "key" not in (await api.ask("GET", f"/access-keys/{made['id']}")).json
    assert key not in (await api.ask("GET", "/access-keys")).content.decode()
    new = (await api.ask("POST", f"/access-keys/{made['id']}/rotate", {"overlapSeconds": 60})).json
    assert new["scopes"] == made["scopes"]
    old = (await api.ask("GET", f"/access-keys/{made['id']}")).json
    assert old["expiresAt"] is not None
    for good in (key, new["key"]):
        assert (await api.ask("GET", "/sip/acls", key=good)).status == 200
    assert (await api.ask("DELETE", f"/access-keys/{new['id']}")).status == 204
    assert (await api.ask("GET", "/sip/acls", key=new["key"])).status == 401
    again = await api.ask("POST", f"/access-keys/{new['id']}/rotate", {})
    assert again.status == 422


async def test_a_key_that_asks_for_nonsense_is_not_made(api: World) -> None:
    body = {"scopes": ["acl"], "expiresAt": "2001-01-01T00:00:00Z", "label": "x" * 101, "test": "maybe"}
    answer = await api.ask("POST", "/access-keys", body)
    found = {error["parameter"]: error["description"] for error in answer.errors}
    assert set(found) == {"scopes/0", "expiresAt", "label", "test"}
    assert "Did you mean acls?" in found["scopes/0"]


async def test_only_an_operator_makes_keys_of_operators(api: World) -> None:
    made = (await api.ask("POST", "/access-keys", {}, key="operator")).json
    assert made["accountId"] is None
    mine = (await api.ask("POST", "/access-keys", {"accountId": None})).json
    assert mine["accountId"] == ACME
    assert (await api.ask("GET", f"/access-keys/{made['id']}")).status == 404


async def test_a_signing_key_is_shown_where_it_is_made_and_one_by_one(api: World) -> None:
    made = (await api.ask("POST", "/signing-keys", {"signsInSeconds": 3600})).json
    assert made["signsFrom"] > made["createdAt"]
    assert made["secret"].encode() not in (await api.ask("GET", "/signing-keys")).content
    assert (await api.ask("GET", f"/signing-keys/{made['id']}")).json["secret"] == made["secret"]
    assert (await api.ask("GET", f"/signing-keys/{made['id']}", key="other")).status == 404
    assert (await api.ask("DELETE", f"/signing-keys/{made['id']}", key="other")).status == 404
    assert (await api.ask("DELETE", f"/signing-keys/{made['id']}")).status == 204
    assert (await api.ask("GET", f"/signing-keys/{made['id']}")).json["revokedAt"] is not None
    assert (await api.ask("DELETE", f"/signing-keys/{made['id']}")).status == 404
