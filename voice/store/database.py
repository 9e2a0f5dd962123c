"""The connection to the database: SQLite in a file, or PostgreSQL by URL; one code path for both."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from sqlalchemy import AsyncAdaptedQueuePool, Connection, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from voice.settings import Settings
from voice.store.errors import StoreError
from voice.store.migrate import NewerDatabase, is_present, upgrade

_DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
}
BUSY_SECONDS: Final = 5.0
"""How long a statement waits for another process's transaction; it waits in a thread, never in the loop."""


def sqlite_url(path: Path) -> str:
    return URL.create("sqlite", database=str(path.resolve())).render_as_string()


def sqlite_path(url: str) -> Path | None:
    """The file of a database; None: it has none.  Raises StoreError."""
    parsed = _driver_url(url)
    return Path(str(parsed.database)) if parsed.get_backend_name() == "sqlite" else None


class Database:
    """An open database with the present tables.  `async with await Database.open(url) as database: ...`"""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._faults: tuple[type[Exception], ...] = (SQLAlchemyError, OSError, *_driver_faults(engine))
        self._writing_engine = engine.execution_options(trunkflow_writes=True)
        # SQLite has one writer.  In one process writers take turns here, at once; left to SQLite they would
        # look again after pauses of up to 0.1 s, each with a connection in hand.
        self._turn: AbstractAsyncContextManager[object] = (
            asyncio.Lock() if engine.dialect.name == "sqlite" else nullcontext()
        )

    @classmethod
    async def open(cls, url: str, *, make: bool = True) -> Database:
        """Opens the database and migrates it; a SQLite file that is not there yet is made, if `make` allows.

        Raises StoreError.
        """
        parsed = _driver_url(url)
        is_sqlite = parsed.get_backend_name() == "sqlite"
        if is_sqlite:
            _make_private_file(Path(str(parsed.database)), make)
        try:
            engine = create_async_engine(parsed, **_engine_options(is_sqlite))
        except ModuleNotFoundError as fault:
            raise StoreError(
                f"The driver {fault.name} is not installed. Run: pip install 'trunkflow[postgresql]'."
            ) from None
        if is_sqlite:
            _prepare_sqlite(engine)
        database = cls(engine)
        try:
            await database._migrate()
        except NewerDatabase:
            await database.close()
            raise StoreError(
                f"Database {_shown(parsed)} was made by a newer version of trunkflow. "
                "Run that version, or give this one a database of its own."
            ) from None
        except database._faults as fault:
            await database.close()
            raise StoreError(
                f"Database {_shown(parsed)} cannot be used: {said(fault)}. "
                "Check that it exists, that it is not damaged, and that this user may write to it."
            ) from None
        except BaseException:
            await database.close()
            raise
        return database

    @classmethod
    async def of(cls, settings: Settings, *, make: bool = True) -> Database:
        """The database of a node.  Raises StoreError."""
        url = settings.database_url
        return await cls.open(sqlite_url(settings.database_file) if url is None else url.reveal(), make=make)

    async def __aenter__(self) -> Database:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._engine.dispose()

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turns errors of the database into StoreError."""
        try:
            yield
        except self._faults as fault:
            raise StoreError(
                f"Database {self.shown}: {said(fault)}. "
                "Nothing was changed; try again, and see whether its disk is full or its server is down."
            ) from None

    @property
    def shown(self) -> str:
        """The database as messages call it, without its password."""
        return _shown(self._engine.url)

    async def _migrate(self) -> None:
        if await self._is_present():
            return
        try:
            async with self.writing() as connection:
                await connection.run_sync(upgrade)
        except SQLAlchemyError:
            # Another process that started at the same time may have been quicker.
            if not await self._is_present():
                raise

    async def _is_present(self) -> bool:
        async with self.reading() as connection:
            return await connection.run_sync(is_present)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees one state of the database and changes nothing."""
        async with self._engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that is kept when the block ends, and undone when it raises."""
        async with self._turn, self._writing_engine.begin() as connection:
            yield connection


def _driver_url(url: str) -> URL:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, SQLAlchemyError):
        raise StoreError(
            "The database URL cannot be read. Write sqlite:////path/to/file or postgresql://user:password@host/name."
        ) from None
    driver = _DRIVERS.get(backend)
    if driver is None:
        raise StoreError(f"There is no support for {backend} databases. Use SQLite or PostgreSQL.")
    if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise StoreError(
            "The database must be a file, since the commands read it from other processes. "
            "Write sqlite:////path/to/file."
        )
    return parsed.set(drivername=driver)


def _engine_options(is_sqlite: bool) -> dict[str, Any]:
    if is_sqlite:
        # Every connection is a thread of aiosqlite: one writes, the others read.
        options = {"pool_size": 3, "max_overflow": 2, "connect_args": {"timeout": BUSY_SECONDS}}
    else:
        options = {"pool_size": 5, "max_overflow": 5, "pool_pre_ping": True}
    # Values, passwords among them, stay out of the texts of errors.
    return {**options, "poolclass": AsyncAdaptedQueuePool, "hide_parameters": True}


def _make_private_file(path: Path, make: bool) -> None:
    """Gateways' passwords and keys are inside: nobody but the owner may read it.

    SQLite gives its journal files the mode of the database file.
    """
    if not make and not path.exists():
        raise StoreError(
            f"There is no database {path} yet. "
            "Run trunkflow apply or trunkflow serve, or name another file with --config."
        )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        if path.stat().st_uid == os.getuid():
            path.chmod(0o600)
    except OSError as fault:
        raise StoreError(
            f"Database {path} cannot be opened: {fault.strerror}. "
            "Choose another data_directory, or change its owner."
        ) from None


def _prepare_sqlite(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _: object) -> None:
        # Transactions are begun below, by hand: the driver would begin them late, and a transaction that
        # has read before it writes then fails at once when another process wrote in between.
        connection.isolation_level = None
        cursor = connection.cursor()
        try:
            # WAL: readers and the one writer do not wait for each other.  NORMAL: a power cut may lose the
            # last transactions, never the file.
            for setting in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
                cursor.execute(f"PRAGMA {setting}")
        except Exception:
            # Nobody else closes a connection that was refused here, and its thread would stay.
            connection.close()
            raise
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get("trunkflow_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _driver_faults(engine: AsyncEngine) -> tuple[type[Exception], ...]:
    """Errors of the driver that SQLAlchemy lets through as they are: asyncpg's while it connects."""
    asyncpg = getattr(engine.dialect.dbapi, "asyncpg", None)
    return () if asyncpg is None else (asyncpg.PostgresError, asyncpg.InterfaceError)


def _shown(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)


def said(fault: Exception) -> str:
    """What the database itself said, without the statement and its values."""
    return str(fault.orig if isinstance(fault, DBAPIError) else fault).strip().rstrip(".")
