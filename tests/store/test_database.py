"""Opening and migrating the database."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, insert, inspect, select, text

from voice.settings import Secret, Settings
from voice.store import schema, service_schema
from voice.store.database import Database, sqlite_url
from voice.store.errors import StoreError
from voice.store.keys import KEY_BYTES, node_key


async def test_the_migrations_make_the_tables_that_the_code_knows(tmp_path: Path) -> None:
    def differences(connection: Connection) -> object:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, service_schema.metadata)

    async with (
        await Database.open(sqlite_url(tmp_path / "x.db")) as database,
        database.reading() as connection,
    ):
        assert await connection.run_sync(differences) == []


async def test_opening_again_keeps_what_is_there(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "x.db")
    async with await Database.open(url) as database, database.writing() as connection:
        await connection.execute(insert(schema.state).values(name="a", value="b"))
    async with await Database.open(url) as database, database.reading() as connection:
        found = await connection.execute(select(schema.state.c.value).where(schema.state.c.name == "a"))
        assert found.scalar() == "b"


OPENS = """
import asyncio, sys
from voice.store.database import Database

async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    async with await Database.open(sys.argv[1]) as database:
        print("open", flush=True)

asyncio.run(main())
"""


def test_several_processes_may_open_a_new_database_at_once(tmp_path: Path, repository: Path) -> None:
    command = [sys.executable, "-c", OPENS, sqlite_url(tmp_path / "x.db")]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    command, cwd=repository, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
            )
            for _ in range(3)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        for process in processes:
            assert process.communicate(timeout=60)[0] == "open\n"
            assert process.returncode == 0


async def test_nobody_else_may_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "data" / "x.db"
    async with await Database.open(sqlite_url(path)) as database, database.writing() as connection:
        await connection.execute(insert(schema.state).values(name="a", value="b"))
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        assert {file.name for file in path.parent.iterdir()} >= {"x.db", "x.db-wal"}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.touch(0o644)
    async with await Database.open(sqlite_url(path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_settings_of_sqlite(tmp_path: Path) -> None:
    async with (
        await Database.open(sqlite_url(tmp_path / "x.db")) as database,
        database.reading() as connection,
    ):
        settings = {
            name: (await connection.execute(text(f"PRAGMA {name}"))).scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        }
        assert settings == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 5000}


async def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    async with await Database.open(sqlite_url(tmp_path / "x.db")) as database:

        async def fail() -> None:
            async with database.writing() as connection:
                await connection.execute(insert(schema.state).values(name="a", value="b"))
                raise RuntimeError

        with pytest.raises(RuntimeError):
            await fail()
        async with database.reading() as connection:
            found = await connection.execute(select(schema.state).where(schema.state.c.name == "a"))
            assert found.first() is None


async def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    async with await Database.open(sqlite_url(tmp_path / "x.db")) as database, database.writing() as writer:
        await writer.execute(insert(schema.state).values(name="a", value="b"))
        async with database.reading() as reader:
            found = await reader.execute(select(schema.state).where(schema.state.c.name == "a"))
            assert found.first() is None, "not committed yet"


async def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with await Database.open(sqlite_url(path)) as database, database.writing() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer version of trunkflow"):
        await Database.open(sqlite_url(path))
    with sqlite3.connect(path) as plain:
        assert plain.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]
    plain.close()


async def test_what_is_no_database_is_said_plainly(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_text("something else entirely " * 100)
    with pytest.raises(StoreError, match="file is not a database"):
        await Database.open(sqlite_url(path))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "cannot be read"),
        ("mysql://u:hidden@h/x", "no support for mysql"),
        ("sqlite://", "must be a file"),
        ("sqlite:///:memory:", "must be a file"),
        ("sqlite:////proc/nowhere/x.db", "cannot be opened"),
    ],
)
async def test_urls_that_cannot_be_used(url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message) as caught:
        await Database.open(url)
    assert "hidden" not in str(caught.value)


async def test_a_database_that_must_exist_is_not_made(tmp_path: Path) -> None:
    settings = Settings(base_domain="x.example", data_directory=tmp_path / "data")
    with pytest.raises(StoreError, match="There is no database"):
        await Database.of(settings, make=False)
    assert not settings.data_directory.exists()
    async with await Database.of(settings) as database:
        assert database.shown == str(settings.database_file)
    other = Settings(base_domain="x", database_url=Secret(sqlite_url(tmp_path / "other.db")))
    async with await Database.of(other):
        assert (tmp_path / "other.db").exists()


async def test_errors_do_not_show_values(tmp_path: Path) -> None:
    async with await Database.open(sqlite_url(tmp_path / "x.db")) as database:
        row = {"name": "n", "value": "hidden", "made_at": 1.0}
        with pytest.raises(StoreError) as caught, database.errors():
            async with database.writing() as connection:
                await connection.execute(insert(schema.secrets), [row, row])
        assert "unique" in str(caught.value).lower()
        assert "hidden" not in str(caught.value)


async def test_keys_are_made_once(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "x.db")
    async with await Database.open(url) as database:
        seal = await node_key(database, "seal", now=1.0)
        assert len(seal) == KEY_BYTES
        assert await node_key(database, "digest", now=1.0) != seal
    async with await Database.open(url) as database:
        assert await node_key(database, "seal", now=2.0) == seal
        made = await asyncio.gather(*(node_key(database, "new", now=3.0) for _ in range(5)))
        assert len(set(made)) == 1


async def test_foreign_keys_of_the_tables_hold(tmp_path: Path) -> None:
    def pointed_at(connection: Connection) -> set[str]:
        tables = inspect(connection)
        return {
            str(key["referred_table"])
            for name in tables.get_table_names()
            for key in tables.get_foreign_keys(name)
        }

    async with (
        await Database.open(sqlite_url(tmp_path / "x.db")) as database,
        database.reading() as connection,
    ):
        assert await connection.run_sync(pointed_at) == {
            "accounts",
            "acls",
            "callflows",
            "domains",
            "gateways",
            "sip_accounts",
            "deliveries",
            "voice_messages",
        }
