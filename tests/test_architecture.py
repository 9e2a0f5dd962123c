"""Who may import whom, and where each library lives: read from the syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

OURS = ("voice", "callflows", "sip_config")

MAY_IMPORT = {
    "sip_config": {"sip_config"},
    "callflows": {"callflows"},
    "voice": {"voice", "callflows", "sip_config"},
}
"""Package -> the packages of ours it may import."""

HOMES = {
    "pjsua2": ("voice.media.pj",),
    "lxml": ("callflows",),
    "aiohttp.web": ("voice.api",),
    "aiohttp": ("voice.api", "voice.webhooks"),
    "jwt": ("voice.webhooks",),
    "pocketsphinx": ("voice.transcription",),
    "sqlalchemy": ("voice.store",),
    "alembic": ("voice.store",),
    "aiosqlite": ("voice.store",),
    "asyncpg": ("voice.store",),
    "msgspec": ("voice.pool", "voice.store"),
    "pyttsx3": ("voice.speech",),
    "espeakng_loader": ("voice.speech",),
    "soundfile": ("voice.speech",),
    "soxr": ("voice.speech",),
    "numpy": ("voice.speech",),
    "phonenumbers": ("sip_config",),
    "cryptography": ("voice.edge",),
    "dns": ("voice.edge",),
    "websockets": ("voice.edge.transports",),
    "typer": ("voice.cli",),
    "rich": ("voice.cli",),
}
"""Library (the longest name that fits counts) -> the packages that may import it."""

SANS_IO = "voice.sip"
WORLD = {
    "aiohttp", "asyncio", "concurrent", "datetime", "http", "logging", "multiprocessing", "os", "pathlib",
    "select", "selectors", "signal", "socket", "socketserver", "ssl", "subprocess", "tempfile", "threading",
    "time", "urllib.request",
}  # fmt: skip
"""What takes part in the world; code without I/O gets bytes and the time as arguments."""

GAUNTLET = "voice.gauntlet"
GAUNTLET_MAY_IMPORT = (GAUNTLET, SANS_IO)
"""It attacks any server by what a message is, never by how ours is made."""

NO_DUMPING_GROUNDS = {"util", "utils", "helper", "helpers", "common", "misc", "shared", "tools"}

LONGEST_FILE = 450
"""Lines.  A longer file does two jobs."""


@dataclass(frozen=True, slots=True)
class Import:
    module: str
    name: str
    line: int
    path: Path

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} imports {self.name}"

    def inside(self, package: str) -> bool:
        return _inside(self.module, package)


def _inside(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def _files() -> list[Path]:
    return sorted(path for package in OURS for path in (ROOT / package).rglob("*.py"))


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: Path) -> Iterator[Import]:
    """Every import of a file, also inside functions, under ``TYPE_CHECKING``, and by `import_module`."""
    module = _module(path)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        match node:
            case ast.Import():
                for alias in node.names:
                    yield Import(module, alias.name, node.lineno, path)
            case ast.ImportFrom():
                base = node.module or ""
                if node.level:
                    above = package.split(".")[: len(package.split(".")) - node.level + 1]
                    base = ".".join([*above, base] if base else above)
                for alias in node.names:
                    yield Import(module, f"{base}.{alias.name}", node.lineno, path)
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield Import(module, name, node.lineno, path)


def _all_imports() -> list[Import]:
    return [one for path in _files() for one in _imports(path)]


def _says(faults: list[str]) -> str:
    return "\n  ".join(["", *faults])


def test_packages_import_only_what_lies_below_them() -> None:
    faults = [
        str(one)
        for one in _all_imports()
        if (top := one.name.partition(".")[0]) in OURS and top not in MAY_IMPORT[one.module.partition(".")[0]]
    ]
    assert not faults, _says(faults)


def test_nothing_of_ours_imports_tests_or_benchmarks() -> None:
    faults = [str(one) for one in _all_imports() if one.name.partition(".")[0] in {"tests", "bench"}]
    assert not faults, _says(faults)


def test_each_library_stays_in_its_home() -> None:
    faults = []
    for one in _all_imports():
        fitting = [library for library in HOMES if _inside(one.name, library)]
        homes = HOMES[max(fitting, key=len)] if fitting else ()
        if homes and not any(one.inside(home) for home in homes):
            faults.append(f"{one}, which lives in {' and '.join(homes)}")
    assert not faults, _says(faults)


def test_the_sip_core_has_no_part_in_the_world() -> None:
    faults = [
        str(one)
        for one in _all_imports()
        if one.inside(SANS_IO)
        and (
            any(_inside(one.name, world) for world in WORLD)
            or (_inside(one.name, "voice") and not _inside(one.name, SANS_IO))
        )
    ]
    assert not faults, _says(faults)


def test_the_gauntlet_knows_messages_and_no_server() -> None:
    faults = [
        str(one)
        for one in _all_imports()
        if one.inside(GAUNTLET)
        and _inside(one.name, "voice")
        and not any(_inside(one.name, known) for known in GAUNTLET_MAY_IMPORT)
    ]
    assert not faults, _says(faults)


@pytest.mark.parametrize("path", _files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_file_has_one_job_and_a_name_for_it(path: Path) -> None:
    lines = path.read_text().count("\n")
    assert lines <= LONGEST_FILE, f"{lines} lines; {LONGEST_FILE} at most: split it by what changes together"
    parts = {part.strip("_") for part in path.relative_to(ROOT).with_suffix("").parts}
    assert not parts & NO_DUMPING_GROUNDS, "put each function beside its noun"


@pytest.mark.parametrize("path", _files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), "begin with a docstring: what it does, and why"


def test_packages_carry_their_types() -> None:
    assert [package for package in OURS if not (ROOT / package / "py.typed").exists()] == []


def test_reading_imports_sees_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader itself: a rule that sees nothing would always hold."""
    source = (
        "import a.b\nfrom c import d\nfrom . import e\nfrom ..f import g\n"
        "def h():\n    import i\n    import_module('j')\n    importlib.import_module('k.l')\n"
        "    __import__('m')\n"
    )
    path = tmp_path / "voice" / "speech" / "x.py"
    path.parent.mkdir(parents=True)
    path.write_text(source)
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    names = [one.name for one in _imports(path)]
    assert names == ["a.b", "c.d", "voice.speech.e", "voice.f.g", "i", "j", "k.l", "m"]
