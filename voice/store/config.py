"""What is configured: read as one snapshot, and made to match a declaration in one transaction."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sip_config.configuration import Configuration, Entry, id_of, kept_beside, new_id, with_ids_of
from sip_config.declaration import Declaration
from sip_config.differences import Action, Change, differences
from sip_config.directory import Directory
from voice.store.database import Database
from voice.store.errors import StoreError
from voice.store.rows import delete_entry, insert_entry, read_configuration, update_entry
from voice.store.schema import state

log = logging.getLogger(__name__)

_VERSION: Final = "configuration version"


class ConfigStore:
    """The configuration in a database.  Errors of the database come out as StoreError."""

    def __init__(self, database: Database, *, media_folder: Path) -> None:
        self._database = database
        self._media_folder = media_folder

    async def load(self, *, realm: str) -> tuple[Configuration, int]:
        """Everything configured, and its version.  `realm`: the base domain that HA1s were made for."""
        with self._database.errors():
            async with self._database.reading() as connection:
                return await read_configuration(connection, realm), await _version(connection)

    async def directory(self, *, base_domain: str, pop: str) -> Directory:
        """The snapshot that an edge of this POP asks."""
        configuration, version = await self.load(realm=base_domain)
        return Directory.of(configuration, base_domain=base_domain, pop=pop, version=version)

    async def version(self) -> int:
        """Counts the times that the configuration was changed."""
        with self._database.errors():
            async with self._database.reading() as connection:
                return await _version(connection)

    async def versions_after(self, seen: int, *, every: float = 1.0) -> AsyncIterator[int]:
        """Each new version after `seen`, by whichever process; looks every so many seconds."""
        while True:
            await asyncio.sleep(every)
            try:
                now = await self.version()
            except StoreError as fault:
                log.warning("cannot look for a new configuration, trying again: %s", fault)
                continue
            if now != seen:
                seen = now
                yield now

    async def change(
        self, edit: Callable[[Configuration], Configuration], *, realm: str
    ) -> tuple[Change, ...]:
        """Changes the configuration in one transaction: `edit` gets the present one and returns the wanted.

        What `edit` raises undoes it.  Media files keep their content: `apply` stores those.
        """
        with self._database.errors():
            async with self._database.writing() as connection:
                version = await _version(connection, to_change=True)
                current = await read_configuration(connection, realm)
                wanted = edit(current)
                changes = differences(current, wanted)
                if changes:
                    await _write_version(connection, changes, current, wanted, realm, version + 1)
        return changes

    async def apply(self, declaration: Declaration, *, dry_run: bool = False) -> tuple[Change, ...]:
        """Makes the store match the declaration, or changes nothing when this raises; returns what changed.

        Applying the same declaration again changes nothing.  With `dry_run` nothing is changed in any case.
        """
        with self._database.errors():
            if dry_run:
                async with self._database.reading() as connection:
                    current = await read_configuration(connection, declaration.realm)
                return differences(current, self._wanted(declaration, current)[0])
            async with self._database.writing() as connection:
                version = await _version(connection, to_change=True)
                current = await read_configuration(connection, declaration.realm)
                wanted, sources = self._wanted(declaration, current)
                changes = differences(current, wanted)
                await asyncio.to_thread(_keep_media, current, wanted, sources)
                if changes:
                    await _write_version(connection, changes, current, wanted, declaration.realm, version + 1)
        await asyncio.to_thread(_drop_media, current, wanted)
        return changes

    def _wanted(
        self, declaration: Declaration, current: Configuration
    ) -> tuple[Configuration, dict[str, Path]]:
        """The declaration with ids, and with media where they will be stored; and where each comes from."""
        wanted = with_ids_of(declaration.configuration, current, new_id)
        by_id = {
            stored.id: declaration.media_sources[declared.id]
            for declared, stored in zip(declaration.configuration.media, wanted.media, strict=True)
        }
        media = []
        sources = {}
        for entry in wanted.media:
            source = by_id[entry.id]
            path = str(self._media_folder / entry.account_id / entry.name)
            media.append(replace(entry, path=path))
            sources[path] = source
        return kept_beside(replace(wanted, media=tuple(media)), current), sources


async def _version(connection: AsyncConnection, *, to_change: bool = False) -> int:
    query = select(state.c.value).where(state.c.name == _VERSION)
    # Whoever else wants to change the configuration waits for this row; SQLite has one writer anyway.
    found = await connection.execute(query.with_for_update() if to_change else query)
    return int(found.scalar_one())


async def _write_version(
    connection: AsyncConnection,
    changes: tuple[Change, ...],
    current: Configuration,
    wanted: Configuration,
    realm: str,
    version: int,
) -> None:
    before: Mapping[str, Entry] = {id_of(entry): entry for entry in current.entries()}
    after: Mapping[str, Entry] = {id_of(entry): entry for entry in wanted.entries()}
    for change in changes:
        match change.action:
            case Action.REMOVED:
                await delete_entry(connection, before[change.entry_id])
            case Action.ADDED:
                await insert_entry(connection, after[change.entry_id], realm)
            case Action.CHANGED:
                await update_entry(connection, after[change.entry_id], realm)
    await connection.execute(update(state).where(state.c.name == _VERSION).values(value=str(version)))


def _keep_media(current: Configuration, wanted: Configuration, sources: Mapping[str, Path]) -> None:
    """Stores the files that are new, changed or lost.  A call that plays the old one keeps it open."""
    stored = {entry.path: entry.sha256 for entry in current.media}
    for entry in wanted.media:
        path, source = Path(entry.path), sources.get(entry.path)
        if source is None or (stored.get(entry.path) == entry.sha256 and path.exists()):
            continue
        try:
            content = source.read_bytes()
            if sha256(content).hexdigest() != entry.sha256:
                raise StoreError(f"{source} changed while it was being stored. Apply again.")
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = path.with_name(f".{path.name}.partial")
            partial.write_bytes(content)
            partial.replace(path)
        except OSError as fault:
            raise StoreError(
                f"{source} cannot be stored as {path}: {fault.strerror}. "
                "Make room, or correct the permissions."
            ) from None


def _drop_media(current: Configuration, wanted: Configuration) -> None:
    """Removes the stored files that nothing names any more.  A call that plays one keeps it open."""
    for path in {entry.path for entry in current.media} - {entry.path for entry in wanted.media}:
        Path(path).unlink(missing_ok=True)
