"""The command as a process of its own, as people run it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

NODE = '[node]\nbase_domain = "sip.example.com"\n[accounts.acme.domains.acme]\n'


def trunkflow(folder: Path, repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(repository), "PYTHONWARNINGS": "error"}
    return subprocess.run(
        [sys.executable, "-m", "voice.cli.main", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_from_nothing_to_a_listing(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "trunkflow.toml").write_text(NODE)
    applied = trunkflow(tmp_path, repository, "apply", "trunkflow.toml")
    assert (applied.returncode, applied.stderr) == (0, "")
    assert applied.stdout.splitlines()[-1] == "2 changes made."
    listed = trunkflow(tmp_path, repository, "domains", "--json")
    assert listed.returncode == 0
    assert [domain["name"] for domain in json.loads(listed.stdout)] == ["acme.sip.example.com"]


def test_faults_end_with_status_2_and_no_traceback(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "trunkflow.toml").write_text(NODE + "acls = 5\n[node.pool]\nwarm = 1\n")
    for command in ("apply", "serve"):
        done = trunkflow(tmp_path, repository, command, "trunkflow.toml")
        assert (done.returncode, done.stdout) == (2, "")
        assert len(done.stderr.splitlines()) == 2
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_reader_that_goes_away_is_no_fault(tmp_path: Path, repository: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m voice.cli.main --help | head -c 1"],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
