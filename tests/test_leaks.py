"""The leak fixture itself, run on tests that leak on purpose."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

LEAKS = {
    "task": "kept.append(asyncio.ensure_future(asyncio.sleep(9)))",
    "descriptor": "s = socket.socket(); kept.append(s)",
    "thread": "t = threading.Thread(target=gate.wait); t.start(); kept.append(t)",
    "process": "kept.append(subprocess.Popen(['sleep', '9']))",
    "temporary file": "kept.append(tempfile.mkdtemp())",
    "file in the repository": "pathlib.Path('stray').write_text('x')",
}

HEADER = """
import asyncio, pathlib, socket, subprocess, tempfile, threading
kept = []
gate = threading.Event()
"""

FOOTER = """
import pytest
@pytest.fixture(scope="session", autouse=True)
def tidy():
    yield
    gate.set()
    for one in kept:
        if isinstance(one, subprocess.Popen):
            one.kill(); one.wait()
        elif isinstance(one, socket.socket):
            one.close()
        elif isinstance(one, threading.Thread):
            one.join()
"""


@pytest.fixture
def small_suite(pytester: pytest.Pytester, repository: Path) -> pytest.Pytester:
    (pytester.path / "tests").mkdir()
    for name in ("conftest.py", "leaks.py"):
        shutil.copy(repository / "tests" / name, pytester.path / "tests" / name)
    conftest = pytester.path / "tests" / "conftest.py"
    text, times = re.subn(r"^GRACE_SECONDS = .*$", "GRACE_SECONDS = 0.2", conftest.read_text(), flags=re.M)
    assert times == 1
    conftest.write_text(text)
    pytester.makeini("[pytest]\nasyncio_mode = auto\npythonpath = .\naddopts = --import-mode=importlib")
    return pytester


def test_leaks_are_failures_and_clean_tests_pass(small_suite: pytest.Pytester) -> None:
    tests = "".join(f"async def test_{number}():\n    {code}\n" for number, code in enumerate(LEAKS.values()))
    clean = """
async def test_clean(tmp_path):
    (tmp_path / "x").write_text("x")
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    await reader.read()
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()
    await asyncio.get_running_loop().run_in_executor(None, lambda: None)
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()
    with tempfile.TemporaryFile():
        pass

def test_clean_without_loop():
    pass
"""
    (small_suite.path / "tests" / "test_small.py").write_text(HEADER + tests + clean + FOOTER)
    result = small_suite.runpytest_subprocess("-q", "-p", "no:cacheprovider", "tests")
    result.assert_outcomes(passed=len(LEAKS) + 2, errors=len(LEAKS))
    report = result.stdout.str()
    for kind in LEAKS:
        assert (f"  {kind} " if kind != "task" else "  <Task pending") in report, report
