"""What is configured: read as one snapshot, and made to match a declaration in one transaction."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sip_config.clashes import clashes
from sip_config.configuration import Configuration, Entry, id_of, kept_beside, new_id, with_ids_of
from sip_config.declaration import Declaration
from sip_config.differences import Action, Change, differences
from sip_config.directory import Directory
from sip_config.model import AccountId, Callflow, MediaFile, Number, Origin
from voice.bells import Bells
from voice.store.database import Database
from voice.store.errors import StoreError
from voice.store.rows import delete_entry, insert_entry, read_configuration, update_entry
from voice.store.schema import state

log = logging.getLogger(__name__)


class Clashing(StoreError):
    """What a file declares is there twice, or taken by an entry that the API made."""


_VERSION: Final = "configuration version"


def check_clashes(configuration: Configuration) -> None:
    """Raises Clashing when the store cannot hold this."""
    found = clashes(configuration)
    if found:
        raise Clashing("\n".join(map(str, found)))


class ConfigStore:
    """The configuration in a database.  Errors of the database come out as StoreError."""

    def __init__(
        self,
        database: Database,
        *,
        media_folder: Path,
        bells: Bells | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`bells`: of this process, so that a change made in it is in force at once."""
        self._database = database
        self._media_folder = media_folder
        self._bell = (bells or Bells()).configuration
        self._clock = clock

    async def load(self, *, realm: str) -> tuple[Configuration, int]:
        """Everything configured, and its version.  `realm`: the base domain that HA1s were made for."""
        with self._database.errors():
            async with self._database.reading() as connection:
                return await read_configuration(connection, realm), await _version(connection)

    async def directory(self, *, base_domain: str, pop: str) -> Directory:
        """The snapshot that an edge of this POP asks.  Made in steps, because that edge is at work."""
        configuration, version = await self.load(realm=base_domain)
        steps = Directory.in_steps(configuration, base_domain=base_domain, pop=pop, version=version)
        while True:
            try:
                next(steps)
            except StopIteration as done:
                directory: Directory = done.value
                return directory
            await asyncio.sleep(0)

    async def version(self) -> int:
        """Counts the times that the configuration was changed."""
        with self._database.errors():
            async with self._database.reading() as connection:
                return await _version(connection)

    async def versions_after(self, seen: int, *, every: float = 1.0) -> AsyncIterator[int]:
        """Each new version after `seen`, by whichever process.

        Looks every so many seconds, and at once when this process has made one.
        """
        while True:
            await self._bell.wait(every)
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

        Whoever else changes it waits until this is done.  What `edit` raises comes out, and nothing is
        changed; so it is when this raises Clash, for a name, label or number that is taken.
        """
        return await self._change(edit, realm, {})

    async def upload(self, account_id: AccountId, name: str, content: bytes, *, realm: str) -> MediaFile:
        """Stores a sound under a name of the account, in place of the one that has it.

        A call that plays the old one keeps it open.  Raises StoreError, also when the disk is full.
        """
        path = str(self._media_folder / account_id / name)
        digest = sha256(content).hexdigest()
        kept: list[MediaFile] = []

        def edit(current: Configuration) -> Configuration:
            old = [one for one in current.media if (one.account_id, one.name) == (account_id, name)]
            kept.append(
                MediaFile(
                    id=old[0].id if old else new_id(),
                    account_id=account_id,
                    name=name,
                    path=path,
                    sha256=digest,
                    size=len(content),
                    origin=old[0].origin if old else Origin.API,
                )
            )
            others = tuple(one for one in current.media if one not in old)
            return replace(current, media=(*others, kept[0]))

        await self._change(edit, realm, {path: content})
        return kept[0]

    async def _change(
        self,
        edit: Callable[[Configuration], Configuration],
        realm: str,
        contents: Mapping[str, bytes],
    ) -> tuple[Change, ...]:
        with self._database.errors():
            async with self._database.writing() as connection:
                version = await _version(connection, to_change=True)
                current = await read_configuration(connection, realm)
                wanted = edit(current)
                for clash in clashes(wanted):
                    raise clash
                changes = differences(current, wanted)
                for path, content in contents.items():
                    await asyncio.to_thread(_keep, Path(path), content)
                if changes:
                    await self._write(connection, changes, current, wanted, realm, version + 1)
        await asyncio.to_thread(_drop_media, current, wanted)
        self._bell.ring()
        return changes

    async def apply(
        self, declaration: Declaration, *, dry_run: bool = False, keep_media: bool = False
    ) -> tuple[Change, ...]:
        """Makes the store match the declaration, or changes nothing when this raises; returns what changed.

        Applying the same declaration again changes nothing.  With `dry_run` nothing is changed in any case.
        `keep_media`: media files stay, whoever made them, because this declaration cannot name any.
        What the API made stays too, unless the declaration names it.  Raises Clashing.
        """
        with self._database.errors():
            if dry_run:
                async with self._database.reading() as connection:
                    current = await read_configuration(connection, declaration.realm)
                return differences(current, self._wanted(declaration, current, keep_media)[0])
            async with self._database.writing() as connection:
                version = await _version(connection, to_change=True)
                current = await read_configuration(connection, declaration.realm)
                wanted, sources = self._wanted(declaration, current, keep_media)
                changes = differences(current, wanted)
                await asyncio.to_thread(_keep_media, current, wanted, sources)
                if changes:
                    await self._write(connection, changes, current, wanted, declaration.realm, version + 1)
        await asyncio.to_thread(_drop_media, current, wanted)
        self._bell.ring()
        return changes

    def _wanted(
        self, declaration: Declaration, current: Configuration, keep_media: bool
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
        if keep_media:
            media += [one for one in current.media if one.path not in sources]
        beside = kept_beside(replace(wanted, media=tuple(media)), current)
        check_clashes(beside)
        return beside, sources

    async def _write(
        self,
        connection: AsyncConnection,
        changes: tuple[Change, ...],
        current: Configuration,
        wanted: Configuration,
        realm: str,
        version: int,
    ) -> None:
        now = self._clock()
        before: Mapping[str, Entry] = {id_of(entry): entry for entry in current.entries()}
        after: Mapping[str, Entry] = {id_of(entry): entry for entry in wanted.entries()}
        for change in changes:
            match change.action:
                case Action.REMOVED:
                    await delete_entry(connection, before[change.entry_id])
                case Action.ADDED:
                    await insert_entry(connection, _stamped(after[change.entry_id], now), realm)
                case Action.CHANGED:
                    await update_entry(connection, _stamped(after[change.entry_id], now), realm)
        await connection.execute(update(state).where(state.c.name == _VERSION).values(value=str(version)))


def _stamped(entry: Entry, now: float) -> Entry:
    """With the times of what is shown with times."""
    if isinstance(entry, Callflow | Number):
        made = now if entry.created_at is None else entry.created_at
        return replace(entry, created_at=made, updated_at=now)
    return entry


async def _version(connection: AsyncConnection, *, to_change: bool = False) -> int:
    query = select(state.c.value).where(state.c.name == _VERSION)
    # Whoever else wants to change the configuration waits for this row; SQLite has one writer anyway.
    found = await connection.execute(query.with_for_update() if to_change else query)
    return int(found.scalar_one())


def _keep_media(current: Configuration, wanted: Configuration, sources: Mapping[str, Path]) -> None:
    """Stores the files that are new, changed or lost.  A call that plays the old one keeps it open."""
    stored = {entry.path: entry.sha256 for entry in current.media}
    for entry in wanted.media:
        path, source = Path(entry.path), sources.get(entry.path)
        if source is None or (stored.get(entry.path) == entry.sha256 and path.exists()):
            continue
        try:
            content = source.read_bytes()
        except OSError as fault:
            raise StoreError(
                f"{source} cannot be read: {fault.strerror}. Correct the path or its permissions."
            ) from None
        if sha256(content).hexdigest() != entry.sha256:
            raise StoreError(f"{source} changed while it was being stored. Apply again.")
        _keep(path, content)


def _keep(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as fault:
        raise StoreError(
            f"A sound cannot be stored as {path}: {fault.strerror}. Make room, or correct the permissions."
        ) from None


def _drop_media(current: Configuration, wanted: Configuration) -> None:
    """Removes the stored files that nothing names any more.  A call that plays one keeps it open."""
    for path in {entry.path for entry in current.media} - {entry.path for entry in wanted.media}:
        Path(path).unlink(missing_ok=True)
