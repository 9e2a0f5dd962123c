"""The configuration in the store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from sip_config.admission import NeedsDigest, Refused
from sip_config.declaration import Declaration, read_declaration
from sip_config.differences import Action
from sip_config.directory import DEFAULT_POPS
from sip_config.identity_policy import IdentityPolicy, OtherCallers
from sip_config.reading import FaultList, Section
from sip_config.toml_source import read_toml
from voice.store import rows, schema
from voice.store.config import ConfigStore
from voice.store.database import Database, sqlite_url
from voice.store.errors import StoreError

REALM = "sip.example.com"
FILE = """
[accounts.acme]
fallback_callflow = "sorry"
identity = { country = "NL", verified = ["+442079460000"], others = "refuse" }
[accounts.acme.acls.office]
networks = ["192.0.2.0/24", "2001:db8::/32"]
[accounts.acme.acls.roaming.sip_accounts]
pbx = { password = "correct horse" }
[accounts.acme.domains.acme]
acls = ["roaming", "office"]
algorithms = ["SHA-256", "MD5"]
callflow = "welcome"
[accounts.acme.callflows]
welcome = { document = "<w/>" }
sorry = { document = "<s/>" }
[accounts.acme.numbers]
"+31201234567" = { callflow = "welcome" }
"+31201234568" = { callflow_url = "https://app.example.com/" }
[accounts.acme.media."tune.wav"]
file = "tune.wav"
[accounts.acme.gateways.own]
host = "192.0.2.7"
prefixes = ["31", "4930", ""]
[gateways.carrier]
host = "carrier.example"
username = "u"
password = "p"
"""


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with await Database.open(sqlite_url(tmp_path / "x.db")) as opened:
        yield opened


@pytest.fixture
def store(database: Database, tmp_path: Path) -> ConfigStore:
    (tmp_path / "tune.wav").write_bytes(b"RIFF")
    return ConfigStore(database, media_folder=tmp_path / "media")


def _as_it_is(document: bytes) -> str:
    return document.decode()


def declared(text: str, folder: Path, realm: str = REALM) -> Declaration:
    faults = FaultList()
    root = Section(read_toml(text, "x.toml"), faults)
    declaration = read_declaration(root, base_domain=realm, folder=folder, canonical=_as_it_is)
    faults.raise_if_any()
    return declaration


async def test_many_networks_are_read_in_parts_and_come_out_in_order(
    store: ConfigStore, database: Database, tmp_path: Path
) -> None:
    shuffled = [f"10.{high}.{low}.0/24" for low in range(60) for high in range(30)]
    text = FILE.replace('networks = ["192.0.2.0/24", "2001:db8::/32"]', f"networks = {json.dumps(shuffled)}")
    await store.apply(declared(text, tmp_path))
    async with database.writing() as connection:
        networks = schema.acl_networks
        await connection.execute(
            update(networks).where(networks.c.network == "10.7.7.0/24").values(network="nonsense")
        )
    directory = await store.directory(base_domain=REALM, pop="eu1")
    domain = directory.domain_for_host(f"acme.{REALM}")
    assert domain is not None
    [office] = [acl for acl in directory.acls_of(domain) if acl.name == "office"]
    assert office.networks == tuple(sorted(map(ip_network, {*shuffled} - {"10.7.7.0/24"})))
    assert office.invalid_networks == ("nonsense",)
    assert directory.could_admit("10.29.59.1")
    assert directory.names("10.29.59.1")
    assert not directory.names("10.7.7.1")


async def test_what_is_applied_is_what_is_loaded(store: ConfigStore, tmp_path: Path) -> None:
    await store.apply(declared(FILE, tmp_path))
    found, version = await store.load(realm=REALM)
    assert version == 1
    (account,) = found.accounts
    assert account.identity == IdentityPolicy(
        country="NL", verified=("+442079460000",), others=OtherCallers.REFUSE
    )
    office, roaming = found.acls
    assert list(map(str, office.networks)) == ["192.0.2.0/24", "2001:db8::/32"]
    assert office.account_id == account.id
    (user,) = roaming.sip_accounts
    assert len(user.ha1) == 3
    (domain,) = found.domains
    assert domain.acl_ids == (roaming.id, office.id)
    assert domain.algorithms == ("SHA-256", "MD5")
    welcome = next(flow for flow in found.callflows if flow.title == "welcome")
    assert domain.callflow_id == welcome.id
    assert [number.callflow_url for number in found.numbers] == [None, "https://app.example.com/"]
    carrier, own = found.gateways
    assert (carrier.account_id, carrier.password) == (None, "p")
    assert (own.account_id, own.prefixes) == (account.id, ("", "31", "4930"))
    assert found.pops == ()


async def test_applying_twice_changes_nothing(store: ConfigStore, tmp_path: Path) -> None:
    assert len(await store.apply(declared(FILE, tmp_path))) == 11
    before = await store.load(realm=REALM)
    assert await store.apply(declared(FILE, tmp_path)) == ()
    assert await store.load(realm=REALM) == before


async def test_a_dry_run_says_the_same_and_changes_nothing(store: ConfigStore, tmp_path: Path) -> None:
    dry = await store.apply(declared(FILE, tmp_path), dry_run=True)
    assert await store.version() == 0
    assert (await store.load(realm=REALM))[0].accounts == ()
    assert not (tmp_path / "media").exists()
    wet = await store.apply(declared(FILE, tmp_path))
    assert [(change.action, change.name) for change in dry] == [
        (change.action, change.name) for change in wet
    ]


async def test_ids_stay_and_references_follow(store: ConfigStore, tmp_path: Path) -> None:
    await store.apply(declared(FILE, tmp_path))
    before, _ = await store.load(realm=REALM)
    changed = (
        FILE.replace('["roaming", "office"]', '["office"]')
        .replace('prefixes = ["31", "4930", ""]', 'prefixes = ["32"]')
        .replace("correct horse", "battery staple")
        .replace('"+31201234567" = { callflow = "welcome" }', '"+31201234567" = { callflow = "sorry" }')
    )
    changes = await store.apply(declared(changed, tmp_path))
    assert {change.action for change in changes} == {Action.CHANGED}
    after, version = await store.load(realm=REALM)
    assert version == 2
    assert after.domains[0].id == before.domains[0].id
    assert after.domains[0].acl_ids == (before.acls[0].id,)
    assert after.gateways[1] == replace(before.gateways[1], prefixes=("32",))
    assert after.numbers[0].callflow_id == before.accounts[0].fallback_callflow_id
    assert after.acls[1].sip_accounts[0].id == before.acls[1].sip_accounts[0].id
    assert after.acls[1].sip_accounts[0].ha1 != before.acls[1].sip_accounts[0].ha1


async def test_labels_and_numbers_may_move_to_another_account(store: ConfigStore, tmp_path: Path) -> None:
    await store.apply(declared(FILE, tmp_path))
    await store.apply(
        declared(FILE.replace("acme", "beta").replace("domains.beta", "domains.acme"), tmp_path)
    )
    found, _ = await store.load(realm=REALM)
    assert [account.name for account in found.accounts] == ["beta"]
    assert found.domains[0].account_id == found.accounts[0].id
    assert (await store.apply(declared("", tmp_path)))[-1].name == "account beta"
    assert (await store.load(realm=REALM))[0].accounts == ()


async def test_nothing_is_changed_when_applying_fails(
    store: ConfigStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.apply(declared(FILE, tmp_path))
    before = await store.load(realm=REALM)

    async def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rows, "_insert_parts", fails)
    with pytest.raises(StoreError, match="No space left on device"):
        await store.apply(declared(FILE.replace("192.0.2.0/24", "192.0.2.0/25"), tmp_path))
    assert await store.load(realm=REALM) == before


async def test_parts_leave_nothing_behind(store: ConfigStore, database: Database, tmp_path: Path) -> None:
    await store.apply(declared(FILE, tmp_path))
    await store.apply(declared("", tmp_path))
    async with database.reading() as connection:
        for table in schema.metadata.sorted_tables:
            found = await connection.execute(select(table))
            left = {("bans version", "0"), ("configuration version", "2")} if table is schema.state else set()
            assert {tuple(row) for row in found} == left, table


async def test_ha1s_of_another_realm_let_nobody_in(store: ConfigStore, tmp_path: Path) -> None:
    await store.apply(declared(FILE, tmp_path))
    good = await store.directory(base_domain=REALM, pop="eu1")
    other = await store.directory(base_domain="new.example.com", pop="eu1")
    (domain,) = good.domains.values()
    assert isinstance(good.gate(domain).by_source("203.0.113.1"), NeedsDigest)
    assert isinstance(other.gate(domain).by_source("203.0.113.1"), Refused)
    assert other.acls_of(domain)[0].invalid_sip_accounts == ("pbx",)
    changes = await store.apply(declared(FILE, tmp_path, "new.example.com"))
    assert [change.name for change in changes] == ["acl acme/roaming"]
    renewed = await store.directory(base_domain="new.example.com", pop="eu1")
    assert isinstance(renewed.gate(domain).by_source("203.0.113.1"), NeedsDigest)


async def test_a_network_that_cannot_be_read_makes_no_list_wider(
    store: ConfigStore, database: Database, tmp_path: Path
) -> None:
    text = FILE.replace(
        "[accounts.acme.acls.roaming.sip_accounts]",
        '[accounts.acme.acls.roaming]\nnetworks = ["10.0.0.0/8"]\n[accounts.acme.acls.roaming.sip_accounts]',
    ).replace('"roaming", "office"', '"roaming"')
    await store.apply(declared(text, tmp_path))
    async with database.writing() as connection:
        networks = schema.acl_networks
        await connection.execute(
            update(networks).where(networks.c.network == "10.0.0.0/8").values(network="10.0.0.0/99")
        )
    directory = await store.directory(base_domain=REALM, pop="eu1")
    (domain,) = directory.domains.values()
    assert directory.acls_of(domain)[0].invalid_networks == ("10.0.0.0/99",)
    for source in ("10.1.1.1", "203.0.113.1"):
        assert isinstance(directory.gate(domain).by_source(source), Refused)
    assert await store.apply(declared(text, tmp_path)) != (), "applying again repairs it"
    directory = await store.directory(base_domain=REALM, pop="eu1")
    assert isinstance(directory.gate(domain).by_source("10.1.1.1"), NeedsDigest)


async def test_the_directory(store: ConfigStore, tmp_path: Path) -> None:
    await store.apply(declared(FILE, tmp_path))
    directory = await store.directory(base_domain=REALM, pop="eu2")
    assert (directory.version, directory.pop, directory.base_domain) == (1, "eu2", REALM)
    assert directory.domain_for_host(f"acme.us1.{REALM}") is not None
    assert set(directory.pops) == {pop.name for pop in DEFAULT_POPS}
    number = directory.number("+31201234567")
    assert number is not None
    flow = directory.callflow(number.callflow_id or "")
    assert flow is not None
    assert flow.document == "<w/>"
    assert directory.could_admit("192.0.2.1")


async def test_media_files_are_copied_replaced_and_removed(store: ConfigStore, tmp_path: Path) -> None:
    await store.apply(declared(FILE, tmp_path))
    (media,) = (await store.load(realm=REALM))[0].media
    stored = Path(media.path)
    assert stored == tmp_path / "media" / media.account_id / "tune.wav"
    assert stored.read_bytes() == b"RIFF"
    (tmp_path / "tune.wav").write_bytes(b"RIFF2")
    (change,) = await store.apply(declared(FILE, tmp_path))
    assert change.name == "media acme/tune.wav"
    assert stored.read_bytes() == b"RIFF2"
    stored.unlink()
    assert await store.apply(declared(FILE, tmp_path)) == ()
    assert stored.read_bytes() == b"RIFF2", "a lost file comes back"
    await store.apply(declared(FILE.replace('"tune.wav"]', '"other.wav"]'), tmp_path))
    assert [file.name for file in stored.parent.iterdir()] == ["other.wav"]


async def test_a_media_file_that_changes_meanwhile_stops_everything(
    store: ConfigStore, tmp_path: Path
) -> None:
    declaration = declared(FILE, tmp_path)
    (tmp_path / "tune.wav").write_bytes(b"something else")
    with pytest.raises(StoreError, match="changed while it was being stored"):
        await store.apply(declaration)
    (tmp_path / "tune.wav").unlink()
    with pytest.raises(StoreError, match="cannot be read"):
        await store.apply(declaration)
    assert await store.version() == 0


async def test_new_versions_are_noticed_whoever_makes_them(
    store: ConfigStore, database: Database, tmp_path: Path
) -> None:
    seen: list[int] = []

    async def follow() -> None:
        async for version in store.versions_after(0, every=0.001):
            seen.append(version)

    task = asyncio.create_task(follow())
    async with await Database.open(sqlite_url(tmp_path / "x.db")) as other:
        for text in (FILE, "", FILE):
            await ConfigStore(other, media_folder=tmp_path / "media").apply(declared(text, tmp_path))
            async with asyncio.timeout(30):
                while not seen or seen[-1] != await store.version():
                    await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert seen == [1, 2, 3]


async def test_a_database_in_trouble_does_not_end_the_watch(
    store: ConfigStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = ConfigStore.version
    troubles = iter([StoreError("down"), StoreError("still down")])

    async def version(self: ConfigStore) -> int:
        trouble = next(troubles, None)
        if trouble is not None:
            raise trouble
        return await genuine(self)

    monkeypatch.setattr(ConfigStore, "version", version)
    await store.apply(declared(FILE, tmp_path))
    versions = store.versions_after(0, every=0)
    assert await anext(versions) == 1
    await versions.aclose()  # type: ignore[attr-defined]


async def test_applying_at_the_same_time_is_done_one_after_the_other(
    database: Database, tmp_path: Path, store: ConfigStore
) -> None:
    async with await Database.open(sqlite_url(tmp_path / "x.db")) as second:
        other = ConfigStore(second, media_folder=tmp_path / "media")
        done = await asyncio.gather(
            store.apply(declared(FILE, tmp_path)), other.apply(declared(FILE, tmp_path))
        )
    assert sorted(map(len, done)) == [0, 11]
    assert await store.version() == 1


async def test_a_broken_reference_is_as_if_it_were_not_there(
    store: ConfigStore, database: Database, tmp_path: Path
) -> None:
    await store.apply(declared(FILE, tmp_path))
    async with database.writing() as connection:
        await connection.execute(delete(schema.callflows))
    directory = await store.directory(base_domain=REALM, pop="eu1")
    number = directory.number("+31201234567")
    assert number is not None
    assert number.callflow_id is None
