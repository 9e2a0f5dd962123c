"""Webhooks: deliveries per second, with all of ten receivers alive, and with one dead.

    python -m bench.webhooks [--events 3000]

Method: the outbox is a SQLite file with so many due deliveries, spread evenly over ten receivers, which are
servers on addresses of their own (127.0.0.11 to .20) in a process of their own and answer 200 at once.  The
dead one takes the request and never answers.  Measured is the time until all deliveries to live receivers
are on record as delivered, and when each receiver had its last.  The peer, in the same run, is what one
would write first: one queue, one worker for each core, the next delivery when the last is done (with the
same client, signatures and time-out, and no record of anything).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
import time
from pathlib import Path

from aiohttp import web
from sqlalchemy import func, insert, select

from bench.machine import described
from voice.bells import Bell
from voice.store import schema
from voice.store.database import Database, sqlite_url
from voice.store.deliveries import Deliveries
from voice.store.events import delivery_row, insert_deliveries
from voice.store.service_schema import deliveries
from voice.store.signing_keys import SigningKeys
from voice.webhooks.client import ClientSettings, FetchFailed, SafeClient
from voice.webhooks.delivery import ATTEMPT_SECONDS, Deliverer
from voice.webhooks.signing import signed_headers

RECEIVERS = 10
WORKERS = 2
ACCOUNT = "acme"
BODY = '{"timestamp":"2026-02-13T20:14:00.000Z","items":[{"type":"call","event":"callUpdated","payload":{}}]}'
PEER_SECONDS = 20.0


async def receive(dead: bool) -> None:
    """The receivers; prints their port, which all have in common."""
    never = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        if dead and request.host.startswith("127.0.0.20"):
            await never.wait()
        return web.Response()

    app = web.Application()
    app.add_routes([web.post("/hook", answer)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    first = web.TCPSite(runner, "127.0.0.11", 0)
    await first.start()
    port = runner.addresses[0][1]
    for last in range(12, 11 + RECEIVERS):
        await web.TCPSite(runner, f"127.0.0.{last}", port).start()
    print(port, flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await runner.cleanup()


def addresses(port: int) -> list[str]:
    return [f"http://127.0.0.{last}:{port}/hook" for last in range(11, 11 + RECEIVERS)]


async def fill(database: Database, urls: list[str], events: int) -> None:
    now = time.time()
    async with database.writing() as connection:
        await connection.execute(
            insert(schema.accounts).values(
                id=ACCOUNT, name=ACCOUNT, calls_per_second=1, concurrent_calls=1, max_call_seconds=60
            )
        )
        rows = [
            delivery_row(
                dedupe=str(number),
                account_id=ACCOUNT,
                event="callUpdated",
                method="POST",
                url=urls[number % len(urls)],
                body=BODY,
                at=now,
                call_id=f"call {number}",
            )
            for number in range(events)
        ]
        await insert_deliveries(connection, rows)


async def ours(port: int, events: int, dead: bool) -> str:
    urls = addresses(port)
    with tempfile.TemporaryDirectory() as folder:
        async with await Database.open(sqlite_url(Path(folder) / "outbox.db")) as database:
            await fill(database, urls, events)
            keys = SigningKeys(database, time.time)
            wanted = events - (events // RECEIVERS if dead else 0)
            done = select(func.count()).where(deliveries.c.state == "delivered")
            async with SafeClient(ClientSettings(allow_private_networks=True)) as client:
                began = time.time()
                deliverer = Deliverer(Deliveries(database, time.time), keys, client, Bell())
                running = asyncio.create_task(deliverer.run())
                while True:
                    async with database.reading() as connection:
                        if (await connection.execute(done)).scalar_one() >= wanted:
                            break
                    await asyncio.sleep(0.05)
                took = time.time() - began
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running
            last = select(deliveries.c.destination, func.max(deliveries.c.done_at)).where(
                deliveries.c.state == "delivered"
            )
            async with database.reading() as connection:
                ends = (await connection.execute(last.group_by(deliveries.c.destination))).all()
    slowest = max(end - began for _, end in ends)
    fastest = min(end - began for _, end in ends)
    return (
        f"{wanted / took:6.0f} deliveries/s; the first receiver had all after {fastest:.1f} s, "
        f"the last live one after {slowest:.1f} s"
    )


async def peer(port: int, events: int) -> str:
    """One queue for everybody, for at most PEER_SECONDS."""
    urls = addresses(port)
    queue = asyncio.Queue[str]()
    for number in range(events):
        queue.put_nowait(urls[number % len(urls)])
    delivered = 0

    async def work(client: SafeClient) -> None:
        nonlocal delivered
        while not queue.empty():
            url = queue.get_nowait()
            headers = signed_headers("a signing key that is long enough", BODY.encode())
            try:
                await client.post(
                    url, BODY.encode(), max_bytes=1000, seconds=ATTEMPT_SECONDS, headers=headers
                )
            except FetchFailed:
                continue
            delivered += 1

    began = time.monotonic()
    async with SafeClient(ClientSettings(allow_private_networks=True)) as client:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PEER_SECONDS):
                await asyncio.gather(*(work(client) for _ in range(WORKERS)))
    took = time.monotonic() - began
    return f"{delivered / took:6.0f} deliveries/s; {delivered} of {events} delivered in {took:.1f} s"


async def main(events: int) -> None:
    print(__doc__)
    print(described())
    print(f"{events} deliveries to {RECEIVERS} receivers\n")
    for dead in (False, True):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.webhooks", "--receive", "dead" if dead else "alive"),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            port = int(await process.stdout.readline())
            print("one of ten is dead:" if dead else "all are alive:")
            print(f"  trunkflow          {await ours(port, events, dead)}")
            print(f"  one queue (peer)   {await peer(port, events)}")
        finally:
            process.terminate()
            await process.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Speed of webhook deliveries.")
    parser.add_argument("--events", type=int, default=3000)
    parser.add_argument("--receive", choices=("alive", "dead"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    asyncio.run(receive(given.receive == "dead") if given.receive else main(given.events))
