"""docs/configuration.md and samples/trunk.toml name every key there is, with its default, and no other."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from sip_config.reading import Section
from sip_config.toml_source import Path as KeyPath
from voice.config_file import read_config_file
from voice.settings import Settings, SocketAddress

NAMED_TABLES = (
    "accounts",
    "acls",
    "sip_accounts",
    "domains",
    "numbers",
    "callflows",
    "media",
    "gateways",
    "pops",
)
"""Tables whose keys are names that the author of a file chooses."""

_HEADING = re.compile(r"### `\[(.+)\]`")
_ROW = re.compile(r"\| `([^`]+)` \| ([^|]+) \|[^|]*\|[^|]*\|")


@pytest.fixture(scope="module")
def documented(repository: Path) -> dict[str, str]:
    """Each key by its path with ``*`` for names, and its default as the page writes it."""
    keys: dict[str, str] = {}
    table = ""
    for line in (repository / "docs" / "configuration.md").read_text().splitlines():
        if heading := _HEADING.fullmatch(line):
            table = re.sub(r"\b(NAME|LABEL|NUMBER|USERNAME|FILE)\b", "*", heading[1])
        elif row := _ROW.fullmatch(line):
            path = f"{table}.{row[1]}"
            assert path not in keys, f"{path} is documented twice"
            keys[path] = row[2].strip("`")
    return keys


@pytest.fixture(scope="module")
def asked(repository: Path) -> set[str]:
    """Each key that reading the sample asks for, whether it is there or not."""
    keys: set[str] = set()

    def path_of(section: Section, key: str) -> str:
        path: KeyPath = (*section._path, key)
        parts = [
            "*" if position and path[position - 1] in NAMED_TABLES and position % 2 else str(part)
            for position, part in enumerate(path)
        ]
        return ".".join(parts)

    genuine = Section._typed

    def typed(self: Section, key: str, kind: type, **options: Any) -> Any:
        keys.add(path_of(self, key))
        return genuine(self, key, kind, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Section, "_typed", typed)
        read_config_file(repository / "samples" / "trunk.toml", {})
    return keys


def settings_keys(value: Any, path: str = "node") -> dict[str, str]:
    """Each key of the settings, and its default as TOML writes it."""
    found: dict[str, str] = {}
    for field in fields(value):
        default = getattr(value, field.name)
        if is_dataclass(default) and not isinstance(default, SocketAddress):
            found |= settings_keys(default, f"{path}.{field.name}")
        else:
            found[f"{path}.{field.name}"] = toml(default)
    return found


def toml(value: Any) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case tuple():
            return f"[{', '.join(map(toml, value))}]"
        case StrEnum():
            return f'"{value.value}"'
        case _:
            return f'"{value}"'


def test_the_page_lists_every_setting_with_its_default(documented: dict[str, str]) -> None:
    expected = settings_keys(Settings(base_domain="")) | {"node.base_domain": "required"}
    found = {path: default for path, default in documented.items() if path.startswith("node.")}
    assert found == expected


def test_the_page_lists_every_key_that_is_read(documented: dict[str, str], asked: set[str]) -> None:
    # Keys of an account's own gateway are those of the gateways of all; the sample has no media to read.
    # Limits are the same for accounts, domains and SIP accounts.
    own = "accounts.*.gateways.*."
    read = {path.removeprefix("accounts.*.") if path.startswith(own) else path for path in asked}
    read = {re.sub(r"^accounts\.\*\..*\.limits\.", "accounts.*.limits.", path) for path in read}
    assert set(documented) == read | {"accounts.*.media.*.file"}


def test_the_sample_shows_every_key(repository: Path, documented: dict[str, str]) -> None:
    text = (repository / "samples" / "trunk.toml").read_text()
    missing = [
        path
        for path in documented
        if not re.search(rf"\b{re.escape(path.rpartition('.')[2])} = ", text)
        and path.rpartition(".")[2] not in {"SHA-256", "SHA-512-256"}
    ]
    assert missing == []


def test_the_defaults_in_the_sample_are_the_defaults(repository: Path, documented: dict[str, str]) -> None:
    """A key that is commented out shows its default, or an example where there is none."""
    table = ""
    checked = 0
    for line in (repository / "samples" / "trunk.toml").read_text().splitlines():
        if header := re.match(r"\[([^\]]+)\]", line):
            table = re.sub(r"\b(acls|domains|gateways|accounts|pops)\.[\w-]+", r"\1.*", header[1])
            table = table.removeprefix("accounts.*.") if ".gateways" in table else table
        elif shown := re.match(r"#([a-z_]+) = (.+?)(\s+#.*)?$", line):
            default = documented.get(f"{table}.{shown[1]}", "none")
            if default not in {"none", "required"}:
                assert tomllib.loads(f"x = {shown[2]}") == tomllib.loads(f"x = {default}"), line
                checked += 1
    assert checked > 30


def test_the_sample_is_read_without_a_fault(repository: Path) -> None:
    read = read_config_file(repository / "samples" / "trunk.toml", {})
    assert read.settings.base_domain == "sip.example.com"
    assert read.declaration is not None
    assert [account.name for account in read.declaration.configuration.accounts] == ["acme"]
