"""An edge in a process of its own, whose limits others share.

    python -m tests.edge.edge_program LEDGER CONCURRENT_CALLS GATEWAY_PORT

Prints the port on which it takes calls, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.edge.sockets import NoSeats, Records, address, settings
from tests.edge.world import an_account, directory, gateway
from voice.edge.ledger_file import LedgerFile
from voice.edge.server import Edge, SteadyClock


async def main() -> None:
    path, places, port = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    config = directory(
        account=an_account(calls_per_second=10_000, concurrent_calls=places),
        networks=("127.0.0.0/8",),
        gateways=[gateway(host="127.0.0.1", port=port, attempt_seconds=120.0)],
    )
    clock = SteadyClock()
    file = LedgerFile(path, clock())
    edge = Edge(settings(), lambda: config, NoSeats(), Records(), clock, file.ledger)
    await edge.start()
    print(address(edge, "UDP")[1], flush=True)
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    while not ended.done():
        file.tidy()
        await asyncio.wait([ended], timeout=0.1)
    print(edge.snapshot().bugs, file.waits_given_up, flush=True)
    await edge.stop()
    file.close()


asyncio.run(main())
