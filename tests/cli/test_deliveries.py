"""``trunkflow webhooks deliveries``, against a real database."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from sqlalchemy import insert

from voice.cli.main import run
from voice.store.database import Database, sqlite_url
from voice.store.schema import accounts
from voice.store.service_schema import deliveries

NODE = '[node]\nbase_domain = "sip.example.com"\ndata_directory = "data"\n'
ROW = {
    "id": "d1",
    "dedupe": "x",
    "account_id": "a",
    "event": "callCreated",
    "method": "POST",
    "url": "https://app.example.com/hook",
    "destination": "https://app.example.com:443",
    "body": "{}",
    "created_at": 1_767_225_600.0,
    "state": "failed",
    "attempts": 7,
    "retries": 7,
    "next_at": 0.0,
    "last_error": "connection refused",
}


@pytest.fixture(autouse=True)
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trunkflow.toml").write_text(NODE)
    account = {"id": "a", "name": "acme", "calls_per_second": 1, "concurrent_calls": 1, "max_call_seconds": 1}

    async def fill() -> None:
        url = sqlite_url(tmp_path / "data" / "trunkflow.db")
        async with await Database.open(url) as database, database.writing() as connection:
            await connection.execute(insert(accounts).values(account))
            await connection.execute(insert(deliveries).values(ROW))

    asyncio.run(fill())


def test_a_delivery_is_listed_and_made_due_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["webhooks", "deliveries", "list", "--account", "acme"]) == 0
    assert "connection refused" in capsys.readouterr().out
    assert run(["webhooks", "deliveries", "replay", "d1", "--account", "acme"]) == 0
    capsys.readouterr()
    assert run(["webhooks", "deliveries", "list", "--account", "acme", "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert (shown["state"], shown["attempts"], shown["created_at"]) == (
        "pending",
        7,
        "2026-01-01T00:00:00.000Z",
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "--account", "nobody"], "There is no account nobody."),
        (["list", "--account", "acme", "--state", "lost"], "There is no state lost."),
        (["replay", "d2", "--account", "acme"], "has no delivery d2"),
    ],
)
def test_what_is_not_there_is_said(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run(["webhooks", "deliveries", *arguments]) == 1
    assert said in capsys.readouterr().err
