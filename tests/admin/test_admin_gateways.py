"""The options of gateways over HTTP, and how the nodes find them."""

from __future__ import annotations

import time
from typing import Any

from tests.admin.test_admin_resources import configured, made, problems
from tests.api.world import World
from tests.cli.test_gateway_commands import EXPECTED, state
from voice.store.gateway_states import keep_states

GIVEN: dict[str, Any] = {
    "weight": 7,
    "trusted": True,
    "ringingSeconds": 8,
    "totalSeconds": 40.5,
    "failover": ["503", "4xx"],
    "keepaliveSeconds": 20,
    "cooldownSeconds": 45,
    "cooldownAfter": 2,
    "concurrentCalls": 60,
    "callsPerSecond": 2.5,
    "country": "NL",
    "stripPrefix": "0",
    "addPrefix": "99#",
    "callerIdFormat": "rpid",
    "removeHeaders": ["User-Agent"],
    "replaceHeaders": ["Subject: none"],
    "addHeaders": ["X-Trunk: a: b"],
    "register": True,
    "registerSeconds": 600,
    "registerUser": "31201234567",
    "registerDomain": "ims.carrier.example",
}
NEW = {"name": "c", "host": "192.0.2.1", "username": "u", "password": "p"}


async def test_every_option_goes_in_comes_out_and_stays(api: World) -> None:
    rates = {"31": "0.0085", "": 0.2}
    gateway = await made(api, "/sip/gateways", {**NEW, **GIVEN, "rates": rates}, key="operator")
    assert {name: gateway[name] for name in GIVEN} == GIVEN
    assert gateway["rateCount"] == 2
    assert "rates" not in gateway
    (stored,) = (await configured(api)).gateways
    assert stored.options == EXPECTED
    again = await api.ask("PUT", "/sip/gateways/c", {"weight": 8}, key="operator")
    assert {name: again.json[name] for name in GIVEN} == {**GIVEN, "weight": 8}
    cleared = await api.ask(
        "PUT",
        "/sip/gateways/c",
        {
            "ringingSeconds": None,
            "keepaliveSeconds": None,
            "concurrentCalls": None,
            "addPrefix": "",
            "addHeaders": [],
            "rates": None,
        },
        key="operator",
    )
    assert cleared.json["ringingSeconds"] is cleared.json["keepaliveSeconds"] is None
    assert cleared.json["concurrentCalls"] is None
    assert (cleared.json["addPrefix"], cleared.json["addHeaders"], cleared.json["rateCount"]) == ("", [], 0)


async def test_what_a_file_would_be_refused_for_is_refused_here(api: World) -> None:
    faulty = {
        "weight": -1,
        "failover": ["3xx"],
        "keepaliveSeconds": 1,
        "country": "Mars",
        "addPrefix": "abc",
        "callerIdFormat": "fax",
        "removeHeaders": ["User-Agent", "Via"],
        "addHeaders": ["X-A: b\r\nVia: c"],
        "registerSeconds": 5,
        "rates": {"31": "0.01", "x": "0.01"},
    }
    found = problems(await api.ask("POST", "/sip/gateways", {**NEW, **faulty}, key="operator"))
    named = {"failover/0", "removeHeaders/1", "addHeaders/0", "rates/x"}
    assert set(found) == (set(faulty) - {"failover", "removeHeaders", "addHeaders", "rates"}) | named
    register = {"name": "c", "host": "192.0.2.1", "register": True, "numberFormat": "national"}
    found = problems(await api.ask("POST", "/sip/gateways", register, key="operator"))
    assert set(found) == {"register", "numberFormat"}


async def test_each_gateway_says_how_the_nodes_find_it(api: World) -> None:
    gateway = await made(api, "/sip/gateways?account=acme", NEW, key="operator")
    assert gateway["states"] == []
    registration = {"standing": "registered", "until": 60.0, "problem": None, "nextAttempt": 50.0}
    said = {gateway["id"]: state(registration=registration, since=0.0), "gone": state()}
    await keep_states(api.database, "n1", said, time.time())
    (shown,) = (await api.ask("GET", "/sip/gateways")).json["items"]
    (one,) = shown["states"]
    assert (one["node"], one["available"], one["calls"], one["roundTripMs"]) == ("n1", True, 3, 12.5)
    assert one["since"] == "1970-01-01T00:00:00Z"
    assert one["registration"] == {
        "standing": "registered",
        "until": "1970-01-01T00:01:00Z",
        "problem": None,
        "nextAttempt": "1970-01-01T00:00:50Z",
    }
    viewed = (await api.ask("GET", "/sip/gateways/c")).json
    assert viewed["states"] == shown["states"]
    changed = (await api.ask("PUT", "/sip/gateways/c", {"port": 5080}, key="operator")).json
    assert changed["states"] == shown["states"]


async def test_a_prefix_has_one_price(api: World) -> None:
    rates = {"31": "0.01", "+31": "0.02"}
    found = problems(await api.ask("POST", "/sip/gateways", {**NEW, "rates": rates}, key="operator"))
    assert set(found) == {"rates/+31"}
