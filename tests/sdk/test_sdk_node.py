"""The Node SDK of MessageBird, unchanged but for where its requests go, over the whole voice surface."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakePlatform, Voices
from tests.sdk.callee import CALLEE, SOURCE, with_callee
from voice.webhooks.signing import jwt_signature

HERE = Path(__file__).parent
SDK = Path(sys.prefix) / "node" / "node_modules" / "messagebird"
NODE = Path(sys.prefix) / "bin" / "node"


async def run(script: str, given: dict[str, Any]) -> str:
    """What a script prints; its error is ours."""
    assert SDK.is_dir(), f"MessageBird's SDK for Node is not in {SDK}: ./test installs it"
    process = await asyncio.create_subprocess_exec(
        str(NODE), str(HERE / script),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(90):
            out, error = await process.communicate(json.dumps({"sdk": str(SDK), **given}).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, error.decode()
    return out.decode()


async def test_the_whole_surface(node: MakePlatform, voices: Voices, tmp_path: Path) -> None:
    async with with_callee(node, tmp_path) as (_, base, key):
        given = {"base": base, "key": key, "source": SOURCE, "destination": CALLEE}
        seen = json.loads(await run("surface.js", given))
    assert seen["flow"]["data"][0]["title"] == "From Node"
    assert seen["flowUpdate"]["data"][0]["title"] == "Changed"
    assert seen["flowDelete"] is True
    assert seen["flowGone"]["status"] == 404
    assert seen["flowFaulty"]["status"] == 422
    assert seen["hookRead"]["data"][0]["url"] == "https://example.com/hook"
    assert seen["hookUpdate"]["data"][0]["url"] == "https://example.com/other"
    assert seen["call"]["data"][0]["status"] in ("queued", "starting")
    assert seen["callEnd"]["data"][0]["status"] == "ended"
    assert seen["legs"]["data"][0]["status"] == "hangup"
    assert seen["legs"]["data"][0]["sipResponseCode"] == 200
    assert seen["wavLength"] > 10_000
    assert seen["transcriptionEnd"]["data"][0]["status"] == "done"
    assert seen["recordingDelete"] is True
    assert seen["secondEnd"]["data"][0]["status"] == "ended"
    (recipient,) = seen["messageRead"]["recipients"]["items"]
    assert recipient["recipient"] == int(CALLEE)
    assert seen["verifyWrong"]["status"] == 422
    assert seen["verifyEmpty"]["status"] == 422
    assert seen["verified"]["status"] == "verified"
    assert seen["verifySms"]["status"] == 422


@pytest.mark.parametrize("body", ['{"items":[]}', ""], ids=["with a body", "without one"])
async def test_its_validator_takes_our_signature(body: str) -> None:
    url = "http://example.com:8080/hook?a=1&b=%2B"
    secret = "the signing key of an account, long enough"
    token = jwt_signature(secret, url, body.encode())
    answer = await run("signature.js", {"url": url, "body": body, "token": token, "secret": secret})
    assert answer == "valid"
    other = await run("signature.js", {"url": url + "2", "body": body, "token": token, "secret": secret})
    assert "url_hash" in other
