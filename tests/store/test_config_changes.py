"""The configuration changed entry by entry, beside the files that declare it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from sip_config.clashes import Clash
from sip_config.configuration import Configuration, new_id
from sip_config.model import Account, AccountId, Acl, AclId, Domain, DomainId, Number, Origin
from tests.store.test_config import declared
from voice.bells import Bells
from voice.store.config import Clashing, ConfigStore
from voice.store.database import Database, sqlite_url
from voice.store.errors import StoreError

REALM = "sip.example.com"
FILE = '[accounts.acme]\n[accounts.acme.acls.office]\nnetworks = ["192.0.2.1"]\n'


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with await Database.open(sqlite_url(tmp_path / "x.db")) as opened:
        yield opened


@pytest.fixture
def bells() -> Bells:
    return Bells()


@pytest.fixture
async def store(database: Database, bells: Bells, tmp_path: Path) -> ConfigStore:
    made = ConfigStore(database, media_folder=tmp_path / "media", bells=bells, clock=lambda: 1_000.0)
    await made.apply(declared(FILE, tmp_path))
    return made


async def owner(store: ConfigStore) -> AccountId:
    return (await store.load(realm=REALM))[0].accounts[0].id


async def add(store: ConfigStore, **entries: Domain | Number | Acl | Account) -> None:
    def edit(current: Configuration) -> Configuration:
        tables = {name: (*getattr(current, name), entry) for name, entry in entries.items()}
        return replace(current, **tables)

    await store.change(edit, realm=REALM)


async def domain(store: ConfigStore, label: str) -> Domain:
    return Domain(id=DomainId(new_id()), account_id=await owner(store), label=label, origin=Origin.API)


async def test_a_change_counts_and_one_that_changes_nothing_does_not(store: ConfigStore) -> None:
    before = await store.version()
    assert await store.change(lambda current: current, realm=REALM) == ()
    assert await store.version() == before
    await add(store, domains=await domain(store, "new"))
    assert await store.version() == before + 1


async def test_what_the_edit_raises_undoes_it(store: ConfigStore) -> None:
    def refuse(current: Configuration) -> Configuration:
        raise LookupError("no")

    before = await store.load(realm=REALM)
    with pytest.raises(LookupError):
        await store.change(refuse, realm=REALM)
    assert await store.load(realm=REALM) == before


async def test_what_is_taken_is_refused(store: ConfigStore) -> None:
    await add(store, domains=await domain(store, "new"))
    with pytest.raises(Clash, match="domain label new"):
        await add(store, domains=await domain(store, "new"))


async def test_a_change_of_this_process_is_heard_at_once(store: ConfigStore, database: Database) -> None:
    seen = await store.version()
    versions = store.versions_after(seen, every=3_600.0)
    async with asyncio.timeout(20):
        await add(store, domains=await domain(store, "new"))
        assert await anext(versions) == seen + 1


async def test_apply_leaves_alone_what_the_api_made(store: ConfigStore, tmp_path: Path) -> None:
    await add(store, domains=await domain(store, "mine"))
    assert await store.apply(declared(FILE, tmp_path)) == ()
    removed = await store.apply(declared("[accounts.acme]\n", tmp_path))
    assert [str(change) for change in removed] == ["removed acl acme/office"]
    found, _ = await store.load(realm=REALM)
    assert [one.label for one in found.domains] == ["mine"]


async def test_apply_takes_over_what_the_file_names(store: ConfigStore, tmp_path: Path) -> None:
    mine = await domain(store, "mine")
    await add(store, domains=mine)
    text = FILE + '[accounts.acme.domains.mine]\nacls = ["office"]\n'
    (change,) = await store.apply(declared(text, tmp_path))
    assert change.details == ("acl: +office", "origin: api -> file")
    found, _ = await store.load(realm=REALM)
    assert (found.domains[0].id, found.domains[0].origin) == (mine.id, Origin.FILE)


async def test_what_the_api_made_loses_what_the_file_drops(store: ConfigStore, tmp_path: Path) -> None:
    found, _ = await store.load(realm=REALM)
    await add(store, domains=replace(await domain(store, "mine"), acl_ids=(found.acls[0].id,)))
    await store.apply(declared("[accounts.acme]\n", tmp_path))
    found, _ = await store.load(realm=REALM)
    assert found.domains[0].acl_ids == ()
    await store.apply(declared("[accounts.other]\n", tmp_path))
    found, _ = await store.load(realm=REALM)
    assert found.domains == ()  # it went with its account


async def test_apply_refuses_what_another_account_has(store: ConfigStore, tmp_path: Path) -> None:
    other = Account(id=AccountId(new_id()), name="other", origin=Origin.API)
    await add(store, accounts=other)
    await add(store, domains=replace(await domain(store, "taken"), account_id=other.id))
    text = FILE + "[accounts.acme.domains.taken]\n"
    for dry_run in (True, False):
        with pytest.raises(Clashing, match="account acme and in account other"):
            await store.apply(declared(text, tmp_path), dry_run=dry_run)


async def test_numbers_remember_when_they_were_made(store: ConfigStore, tmp_path: Path) -> None:
    text = FILE + '[accounts.acme.numbers."+31201234567"]\n'
    await store.apply(declared(text, tmp_path))
    found, _ = await store.load(realm=REALM)
    assert (found.numbers[0].created_at, found.numbers[0].updated_at) == (1_000.0, 1_000.0)
    assert await store.apply(declared(text, tmp_path)) == ()


async def test_a_sound_is_stored_and_dropped(store: ConfigStore, tmp_path: Path) -> None:
    account = await owner(store)
    media = await store.upload(account, "tune.wav", b"RIFF", realm=REALM)
    assert Path(media.path).read_bytes() == b"RIFF"
    assert await store.apply(declared(FILE, tmp_path)) == ()
    await store.change(lambda current: replace(current, media=()), realm=REALM)
    assert not Path(media.path).exists()


async def test_a_disk_that_is_full_changes_nothing(store: ConfigStore, tmp_path: Path) -> None:
    (tmp_path / "media").write_text("in the way")
    with pytest.raises(StoreError, match="A sound cannot be stored"):
        await store.upload(await owner(store), "tune.wav", b"RIFF", realm=REALM)
    assert (await store.load(realm=REALM))[0].media == ()


async def test_changes_at_the_same_time_wait_for_each_other(store: ConfigStore) -> None:
    account = await owner(store)
    acls = [Acl(id=AclId(new_id()), account_id=account, name=f"acl{at}") for at in range(8)]
    before = await store.version()
    await asyncio.gather(*(add(store, acls=acl) for acl in acls))
    found, version = await store.load(realm=REALM)
    assert len(found.acls) == 9
    assert version == before + 8
