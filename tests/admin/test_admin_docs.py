"""docs/administration.md: its examples are run as they stand."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.api.world import World
from voice.api.admin.resources import operations

PAGE = Path(__file__).resolve().parents[2] / "docs" / "administration.md"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_examples_run_in_their_order(api: World, tmp_path: Path) -> None:
    # The world has the accounts that the page makes.
    assert (await api.ask("DELETE", "/accounts/acme", key="operator")).status == 204
    script = "set -e\n" + "\n".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL))
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", script),
        cwd=tmp_path,
        env={**os.environ, "API": f"http://{api.address}", "KEY": api.keys["operator"]},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert b"errors" not in output
    assert (await api.ask("GET", "/numbers/+31201234567", key="operator")).status == 200


def test_the_page_names_every_scope_of_the_administration(api: World) -> None:
    text = PAGE.read_text()
    for operation in operations(api.services):
        assert f"`{operation.scope}`" in text
