"""The API's speed: requests per second and latency, beside a bare server that does the least for the same.

    python -m bench.api [--seconds 5] [--connections 16]

Method: the API runs alone in a process (one core at most), on a SQLite file with 10,000 calls; the client
is this process, with keep-alive connections that each ask again as soon as they have an answer.  Calls are
accepted and queued; no node places them.  The peer, in a process of its own in the same run, is an
aiohttp.web handler with the sqlite3 module, the same row to read and two rows to insert with a commit; it
knows no keys, no limits, no validation, no callflow and no webhooks.  Latencies are of single requests, as
the client sees them, with its own time in them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sqlite3
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from sqlalchemy import insert

from bench.machine import described
from voice.api.server import ApiServer
from voice.bells import Bells
from voice.office import services_of
from voice.settings import ApiSettings, Settings, SocketAddress
from voice.store import schema
from voice.store.access_keys import AccessKeys
from voice.store.database import Database

CALLS = 10_000
ACCOUNT = "11111111-1111-4111-8111-111111111111"
NUMBER = "+31201234567"
STEP = {"action": "say", "options": {"payload": "Hello there", "language": "en-GB", "voice": "male"}}
BODY = {"source": NUMBER, "destination": "+31612345678", "callFlow": {"title": "A call", "steps": [STEP]}}
NO_LIMIT = 1e9


def settings(folder: Path) -> Settings:
    api = ApiSettings(
        listen=(SocketAddress(host="127.0.0.1", port=0),), requests_per_second=NO_LIMIT, burst=1_000_000_000
    )
    return Settings(base_domain="sip.example.com", data_directory=folder, api=api)


async def fill(folder: Path) -> tuple[str, str, list[str]]:
    """An account with a number, keys (live, test) and calls; the ids of the calls."""
    ids = [str(uuid.uuid4()) for _ in range(CALLS)]
    now = time.time()
    async with await Database.of(settings(folder)) as database:
        async with database.writing() as connection:
            await connection.execute(
                insert(schema.accounts).values(
                    id=ACCOUNT,
                    name="acme",
                    calls_per_second=10.0,
                    concurrent_calls=10,
                    max_call_seconds=3600,
                )
            )
            await connection.execute(
                insert(schema.numbers).values(id=str(uuid.uuid4()), account_id=ACCOUNT, e164=NUMBER)
            )
            rows = [
                {
                    "id": call_id,
                    "account_id": ACCOUNT,
                    "direction": "outgoing",
                    "status": "ended",
                    "source": NUMBER,
                    "destination": "+31612345678",
                    "started_at": now - CALLS + index,
                    "updated_at": now,
                    "ended_at": now,
                }
                for index, call_id in enumerate(ids)
            ]
            await connection.execute(insert(schema.calls), rows)
        keys = AccessKeys(database, time.time)
        live, _ = await keys.create(ACCOUNT)
        test, _ = await keys.create(ACCOUNT, test=True)
    return live, test, ids


async def serve_real(folder: Path) -> None:
    async with (
        await Database.of(settings(folder)) as database,
        ApiServer(settings(folder).api, services_of(settings(folder), database, Bells())) as server,
    ):
        print(server.addresses[0].port, flush=True)
        await _told_to_stop()


async def serve_peer(folder: Path) -> None:
    database = sqlite3.connect(folder / "trunkflow.db", isolation_level=None)
    database.row_factory = sqlite3.Row
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("CREATE TABLE IF NOT EXISTS peer (id TEXT PRIMARY KEY, body TEXT, state TEXT)")
    database.execute("CREATE TABLE IF NOT EXISTS peer_queue (id TEXT PRIMARY KEY, due REAL)")

    async def one(request: web.Request) -> web.Response:
        row = database.execute("SELECT * FROM calls WHERE id = ?", (request.match_info["id"],)).fetchone()
        return web.json_response({"data": [dict(row)]})

    async def many(request: web.Request) -> web.Response:
        rows = database.execute(
            "SELECT * FROM calls WHERE account_id = ? ORDER BY started_at, id LIMIT 10", (ACCOUNT,)
        ).fetchall()
        return web.json_response({"data": [dict(row) for row in rows]})

    async def create(request: web.Request) -> web.Response:
        body = await request.json()
        call_id = str(uuid.uuid4())
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT INTO peer VALUES (?, ?, 'queued')", (call_id, json.dumps(body)))
        database.execute("INSERT INTO peer_queue VALUES (?, ?)", (call_id, time.time()))
        database.execute("COMMIT")
        return web.json_response({"data": [{"id": call_id}]}, status=201)

    app = web.Application()
    app.add_routes([web.get("/calls/{id}", one), web.get("/calls", many), web.post("/calls", create)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await _told_to_stop()
    await runner.cleanup()
    database.close()


async def _told_to_stop() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()


class Load:
    """So many connections for so many seconds."""

    def __init__(self, seconds: float, connections: int) -> None:
        self._seconds = seconds
        self._connections = connections

    async def run(
        self, what: str, base: str, method: str, paths: list[str], key: str, body: Any = None
    ) -> None:
        latencies: list[float] = []
        content = None if body is None else json.dumps(body)
        headers = {"Authorization": f"AccessKey {key}", "Content-Type": "application/json"}
        deadline = time.perf_counter() + self._seconds

        async def ask_again(session: aiohttp.ClientSession, first: int) -> None:
            index = first
            while (began := time.perf_counter()) < deadline:
                path = paths[index % len(paths)]
                index += self._connections
                async with session.request(method, base + path, data=content) as answer:
                    await answer.read()
                    assert answer.status in (200, 201), await answer.text()
                latencies.append(time.perf_counter() - began)

        connector = aiohttp.TCPConnector(limit=self._connections)
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
            began = time.perf_counter()
            await asyncio.gather(*(ask_again(session, first) for first in range(self._connections)))
            took = time.perf_counter() - began
        cuts = statistics.quantiles(latencies, n=100)
        print(
            f"  {what:34} {len(latencies) / took:7.0f} requests/s   "
            f"p50 {cuts[49] * 1000:6.1f} ms   p99 {cuts[98] * 1000:6.1f} ms"
        )


async def measure(kind: str, folder: Path, load: Load, live: str, test: str, ids: list[str]) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.api", "--serve", kind, str(folder), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        base = f"http://127.0.0.1:{int(await process.stdout.readline())}"
        print(f"{'trunkflow api' if kind == 'real' else 'bare aiohttp.web and sqlite3 (the peer)'}:")
        await load.run("GET one of 10,000 calls", base, "GET", [f"/calls/{one}" for one in ids], live)
        await load.run("GET a page of ten calls", base, "GET", ["/calls"], live)
        await load.run("POST a call with its callflow", base, "POST", ["/calls"], live, BODY)
        if kind == "real":
            await load.run("POST a call with a test key", base, "POST", ["/calls"], test, BODY)
            await load.run("GET the callflows", base, "GET", ["/call-flows"], live)
    finally:
        process.terminate()
        await process.wait()


async def main(seconds: float, connections: int) -> None:
    print(__doc__)
    print(described())
    print(f"{connections} connections, {seconds:g} s for each line\n")
    load = Load(seconds, connections)
    for kind in ("real", "peer"):
        with tempfile.TemporaryDirectory() as folder:
            live, test, ids = await fill(Path(folder))
            await measure(kind, Path(folder), load, live, test, ids)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Speed of the HTTP API.")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--serve", nargs=2, metavar=("KIND", "FOLDER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve = serve_real if given.serve[0] == "real" else serve_peer
        asyncio.run(serve(Path(given.serve[1])))
    else:
        asyncio.run(main(given.seconds, given.connections))
