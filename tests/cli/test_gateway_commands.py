"""Gateways on the command line: every option by file, what is wrong with them, rates, states."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from sip_config.gateway_options import CallerIdFormat, GatewayOptions, HeaderRules
from sip_config.model import Gateway, NumberFormat
from sip_config.rate_table import RateTable
from tests.cli.console import NODE, Run
from voice.store.config import ConfigStore
from voice.store.database import Database, sqlite_url
from voice.store.gateway_states import BELIEVED_SECONDS, State, keep_states

OPTIONS = """
[gateways.full]
host = "sip.carrier.example"
username = "u"
password = "battery staple"
number_format = "national"
weight = 7
trusted = true
ringing_seconds = 8
total_seconds = 40.5
failover = ["503", "4XX"]
keepalive_seconds = 20
cooldown_seconds = 45
cooldown_after = 2
concurrent_calls = 60
calls_per_second = 2.5
country = "nl"
strip_prefix = "0"
add_prefix = "99#"
caller_id_format = "rpid"
remove_headers = ["User-Agent"]
replace_headers = ["Subject: none"]
add_headers = ["X-Trunk: a: b"]
register = true
register_seconds = 600
register_user = "31201234567"
register_domain = "ims.carrier.example"
rates_file = "rates.csv"
"""
EXPECTED = GatewayOptions(
    weight=7,
    trusted=True,
    ringing_seconds=8.0,
    total_seconds=40.5,
    failover=("503", "4xx"),
    keepalive_seconds=20.0,
    cooldown_seconds=45.0,
    cooldown_after=2,
    concurrent_calls=60,
    calls_per_second=2.5,
    country="NL",
    strip_prefix="0",
    add_prefix="99#",
    caller_id_format=CallerIdFormat.RPID,
    headers=HeaderRules(remove=("User-Agent",), replace=(("Subject", "none"),), add=(("X-Trunk", "a: b"),)),
    register=True,
    register_seconds=600,
    register_user="31201234567",
    register_domain="ims.carrier.example",
    rates=RateTable(prices={"31": 8_500, "": 200_000}),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rates.csv").write_text("prefix,price\n31,0.0085\n,0.2\n")
    return tmp_path


def stored(folder: Path) -> Gateway:
    async def load() -> Gateway:
        async with await Database.open(sqlite_url(folder / "data" / "trunkflow.db")) as database:
            store = ConfigStore(database, media_folder=folder / "media")
            (gateway,) = (await store.load(realm="sip.example.com"))[0].gateways
            return gateway

    return asyncio.run(load())


def applied(trunkflow: Run, folder: Path, text: str = OPTIONS) -> tuple[int, str, str]:
    (folder / "trunkflow.toml").write_text(NODE + text)
    return trunkflow("apply", "trunkflow.toml")


def test_every_option_goes_from_the_file_to_the_store(trunkflow: Run, folder: Path) -> None:
    assert applied(trunkflow, folder)[0] == 0
    gateway = stored(folder)
    assert gateway.options == EXPECTED
    assert gateway.number_format is NumberFormat.NATIONAL
    assert "Nothing to change" in applied(trunkflow, folder)[1]


def test_a_change_is_named_without_showing_whole_tables(trunkflow: Run, folder: Path) -> None:
    applied(trunkflow, folder)
    (folder / "rates.csv").write_text("31,0.01")
    output = applied(trunkflow, folder, OPTIONS.replace("weight = 7", "weight = 8"))[1]
    assert "weight: 7 -> 8" in output
    assert "rates: 2 rates -> 1 rates" in output


def test_every_fault_is_said_at_once(trunkflow: Run, folder: Path) -> None:
    (folder / "rates.csv").write_text("31,0.01\nx,y\n")
    faulty = """
