"""``trunkflow drill pop``, run in this process: what is configured decides, and the exit status tells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.console import NODE, Run

POPS = """
[node.relay]
key = "a key that all points of presence share"
interval_seconds = 0.3
silence_seconds = {silence}
misses_until_down = {misses}
[pops.eu1]
region = "EU"
[pops.eu2]
region = "EU"
"""


def configured(trunkflow: Run, folder: Path, *, silence: float = 0.4, misses: int = 3) -> None:
    (folder / "trunkflow.toml").write_text(NODE + POPS.format(silence=silence, misses=misses))
    status, _, errors = trunkflow("apply", "trunkflow.toml")
    assert status == 0, errors


def test_the_report(trunkflow: Run, tmp_path: Path) -> None:
    configured(trunkflow, tmp_path)
    status, output, errors = trunkflow("drill", "pop", "EU1", "--blackhole", "3s", "--interval", "0.1")
    assert (status, errors) == (0, "")
    for words in ("POP eu1 is lost for 3 s", "calls lost", "wrong retries", "time to recover"):
        assert words in output
    assert "The platform does what it promises." in output


def test_a_platform_that_misses_its_promise(trunkflow: Run, tmp_path: Path) -> None:
    configured(trunkflow, tmp_path, silence=4.2, misses=100)
    status, output, _ = trunkflow("drill", "pop", "eu1", "--blackhole", "5s", "--interval", "0.25", "--json")
    assert status == 1
    report = json.loads(output)
    assert report["good"] is False
    assert report["slowest_seconds"] > 4.0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("mars1",), "There is no POP mars1"),
        (("eu1", "--blackhole", "soon"), "Write 60s or 2m"),
        (("eu1", "--blackhole", "1s"), "Write 60s or 2m"),
    ],
)
def test_faults(trunkflow: Run, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    configured(trunkflow, tmp_path)
    status, _, errors = trunkflow("drill", "pop", *arguments)
    assert status == 1
    assert said in errors
