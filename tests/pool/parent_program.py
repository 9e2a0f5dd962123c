"""A parent that can be killed: a pool in a process of its own, told by lines, telling by lines.

    python parent_program.py DIRECTORY PROMPT [CALL_ID]

With a call id it takes one call; without, it only listens, as the parent after a crash does.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from pathlib import Path

from tests.pool.conftest import (
    GREET_TWICE,
    RTP_SPAN,
    FreeCalls,
    OneFlow,
    OneSound,
    StraightDesk,
    Writers,
    order_for,
    process_config,
)
from tests.ports import free_rtp_range
from voice.pool.desk import Desk
from voice.pool.fleet import PoolSettings
from voice.pool.pool import Pool
from voice.pool.undertaker import Undertaker
from voice.records import Record


class Printer:
    """A `Journal` that prints."""

    def write(self, record: Record) -> None:
        print(json.dumps([type(record).__name__, dataclasses.asdict(record)]), flush=True)


async def main() -> None:
    directory, prompt = Path(sys.argv[1]), Path(sys.argv[2])
    journal, desk = Printer(), StraightDesk()
    undertaker = Undertaker()
    rtp = free_rtp_range(RTP_SPAN)
    settings = PoolSettings(
        run_dir=directory / "run",
        warm_reserve=1,
        max_processes=4,
        calls_per_process=1,
        calls_before_recycling=10,
        rtp_first=rtp,
        rtp_last=rtp + RTP_SPAN - 1,
    )
    pool = Pool(
        settings,
        process_config(directory),
        Desk(OneSound(prompt), OneFlow(), Writers(), FreeCalls(), directory / "recordings", journal),
        undertaker,
        journal,
    )
    await undertaker.start(("127.0.0.1", 9))
    await pool.start(desk)
    await pool.warm()
    if len(sys.argv) > 3:
        order = dataclasses.replace(order_for(GREET_TWICE), call_id=sys.argv[3])
        seat = await pool.seat(order)
        worker = pool.worker_of(order.call_id)
        assert worker is not None
        print(json.dumps(["pid", worker.pid]), flush=True)
        print(json.dumps(["seat", f"sip:{order.call_id}@{seat.host}:{seat.port}"]), flush=True)
    else:
        print(json.dumps(["ready", None]), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await pool.stop("the test is over")
    await undertaker.stop()


if __name__ == "__main__":
    asyncio.run(main())
