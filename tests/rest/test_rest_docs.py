"""docs/messages.md: its examples are run as they stand."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.api.world import World
from voice.store.service_schema import balances, outbound_calls, rates, verifications

PAGE = Path(__file__).resolve().parents[2] / "docs" / "messages.md"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_examples_run_in_their_order(api: World, tmp_path: Path) -> None:
    script = "set -e\n" + "\n".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL))
    keys = {"KEY": api.keys["live"], "OPERATOR": api.keys["operator"]}
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", script),
        cwd=tmp_path,
        env={**os.environ, "API": f"http://{api.address}", **keys},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert b"errors" not in output
    assert [row["status"] for row in await api.rows(verifications)] == ["verified"]
    assert len(await api.rows(outbound_calls)) == 3
    assert len(await api.rows(rates)) == 3
    assert [row["amount"] for row in await api.rows(balances)] == [35_000_000]
