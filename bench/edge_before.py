"""What a change of the edge costs: an earlier checkout and this one, side by side in one run.

    python -m bench.edge_before CHECKOUT [--rate 400] [--seconds 8] [--rounds 5]

CHECKOUT is a folder with an earlier commit, such as `git worktree add FOLDER COMMIT` makes one.  Both
nodes run at the same time, pinned to the same core, each with its own database; they are given
the calls of `bench.edge` in turns, so that whatever else the machine does is shared by both.  Shown is
the processor time that the node used while it had the calls, for each call; the other one is idle then.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Final

from bench.edge import EDGE_CORE, carrier, place_calls, wide_buffers
from bench.edge_scenarios import toml
from bench.machine import described
from bench.nodes import BenchNode, free_ports, serving

MOST: Final = 0.15
"""What the gates may cost more than before."""
HERE: Final = Path(__file__).resolve().parent.parent


def cost(node: BenchNode, options: argparse.Namespace, folder: Path) -> float:
    """Microseconds of processor time for one call."""
    step = place_calls(node.pid, node.port, options.rate, options.seconds, folder)
    if step.succeeded < step.placed * 0.99:
        raise RuntimeError(f"only {step.succeeded} of {step.placed} calls succeeded: lower --rate")
    took = max(options.seconds, step.placed / step.rate)
    return float(step.cpu * took / step.placed * 1e6)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.edge_before", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("checkout", type=Path, help="folder of the earlier commit")
    parser.add_argument("--rate", type=int, default=400, help="calls per second")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of each turn")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for program in ("sipp", "taskset"):
        if shutil.which(program) is None:
            print(f"{program} is not installed: apt-get install sip-tester util-linux", file=sys.stderr)
            return 1
    print(f"{described()}\n\n{__doc__.partition(chr(10) * 2)[2]}", flush=True)
    with tempfile.TemporaryDirectory(prefix="trunkflow-bench-") as name, wide_buffers():
        folder = Path(name)
        (gateway,) = free_ports(1)
        with carrier(gateway, folder):

            def configured(port: int, inside: int) -> str:
                return toml(port, inside, gateway)

            with (
                serving(configured, EDGE_CORE, options.checkout.resolve()) as before,
                serving(configured, EDGE_CORE, HERE) as after,
            ):
                return compared(before, after, options, folder)


def compared(before: BenchNode, after: BenchNode, options: argparse.Namespace, folder: Path) -> int:
    pairs = []
    print(f"{options.rate} calls/s, us of one core for a call:\n  round   before    after    ratio")
    for number in range(1, options.rounds + 1):
        pair = cost(before, options, folder), cost(after, options, folder)
        pairs.append(pair)
        print(f"  {number:>5} {pair[0]:>8.0f} {pair[1]:>8.0f} {pair[1] / pair[0]:>8.2f}", flush=True)
    middle = [statistics.median(column) for column in zip(*pairs, strict=True)]
    ratio = statistics.median(after / before for before, after in pairs)
    verdict = "met" if ratio <= 1 + MOST else "MISSED"
    print(f" median {middle[0]:>8.0f} {middle[1]:>8.0f} {ratio:>8.2f}   at most {1 + MOST:.2f}: {verdict}")
    for node in (before, after):
        for line in node.complaints()[:5]:
            print(f"  a node complained: {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
