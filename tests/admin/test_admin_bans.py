"""Bans by API: listed, imposed and lifted, by operators only."""

from __future__ import annotations

import time

import pytest

from tests.api.world import World
from voice.bans import Ban, BanReason
from voice.store.bans import BanStore


def store(api: World) -> BanStore:
    return BanStore(api.database, api.services.bells.bans, time.time)


async def test_bans_of_the_edges_are_listed_with_their_reasons(api: World) -> None:
    now = time.time()
    made = [
        Ban(
            address=address,
            since=now - age,
            until=now + 60,
            reason=BanReason.WRONG_PASSWORDS,
            level=2,
            proven=proven,
        )
        for address, age, proven in (("192.0.2.1", 2, True), ("2001:db8:1:2::/64", 1, False))
    ]
    await store(api).put(made)
    answer = await api.ask("GET", "/sip/bans", key="operator")
    assert answer.json["totalCount"] == 2
    newest, oldest = answer.json["items"]
    assert (newest["address"], newest["transports"]) == ("2001:db8:1:2::/64", "udp")
    assert newest["href"].endswith("/sip/bans/2001:db8:1:2::%2F64")
    assert (oldest["address"], oldest["transports"], oldest["level"]) == ("192.0.2.1", "all", 2)
    assert (oldest["reason"], oldest["meaning"]) == ("wrong-passwords", "it tried wrong passwords")
    [only] = (await api.ask("GET", "/sip/bans?limit=1&offset=1", key="operator")).json["items"]
    assert only == oldest


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("192.0.2.66", "192.0.2.66"),
        ("2001:db8:1:2::66", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::/64", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.66", "192.0.2.66"),
    ],
)
async def test_an_operator_bans_and_releases(api: World, written: str, key: str) -> None:
    answer = await api.ask("POST", "/sip/bans", {"address": written, "seconds": 600}, key="operator")
    assert (answer.status, answer.json["address"], answer.json["reason"]) == (201, key, "operator")
    [(ban,), _] = await store(api).in_force(limit=10)
    assert ban.address == key
    assert 599 < ban.until - time.time() <= 600
    path = f"/sip/bans/{written.replace('/', '%2F')}"
    assert (await api.ask("DELETE", path, key="operator")).status == 204
    assert (await api.ask("GET", "/sip/bans", key="operator")).json["totalCount"] == 0
    assert (await api.ask("DELETE", path, key="operator")).status == 404


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({}, "address"),
        ({"address": "example.com"}, "address"),
        ({"address": "192.0.2.0/24"}, "address"),
        ({"address": "2001:db8::/32"}, "address"),
        ({"address": "192.0.2.1", "seconds": 0}, "seconds"),
        ({"address": "192.0.2.1", "seconds": 1e12}, "seconds"),
    ],
)
async def test_what_cannot_be_banned_is_a_named_fault(
    api: World, body: dict[str, object], parameter: str
) -> None:
    answer = await api.ask("POST", "/sip/bans", body, key="operator")
    assert answer.status == 422
    assert answer.errors[0]["parameter"] == parameter


async def test_what_is_no_address_is_not_banned(api: World) -> None:
    assert (await api.ask("DELETE", "/sip/bans/nonsense", key="operator")).status == 404
