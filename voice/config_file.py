"""One TOML file for a node: its settings in ``[node]``, and what ``trunkflow apply`` declares.

Both may stand in one file or in two; everything wrong with either is said in one go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from callflows.canonical import to_canonical
from callflows.faults import DocumentFaults
from callflows.reading import read_callflow
from sip_config.declaration import TABLES, Declaration, declares, read_declaration
from sip_config.declared_account import CallflowRefused, DocumentFault
from sip_config.directory import DEFAULT_POPS
from sip_config.faults import ConfigurationFaults, Fault, meant
from sip_config.reading import FaultList, Section
from sip_config.toml_source import MAX_CHARACTERS, read_toml
from voice.relay_key import missing_key
from voice.settings import Settings
from voice.settings_file import read_settings

_ROOT_KEYS: Final = ("node", *TABLES)
SENT: Final = "body"
"""What faults call a file that somebody sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    settings: Settings
    declaration: Declaration | None
    """None: the file declares nothing, so what is configured stays as it is."""


def read_config_file(
    path: Path,
    environment: Mapping[str, str],
    *,
    settings: Settings | None = None,
    otherwise: Callable[[], Settings] | None = None,
) -> ConfigFile:
    """Reads a file whole.

    The settings are `settings`, when they are given; else those in the file; else, for a file that only
    declares, what `otherwise` returns.  Raises ConfigurationFaults with everything that is wrong.
    """
    faults = FaultList()
    folder = path.resolve().parent
    root = _root(path, faults, environment)
    if settings is None and otherwise is not None and not root.has("node"):
        settings = otherwise()
    if settings is None:
        settings = read_settings(root, folder=folder, environment=environment)
    declaration = None
    if declares(root):
        declaration = read_declaration(
            root, base_domain=settings.base_domain, folder=folder, canonical=canonical_callflow
        )
    _check_pop(root, settings)
    _check_relay(root, settings, declaration)
    root.reject_unknown(known=_ROOT_KEYS)
    faults.raise_if_any()
    return ConfigFile(settings=settings, declaration=declaration)


def read_declaration_text(content: bytes, settings: Settings) -> Declaration:
    """Reads what a file declares that somebody sent; it can name no files.

    Raises ConfigurationFaults with everything that is wrong.
    """
    faults = FaultList()
    root = Section(read_toml(_decoded(content, SENT), SENT), faults)
    declaration = read_declaration(
        root, base_domain=settings.base_domain, folder=None, canonical=canonical_callflow
    )
    names = [name.lower() for name in root.names("pops")]
    if settings.pop and names and settings.pop not in names:
        root.fault("pops", f"POP {settings.pop}, which this node is, is not among them.", "Add it.")
    _check_relay(root, settings, declaration)
    root.reject_unknown(known=TABLES)
    faults.raise_if_any()
    return declaration


def read_settings_file(path: Path, environment: Mapping[str, str]) -> Settings:
    """Reads only the settings of a file; what it declares may be faulty.  Raises ConfigurationFaults."""
    faults = FaultList()
    root = _root(path, faults, environment)
    settings = read_settings(root, folder=path.resolve().parent, environment=environment)
    _check_pop(root, settings)
    root.reject_unknown(known=_ROOT_KEYS)
    faults.raise_if_any()
    return settings


def canonical_callflow(document: bytes) -> str:
    """The checker of callflow documents that `sip_config` asks for.  Raises CallflowRefused."""
    try:
        return to_canonical(read_callflow(document))
    except DocumentFaults as refused:
        raise CallflowRefused(
            tuple(
                DocumentFault(
                    line=fault.line,
                    message=f"{fault.element}: {fault.message}" if fault.element else fault.message,
                    remedy=fault.remedy,
                )
                for fault in refused.faults
            )
        ) from None


def _root(path: Path, faults: FaultList, environment: Mapping[str, str]) -> Section:
    return Section(read_toml(_text(path), str(path)), faults, environment=environment)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(4 * MAX_CHARACTERS + 1)
    except OSError as fault:
        raise _unreadable(
            str(path),
            f"The file cannot be read: {fault.strerror}.",
            "Name another, or correct its permissions.",
        ) from None
    return _decoded(content, str(path))


def _decoded(content: bytes, source: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as fault:
        raise _unreadable(source, f"Byte {fault.start} is not UTF-8.", "Save the file as UTF-8.") from None


def _unreadable(source: str, message: str, remedy: str) -> ConfigurationFaults:
    return ConfigurationFaults([Fault(source=source, line=None, key="", message=message, remedy=remedy)])


def _check_relay(root: Section, settings: Settings, declaration: Declaration | None) -> None:
    fault = missing_key(declaration.configuration.pops if declaration else (), settings)
    if fault is None:
        return
    if root.has("node"):
        root.section("node").section("relay").fault("key", fault.message, fault.remedy)
    else:
        root.fault("pops", fault.message, fault.remedy)


def _check_pop(root: Section, settings: Settings) -> None:
    names = [name.lower() for name in root.names("pops")] or [pop.name for pop in DEFAULT_POPS]
    if settings.pop and settings.pop not in names and root.has("node"):
        node = root.section("node")
        node.fault("pop", f"There is no POP {settings.pop}.", meant(settings.pop, names, "POPs"))
