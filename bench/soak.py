"""Many short calls, one after another, against a real node: ``python -m bench.soak --cps 20 --seconds 60``.

Reports calls that failed, how long a caller waits for the answer and for the first sound, what calls
cost, and what the node holds while it goes on.  Needs sipp, and root (or CAP_NET_RAW) for the packet
socket.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Final

from bench import machine
from bench.callers import Callers
from bench.holdings import HEADING, Holdings, holdings
from bench.nodes import RTP_FIRST, RTP_LAST, BenchNode, NodeSettings, running_node
from bench.soak_report import Phase, report
from bench.wiretap import Wiretap

RECORD_SECONDS: Final = 1
CALL_SECONDS_AT_MOST: Final = 15.0
WARM_UP_CALLS: Final = 10
FIRST_CALLS: Final = 1_000
"""Calls after which the node's memory is taken for settled."""
REST_SECONDS: Final = 3.0

FLOW: Final = f"""
<callflow>
  <steps>
    <step id="greet" action="say">
      <language>en-GB</language><voice>male</voice><text>Welcome to trunkflow.</text>
    </step>
    <step id="take" action="record"><maxLength>{RECORD_SECONDS}</maxLength><timeout>10</timeout></step>
    <step id="bye" action="hangup"/>
  </steps>
</callflow>
"""

METHOD: Final = f"""\
Method: a node as `trunkflow serve` starts it, with its own database, on loopback; sipp places calls at
an even rate: INVITE, 407, ACK, INVITE with digest (MD5), 200, ACK, and speaks (PCMA, a tone) until the
platform says BYE.  Each call hears a prompt that is in the cache (espeak-ng speech, about 1.5 s) and is
recorded for {RECORD_SECONDS} s.  Times are taken from packets on loopback, stamped by the kernel: from the
caller's first INVITE (so with the challenge and its answer) to the 200, and to the first RTP packet of
the platform.  CPU time from /proc/PID/stat; that of call processes includes their start.  Private memory:
Private_Dirty of smaps_rollup, in 10^6 bytes.  At rest: {REST_SECONDS:g} s after the last call."""


def main() -> int:
    options = _options()
    calls = round(options.cps * options.seconds)
    print(f"{METHOD}\nMachine: {machine.described()}\n")
    with running_node(NodeSettings(flow=FLOW, sounds={}, max_processes=options.max_processes)) as node:
        fresh = holdings(node)
        print(f"fresh: {fresh.sentence()}")
        _warm_up(node, options.cps)
        phases = [
            _phase(node, options.cps, count, options.every, fresh)
            for count in (min(FIRST_CALLS, calls), calls - FIRST_CALLS)
            if count > 0
        ]
        lost = report(node, fresh, phases, others=WARM_UP_CALLS, recorded_seconds=RECORD_SECONDS)
    return 1 if lost else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.soak", description=__doc__)
    parser.add_argument("--cps", type=float, default=20.0, help="new calls per second")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long calls are placed")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between lines of the table")
    parser.add_argument("--max-processes", type=int, default=400, help="of the call pool")
    return parser.parse_args()


def _warm_up(node: BenchNode, cps: float) -> None:
    """A few calls that nobody counts; the first one makes the prompt."""
    callers = Callers(
        node.directory / "warm", node.port, rate=cps, calls=WARM_UP_CALLS, call_seconds=CALL_SECONDS_AT_MOST
    )
    callers.start()
    deadline = time.monotonic() + WARM_UP_CALLS / cps + CALL_SECONDS_AT_MOST + 60
    while callers.running and node.alive and time.monotonic() < deadline:
        time.sleep(0.1)
    callers.stop()
    outcome = callers.outcome()
    if outcome.succeeded != WARM_UP_CALLS:
        raise RuntimeError(
            f"only {outcome.succeeded} of {WARM_UP_CALLS} calls to warm up succeeded: {outcome.errors}\n"
            + "\n".join(node.complaints()[-20:])
        )


def _phase(node: BenchNode, cps: float, calls: int, every: float, fresh: Holdings) -> Phase:
    """Places calls, and looks at the node every so many seconds."""
    callers = Callers(
        node.directory / "callers", node.port, rate=cps, calls=calls, call_seconds=CALL_SECONDS_AT_MOST
    )
    table: list[Holdings] = []
    print(f"\n{calls} calls, {cps:g} per second\n  seconds   calls  parent CPU  calls' CPU {HEADING}")
    with Wiretap(node.port, RTP_FIRST, RTP_LAST) as tap:
        begun = at = time.monotonic()
        call_cpu, parent_cpu = first = node.call_cpu(), node.parent_cpu()
        callers.start()
        deadline = begun + calls / cps + CALL_SECONDS_AT_MOST + 60
        while callers.running and node.alive and time.monotonic() < deadline:
            time.sleep(0.2)
            wall = time.monotonic() - at
            if wall >= every:
                table.append(holdings(node, idle=fresh))
                now = node.call_cpu(), node.parent_cpu()
                shares = f"{(now[1] - parent_cpu) / wall:11.1%} {(now[0] - call_cpu) / wall:11.1%}"
                seen = len(tap.wire.calls)
                print(f"  {time.monotonic() - begun:7.0f} {seen:7d} {shares} {table[-1].row()}", flush=True)
                at, (call_cpu, parent_cpu) = time.monotonic(), now
        callers.stop()
        time.sleep(REST_SECONDS)
    at_rest = holdings(node, idle=fresh)
    print(f"at rest: {at_rest.sentence()}", flush=True)
    return Phase(
        calls=calls,
        outcome=callers.outcome(),
        times=list(tap.wire.calls.values()),
        unseen=tap.wire.lost,
        call_cpu=node.call_cpu() - first[0],
        parent_cpu=node.parent_cpu() - first[1],
        table=table,
        at_rest=at_rest,
    )


if __name__ == "__main__":
    sys.exit(main())
