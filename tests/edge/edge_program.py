"""An edge in a process of its own, whose limits others share.

    python -m tests.edge.edge_program LEDGER GATEWAY_PORT ACCOUNT

`ACCOUNT`: the limits of its only account, in JSON; with `amount` it is prepaid, and a minute costs 1.  Prints
the port on which it takes calls, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from sip_config.call_limits import CallLimits
from tests.edge.sockets import NoSeats, Records, address, settings
from tests.edge.world import ACCOUNT, an_account, directory, gateway
from voice.edge.core.tariff import Funds, Tariff
from voice.edge.ledger_file import LedgerFile
from voice.edge.server import Edge, SteadyClock

GENEROUS = {"calls_per_second": 10_000, "concurrent_calls": 10_000}


async def main() -> None:
    path, port, given = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
    amount = given.pop("amount", None)
    limits = CallLimits(**given.pop("limits", {}))
    config = directory(
        account=an_account(
            **{"calls_per_second": 10_000, "concurrent_calls": 10_000, **given}, limits=limits
        ),
        networks=("127.0.0.0/8",),
        gateways=[gateway(host="127.0.0.1", port=port, attempt_seconds=600.0)],
    )
    clock = SteadyClock()
    file = LedgerFile(path, clock())
    edge = Edge(settings(), lambda: config, NoSeats(), Records(), clock, file.ledger)
    if amount is not None:
        edge.set_tariff(Tariff([(None, "", 1)], {ACCOUNT: Funds(amount, "EUR")}))
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
