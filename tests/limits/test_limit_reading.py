"""Limits as files and the API write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sip_config.call_limits import UNLIMITED, CallLimits, NumberKind
from sip_config.declaration import read_declaration
from sip_config.declared_limits import read_limits
from sip_config.differences import differences
from sip_config.faults import ConfigurationFaults
from sip_config.reading import FaultList, Section
from sip_config.toml_source import read_toml
from tests.admin.conftest import api as api
from tests.api.world import ACME, World
from voice.store.config import ConfigStore

ALL = """
[limits]
calls_per_second = 0.5
concurrent_calls = 3
max_call_seconds = 600
allowed_prefixes = ["+3188", "44"]
denied_prefixes = ["8821"]
denied_kinds = ["premium", "SATELLITE"]
allowed_countries = ["nl", "001"]
denied_countries = ["CU"]
daily_minutes = 60
daily_spend = 12.5
new_destinations_per_hour = 10
new_countries_per_hour = 0
"""
MEANT = CallLimits(
    calls_per_second=0.5,
    concurrent_calls=3,
    max_call_seconds=600,
    allowed_prefixes=("3188", "44"),
    denied_prefixes=("8821",),
    denied_kinds=(NumberKind.PREMIUM, NumberKind.SATELLITE),
    allowed_countries=("NL", "001"),
    denied_countries=("CU",),
    daily_minutes=60,
    daily_spend=12_500_000,
    new_destinations_per_hour=10,
    new_countries_per_hour=0,
)
SHOWN = {
    "callsPerSecond": 0.5,
    "concurrentCalls": 3,
    "maxCallSeconds": 600,
    "allowedPrefixes": ["3188", "44"],
    "deniedPrefixes": ["8821"],
    "deniedKinds": ["premium", "satellite"],
    "allowedCountries": ["NL", "001"],
    "deniedCountries": ["CU"],
    "dailyMinutes": 60,
    "dailySpend": 12.5,
    "newDestinationsPerHour": 10,
    "newCountriesPerHour": 0,
}


def read(text: str) -> CallLimits:
    faults = FaultList()
    limits = read_limits(Section(read_toml(text, "f.toml"), faults))
    faults.raise_if_any()
    return limits


def test_a_file_says_all_of_them() -> None:
    assert read(ALL) == MEANT
    assert read("") == UNLIMITED


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('denied_kinds = ["costly"]', "premium"),
        ('denied_prefixes = ["0900"]', "cannot be a prefix"),
        ('allowed_countries = ["XX"]', "no country code"),
        ('allowed_countries = ["NL"]\ndenied_countries = ["nl"]', "is allowed and denied"),
        ('allowed_prefixes = ["31"]\ndenied_prefixes = ["+31"]', "Keep it in one of the two lists"),
        (f"denied_prefixes = [{', '.join(repr(str(one)) for one in range(1_000, 2_001))}]", "at most 1000"),
        ("daily_spend = -1", "out of bounds"),
        ("daily_minutes = 1.5", "whole number"),
        ("new_destinations_per_hour = -1", "out of bounds"),
        ("new_destination_per_hour = 1", "Did you mean new_destinations_per_hour"),
    ],
)
def test_what_is_wrong_is_named(line: str, says: str) -> None:
    with pytest.raises(ConfigurationFaults, match=says):
        read(f"[limits]\n{line}")


async def stored(api: World) -> tuple[CallLimits, CallLimits]:
    """Of the account and of its first domain."""
    store = ConfigStore(api.database, media_folder=api.settings.media_directory)
    configuration = (await store.load(realm=api.settings.base_domain))[0]
    account = next(one for one in configuration.accounts if one.id == ACME)
    domain = next(one for one in configuration.domains if one.account_id == ACME)
    return account.limits, domain.limits


async def put(api: World, limits: Any, *, status: int = 200) -> Any:
    answer = await api.ask("PUT", f"/accounts/{ACME}", {"limits": limits}, key="operator")
    assert answer.status == status, answer.content
    return answer


async def test_the_api_says_all_of_them_and_keeps_what_is_left_out(api: World) -> None:
    assert (await put(api, SHOWN)).json["limits"] == SHOWN
    kept = (await put(api, {"dailyMinutes": None, "deniedKinds": []})).json["limits"]
    assert kept == {**SHOWN, "dailyMinutes": None, "deniedKinds": []}
    made = await api.ask("POST", "/sip/domains", {"label": "limited", "limits": SHOWN})
    assert made.json["limits"] == SHOWN
    account, domain = await stored(api)
    assert account.daily_spend == domain.daily_spend == 12_500_000
    assert domain == MEANT
    assert (await put(api, None)).json["limits"]["concurrentCalls"] is None
    assert (await stored(api))[0] == UNLIMITED


@pytest.mark.parametrize(
    ("limits", "where"),
    [
        ({"deniedKinds": ["costly"]}, "limits/deniedKinds/0"),
        ({"allowedCountries": ["NL", "XX"]}, "limits/allowedCountries/1"),
        ({"allowedCountries": ["NL"], "deniedCountries": ["NL"]}, "limits/deniedCountries"),
        ({"dailySpend": -1}, "limits/dailySpend"),
        ({"dailySpend": "0.0000001"}, "limits/dailySpend"),
        ({"newCountriesPerHour": 1e9}, "limits/newCountriesPerHour"),
    ],
)
async def test_what_the_api_cannot_use_is_named(api: World, limits: dict[str, Any], where: str) -> None:
    answer = await put(api, limits, status=422)
    assert where in [error["parameter"] for error in answer.errors]


async def test_an_account_does_not_change_its_own(api: World) -> None:
    answer = await api.ask("PUT", f"/accounts/{ACME}", {"limits": None})
    assert answer.status == 401


def test_what_a_file_changes_is_told_in_its_own_words(tmp_path: Path) -> None:
    before, after = (
        read_declaration(
            Section(read_toml(text, "f.toml"), FaultList()),
            base_domain="sip.example.com",
            folder=tmp_path,
            canonical=lambda document: document.decode(),
        ).configuration
        for text in (
            "[accounts.acme.limits]\ndenied_countries = ['CU']\n",
            "[accounts.acme.limits]\ndenied_kinds = ['premium']\ndaily_spend = 12.5\n",
        )
    )
    (change,) = differences(before, after)
    assert change.details == (
        "limits, denied kinds: +premium",
        "limits, denied countries: -CU",
        "limits, daily spend: none -> 12.5",
    )