[gateways.g]
host = "192.0.2.1"
number_format = "national"
ringing_seconds = 50
total_seconds = 20
failover = ["3xx", "99"]
keepalive_seconds = 1
cooldown_after = 0
country = "Mars"
add_prefix = "abc"
caller_id_format = "fax"
remove_headers = ["Via", "x y"]
add_headers = ["X-A"]
register = true
register_seconds = 5
rates_file = "rates.csv"
[gateways.h]
host = "192.0.2.2"
rates_file = "missing.csv"
"""
    status, _, errors = applied(trunkflow, folder, faulty)
    assert status == 2
    for says in (
        "gateways.g.number_format: Numbers in national format are those of a country",
        "gateways.g.ringing_seconds: It may ring later",
        "gateways.g.failover[0]:",
        "gateways.g.failover[1]:",
        "gateways.g.keepalive_seconds: 1.0 is out of bounds",
        "gateways.g.cooldown_after:",
        "gateways.g.country:",
        "gateways.g.add_prefix:",
        "gateways.g.caller_id_format:",
        "gateways.g.remove_headers[0]: SIP itself needs Via",
        "gateways.g.remove_headers[1]:",
        "gateways.g.add_headers[0]:",
        "gateways.g.register: A registration needs a user name and a password",
        "gateways.g.register_seconds:",
        "rates.csv:2: “x” cannot be a prefix",
        "gateways.h.rates_file:",
    ):
        assert says in errors, errors


def test_rates_are_imported_and_shown(trunkflow: Run, folder: Path) -> None:
    applied(trunkflow, folder, '[gateways.c]\nhost = "192.0.2.1"\n')
    status, output, _ = trunkflow("rates", "c", "rates.csv")
    assert status == 0
    assert "Gateway c has 2 rates." in output
    assert "name the CSV there as rates_file" in output
    assert stored(folder).options.rates == EXPECTED.rates
    assert json.loads(trunkflow("rates", "c", "--json")[1]) == [
        {"prefix": "", "price": "0.2"},
        {"prefix": "31", "price": "0.0085"},
    ]
    assert "(any)" in trunkflow("rates", "c")[1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nobody", "rates.csv"), "There is no gateway nobody"),
        (("c", "missing.csv"), "cannot be read: No such file"),
        (("c", "bad.csv"), "bad.csv:2: "),
        (("c", "binary.csv"), "is not UTF-8"),
        (("c", "rates.csv", "--account", "acme"), "There is no gateway c"),
    ],
)
def test_rates_that_cannot_be_imported_change_nothing(
    trunkflow: Run, folder: Path, arguments: tuple[str, ...], says: str
) -> None:
    (folder / "bad.csv").write_text("31,0.01\n32;0.02\n")
    (folder / "binary.csv").write_bytes(b"\xff\xfe31")
    applied(trunkflow, folder, '[gateways.c]\nhost = "192.0.2.1"\n')
    status, _, errors = trunkflow("rates", *arguments)
    assert status == 1
    assert says in errors
    assert stored(folder).options.rates == RateTable()


def state(**more: Any) -> State:
    return {
        "available": True,
        "calls": 3,
        "addresses": 0,
        "failures": 0,
        "reason": None,
        "since": None,
        "outUntil": None,
        "roundTripMs": 12.5,
        "registration": None,
        "nameProblem": None,
        **more,
    }


def test_listings_show_how_the_nodes_find_a_gateway(trunkflow: Run, folder: Path) -> None:
    applied(trunkflow, folder)
    gateway_id = stored(folder).id
    registration = {"standing": "failed", "problem": "403 Forbidden", "until": None, "nextAttempt": 1.0}
    sick = state(available=False, reason="503 to an INVITE", registration=registration, nameProblem="no DNS")

    async def say() -> None:
        async with await Database.open(sqlite_url(folder / "data" / "trunkflow.db")) as database:
            now = time.time()
            await keep_states(database, "one", {gateway_id: state()}, now)
            await keep_states(database, "two", {gateway_id: state()}, now)
            await keep_states(database, "two", {gateway_id: sick}, now)
            await keep_states(database, "dead", {gateway_id: state(calls=99)}, now - BELIEVED_SECONDS - 1)

    asyncio.run(say())
    (listed,) = json.loads(trunkflow("gateways", "--json")[1])
    assert listed["state"] == [
        "up, 3 calls",
        "tried last (503 to an INVITE), registration failed: 403 Forbidden, no DNS, 3 calls",
    ]
