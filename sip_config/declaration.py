"""The declarative file: what a node's accounts, domains and gateways are to be.

``trunkflow apply`` makes the store match it.  Entries are called by name here; ids are the store's.
Every fault of the file is found in one reading, and a file with a fault is not used at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sip_config import words
from sip_config.configuration import Configuration
from sip_config.declared_account import AccountReader, CanonicalCallflow, Register
from sip_config.declared_gateway import read_gateways, read_pops
from sip_config.model import Account, Acl, Callflow, Domain, MediaFile, Number
from sip_config.reading import Section

TABLES: Final = ("accounts", "gateways", "pops")
"""The top-level tables of a file that make up its declaration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What a declarative file asks for."""

    configuration: Configuration
    """With names in place of ids (`sip_config.configuration.with_ids_of`)."""
    realm: str
    """The base domain that the HA1s were made for."""
    media_sources: dict[str, Path]
    """For each media file, by id, where its content is to be had."""


def declares(root: Section) -> bool:
    """Whether a file has a declaration at all; one that has only node settings has not."""
    return any(root.has(table) for table in TABLES)


def read_declaration(
    root: Section, *, base_domain: str, folder: Path | None, canonical: CanonicalCallflow
) -> Declaration:
    """Reads the declaration of a file; faults go where those of `root` go, and forbid to use the result.

    `folder`: what file names are relative to; None: no file may be named.  `canonical`: the checker of
    callflow documents.
    """
    register = Register()
    accounts: list[Account] = []
    acls: list[Acl] = []
    domains: list[Domain] = []
    numbers: list[Number] = []
    callflows: list[Callflow] = []
    media: list[MediaFile] = []
    media_sources: dict[str, Path] = {}
    gateways = list(read_gateways(root, owner=None, folder=folder))
    for name, section in root.sections("accounts", words.name):
        reader = AccountReader(
            section, name, realm=base_domain, folder=folder, canonical=canonical, register=register
        )
        accounts.append(reader.account())
        acls += reader.acls()
        domains += reader.domains()
        numbers += reader.numbers()
        callflows += reader.callflows()
        media += reader.media()
        media_sources |= reader.media_sources
        gateways += read_gateways(section, owner=name, folder=folder)
        section.reject_unknown()
    return Declaration(
        configuration=Configuration(
            accounts=tuple(accounts),
            acls=tuple(acls),
            domains=tuple(domains),
            numbers=tuple(numbers),
            gateways=tuple(gateways),
            callflows=tuple(callflows),
            media=tuple(media),
            pops=tuple(read_pops(root)),
        ),
        realm=base_domain,
        media_sources=media_sources,
    )
