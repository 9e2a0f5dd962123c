"""Commands are run in this process, in an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.console import DECLARED, NODE, Run
from voice.cli.main import run


@pytest.fixture
def trunkflow(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in an empty folder; returns status, output, errors."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trunkflow.toml").write_text(NODE + DECLARED)

    def command(*arguments: str) -> tuple[int, str, str]:
        status = run(arguments)
        output, errors = capsys.readouterr()
        return status, output, errors

    return command
