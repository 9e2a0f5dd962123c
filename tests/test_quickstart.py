"""`./run --once` does what the README promises; here on ports of the system's choice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long


@pytest.fixture
def configuration(repository: Path, tmp_path: Path) -> Path:
    """The quickstart's own configuration, on free ports and with a data directory of its own."""
    text = (repository / "samples" / "quickstart.toml").read_text()
    here = text.replace('"127.0.0.1:5060"', '"127.0.0.1:0"').replace(
        "../quickstart-data", str(tmp_path / "data")
    )
    assert here.count("127.0.0.1:0") == 2
    here = here.replace('"127.0.0.1:8080"', '"127.0.0.1:0"')
    path = tmp_path / "quickstart.toml"
    path.write_text(here.replace("[node.sip]", '[node.sip]\ninside = "127.0.0.1:0"'))
    return path


def quickstart(configuration: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "voice.quickstart", "--once", "--config", str(configuration)],
        capture_output=True,
        text=True,
        timeout=90,
    )


def test_one_call_goes_through_the_front_door_and_its_sound_is_good(configuration: Path) -> None:
    done = quickstart(configuration)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The caller heard the platform's speech: yes" in done.stdout
    assert "The recording holds what the caller said: yes" in done.stdout
    assert "let in by ACL office" in done.stdout
    recording = Path(done.stdout.splitlines()[-1].removeprefix("The recording is "))
    assert recording.stat().st_size > 16_000
    assert done.stderr == ""


def test_a_call_that_is_not_let_in_says_why_and_fails(configuration: Path) -> None:
    configuration.write_text(
        configuration.read_text().replace('password = "quickstart"', 'password = "other"')
    )
    done = quickstart(configuration)
    assert done.returncode == 1
    assert "refused by digest" in done.stdout
    assert "The caller heard the platform's speech: no" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_port_that_is_taken_is_named(configuration: Path) -> None:
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('127.0.0.1', 0));"
            "print(s.getsockname()[1], flush=True); input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        port = holder.stdout.readline().strip()
        text = configuration.read_text().replace('udp = ["127.0.0.1:0"]', f'udp = ["127.0.0.1:{port}"]')
        configuration.write_text(text)
        done = quickstart(configuration)
        holder.terminate()
    assert done.returncode == 1
    assert "in use" in done.stderr
    assert "names the addresses" in done.stderr
    assert "Traceback" not in done.stderr
