"""One POP's edge, in a process and a network namespace of its own.

Arguments: a file that says, as JSON, which POPs there are and which of them this is.  Says ``ready`` when it
takes calls, ends at SIGTERM, and keeps what it believes of the others in ``<pop>.states`` beside that file.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from sip_config.model import Pop, Region
from voice.drill.laboratory import NoCallflows, NoRecords, directory_of, settings_of
from voice.edge.server import Edge
from voice.edge.settings import PopRelay
from voice.pop_states import keep_written


async def run(path: Path) -> None:
    place = json.loads(path.read_text())
    pops = [Pop(name=name, region=Region(region)) for name, region in place["pops"].items()]
    addresses = {name: (host, port) for name, (host, port) in place["addresses"].items()}
    own = place["own"]
    directory = directory_of(
        place["base_domain"], own, pops, addresses, place["caller"], (place["callee"][0], place["callee"][1])
    )
    relay = PopRelay(key=bytes.fromhex(place["key"]), transport=place["transport"])
    edge = Edge(
        settings_of(place["base_domain"], own, addresses[own], relay),
        lambda: directory,
        NoCallflows(),
        NoRecords(),
    )
    await edge.start()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    telling = asyncio.create_task(keep_written(path.with_name(f"{own}.states"), lambda: edge.snapshot().pops))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await stop.wait()
    telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)
    bugs = edge.snapshot().bugs
    await edge.stop()
    sys.exit(1 if bugs else 0)


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1])))
