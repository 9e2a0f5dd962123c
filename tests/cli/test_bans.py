"""``trunkflow bans``, against a real database."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from voice.bans import Ban, BanReason
from voice.bells import Bell
from voice.cli.main import run
from voice.store.bans import BanStore
from voice.store.database import Database, sqlite_url

NODE = '[node]\nbase_domain = "sip.example.com"\ndata_directory = "data"\n'


@pytest.fixture(autouse=True)
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trunkflow.toml").write_text(NODE)

    async def make() -> None:
        (tmp_path / "data").mkdir()
        async with await Database.open(sqlite_url(tmp_path / "data" / "trunkflow.db")) as database:
            now = time.time()
            ban = Ban(
                address="203.0.113.9",
                since=now,
                until=now + 500,
                reason=BanReason.SCANNER,
                level=2,
                proven=False,
            )
            await BanStore(database, Bell(), time.time).put([ban])

    asyncio.run(make())


def test_bans_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bans", "list"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "203.0.113.9" in shown
    assert "udp" in shown
    assert "it calls itself a known scanner" in shown
    assert run(["bans", "list", "--json"]) == 0
    [ban] = json.loads(capsys.readouterr().out)
    assert (ban["address"], ban["reason"], ban["level"]) == ("203.0.113.9", "scanner", 2)
    assert ban["until"].endswith("Z")


def test_one_is_released_and_another_banned(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bans", "release", "203.0.113.9"]) == 0
    assert run(["bans", "list"]) == 0
    assert "Nobody is banned." in capsys.readouterr().out
    assert run(["bans", "add", "2001:db8::1", "--seconds", "90"]) == 0
    assert "2001:db8::/64 is banned until " in capsys.readouterr().out
    assert run(["bans", "release", "2001:db8::2"]) == 0


def test_a_limit_says_that_there_are_more(capsys: pytest.CaptureFixture[str]) -> None:
    run(["bans", "add", "192.0.2.1"])
    run(["bans", "add", "192.0.2.2"])
    capsys.readouterr()
    assert run(["bans", "list", "--limit", "1"]) == 0
    shown = capsys.readouterr().out
    assert "192.0.2.2" in shown
    assert "2 more; --limit shows them." in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["release", "192.0.2.1"], "192.0.2.1 is not banned. See trunkflow bans list."),
        (["release", "nonsense"], "“nonsense” is no IP address."),
        (["add", "192.0.2.0/24"], "“192.0.2.0/24” is no IP address."),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bans", *arguments]) == 1
    assert says in capsys.readouterr().err
